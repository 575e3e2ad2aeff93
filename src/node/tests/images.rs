//! Images that nothing uses.

use serde_json::json;

use super::World;
use crate::node::AgentConfig;
use crate::runtime::Runtime;
use crate::runtime::memory::SimulatedImage;

const GIB: u64 = 1 << 30;

/// A full disk ends no pods, nor all images at once.
fn patient(mut config: AgentConfig) -> AgentConfig {
    config.eviction.thresholds.clear();
    config
}

impl World {
    async fn names(&self) -> Vec<String> {
        let images = self.runtime.images().await.unwrap();
        let short =
            |name: &String| name.trim_start_matches("docker.io/library/").trim_end_matches(":latest").to_owned();
        images.iter().map(|image| short(&image.names[0])).collect()
    }

    /// Runs a pod of an image of so many GiB, to its end.
    async fn use_once(&self, name: &str, gibibytes: u64) {
        self.runtime.registry().add(name, SimulatedImage::new(|_| async { 0 }).with_size(gibibytes * GIB));
        let containers = json!([{ "name": "main", "image": name }]);
        self.run(name, json!({ "restartPolicy": "Never", "containers": containers })).await;
        self.pass(2).await;
    }

    async fn delete(&self, name: &str) {
        self.client.api::<k8s_openapi::api::core::v1::Pod>("default").delete(name).await.unwrap();
        self.pass(2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_images_that_were_not_used_for_longest_go_when_the_disk_is_nearly_full() {
    let world = World::with(patient).await;
    for name in ["first", "second", "third"] {
        world.use_once(name, 10).await;
        world.pass(301).await; // it is seen in use
    }
    world.use_once("kept", 10).await;
    for name in ["second", "first", "third"] {
        world.delete(name).await;
    }
    // 100 GiB in all: 40 of images, 4 of others.
    world.pass(300).await;
    assert_eq!(world.names().await, ["first", "kept", "second", "third"], "there is room");
    world.runtime.change_machine(|machine| machine.disk_others.bytes = 46 * GIB);
    world.pass(310).await;
    assert_eq!(
        world.names().await,
        ["kept", "second", "third"],
        "down to 80 %: all three were last seen at the same time"
    );
    let events = world.events("n1").await;
    assert!(!events.iter().any(|event| event.starts_with("FreeDiskSpaceFailed")), "{events:?}");

    // When nothing is left that could go, the node says so.
    world.runtime.change_machine(|machine| machine.disk_others.bytes = 80 * GIB);
    world.pass(310).await;
    assert_eq!(world.names().await, ["kept"], "which a container was made from");
    world.pass(310).await;
    let events = world.events("n1").await;
    let told = "Insufficient free disk space on the node's image filesystem (90% of 100.0 GiB used). Failed to free \
                sufficient space by deleting unused images (freed 0 bytes). Investigate disk usage, as it could be used \
                by active images, logs, volumes, or other data.";
    assert!(events.iter().any(|event| event.starts_with(&format!("FreeDiskSpaceFailed: {told}"))), "{events:?}");
    world.pass(310).await;
    let events = world.events("n1").await;
    assert!(events.iter().any(|event| event.starts_with(&format!("ImageGCFailed: {told}"))), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn images_that_were_not_used_for_too_long_go() {
    let world = World::with(|mut config| {
        config = patient(config);
        config.image_gc.longest_age = std::time::Duration::from_secs(3600);
        config
    })
    .await;
    world.use_once("once", 1).await;
    world.pass(310).await;
    world.delete("once").await;
    world.use_once("kept", 1).await;
    world.pass(3000).await;
    assert_eq!(world.names().await, ["kept", "once"]);
    world.pass(1200).await;
    assert_eq!(world.names().await, ["kept"], "not used for an hour");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_has_just_come_stays() {
    let world = World::with(patient).await;
    world.pass(30).await;
    world.runtime.change_machine(|machine| machine.disk_others.bytes = 88 * GIB);
    world.runtime.pull_image("new", &[]).await.unwrap();
    world.pass(310).await;
    assert!(world.names().await.contains(&"new".to_owned()), "its age counts from when it was first seen");
    world.pass(310).await;
    assert!(!world.names().await.contains(&"new".to_owned()));
}
