//! Images.

use std::time::Duration;

use super::{sandbox, script, start};
use crate::runtime::{Runtime, RuntimeError};

/// An image is present after it was fetched, and absent after it was removed.
pub async fn an_image_is_there_once_it_is_fetched(runtime: &dyn Runtime, image: &str) {
    runtime.remove_image(image).await.expect("removed, or not there");
    assert_eq!(runtime.image(image).await.expect("a look"), None);
    let fetched = runtime.pull_image(image, &[]).await.expect("fetched");
    assert!(fetched.id.starts_with("sha256:"), "{}", fetched.id);
    assert_eq!(runtime.image(image).await.expect("a look").map(|found| found.id), Some(fetched.id.clone()));
    let all = runtime.images().await.expect("all images");
    assert!(all.iter().any(|other| other.id == fetched.id));
}

/// A name that makes no sense is refused as such.
pub async fn nonsense_is_no_image(runtime: &dyn Runtime) {
    for name in ["", "Upper/Case", "a b", "x:"] {
        let error = runtime.pull_image(name, &[]).await.expect_err("nonsense");
        assert!(matches!(error, RuntimeError::ImageName(_)), "{name:?}: {error}");
    }
}

/// An image that a container was made from is not removed by its ID; one that nothing uses is gone under all its names.
pub async fn an_image_in_use_is_not_removed_by_its_id(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "image").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let found = runtime.image(image).await.expect("a look").expect("the image");
    let error = runtime.remove_image(&found.id).await.expect_err("it is used");
    assert!(matches!(error, RuntimeError::State(_)), "{error}");
    runtime.stop_container(&id, Duration::ZERO).await.expect("stopped");
    assert!(runtime.remove_image(&found.id).await.is_err(), "it may be looked at again");
    runtime.remove_sandbox(&sandbox.id).await.expect("removed");
    match runtime.remove_image(&found.id).await {
        Ok(()) => assert_eq!(runtime.image(image).await.expect("a look"), None),
        // Where images are shared, others may use it.
        Err(error) => assert!(matches!(error, RuntimeError::State(_)), "{error}"),
    }
}
