//! Images.

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
