//! What every [`Runtime`](super::Runtime) must do, as functions to call from the tests of one. Each takes a fresh
//! runtime and the name of an image that has `sh`, `cat`, `echo` and `sleep` (any busybox), and panics where a promise
//! is broken.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! use orchestrion::runtime::{memory::MemoryRuntime, testkit};
//! # use orchestrion::runtime::memory::{MemoryConfig, Network, Registry, SimulatedNetwork};
//! # fn my_runtime() -> MemoryRuntime {
//! #     MemoryRuntime::new(MemoryConfig {
//! #         node: "node-1".into(),
//! #         network: Network::simulated([10, 244, 0, 0].into(), SimulatedNetwork::default()),
//! #         registry: Registry::default(),
//! #         clock: orchestrion::clock::Clock::system(),
//! #         random: orchestrion::random::Random::seeded(1),
//! #     })
//! # }
//! testkit::all(|| Box::new(my_runtime()), "busybox").await;
//! # });
//! ```

mod event;
mod files;
mod image;
mod lifecycle;
mod stats;
mod stream;

use std::time::Duration;

use futures::StreamExt;

use super::{ContainerConfig, ContainerId, ContainerState, Exit, Runtime, SandboxConfig, SandboxStatus};
use crate::api::{LogOptions, Output};

pub use event::{events_tell_of_beginning_and_end, every_reader_gets_every_event};
pub use files::{
    containers_share_directories, last_words_are_told, mounted_files_follow_their_source,
    paths_of_the_node_are_told_and_made,
};
pub use image::{an_image_in_use_is_not_removed_by_its_id, an_image_is_there_once_it_is_fetched, nonsense_is_no_image};
pub use lifecycle::{
    a_container_ends_with_its_program, a_container_has_its_environment, a_container_needs_its_image_and_its_sandbox,
    a_stopped_container_has_ended, a_stopped_sandbox_ends_its_containers, limits_change_while_a_container_runs,
    removing_a_sandbox_removes_its_containers, sandboxes_have_addresses_of_their_own, what_is_gone_is_told,
};
pub use stats::{
    what_a_container_uses_is_told, what_a_pod_has_written_can_be_cleared, what_a_pod_has_written_is_told,
    what_the_machine_has_is_told,
};
pub use stream::{
    a_missing_program_is_told, a_port_that_nobody_listens_on_is_told, a_program_reads_what_is_typed,
    a_program_runs_beside_the_main_one, an_attached_session_is_the_main_program_s, logs_are_kept,
    logs_tell_their_times,
};

/// Runs every function of the kit, each with a runtime of its own.
pub async fn all(runtime: impl Fn() -> Box<dyn Runtime>, image: &str) {
    a_container_ends_with_its_program(&*runtime(), image).await;
    a_container_has_its_environment(&*runtime(), image).await;
    a_container_needs_its_image_and_its_sandbox(&*runtime(), image).await;
    a_stopped_container_has_ended(&*runtime(), image).await;
    a_stopped_sandbox_ends_its_containers(&*runtime(), image).await;
    removing_a_sandbox_removes_its_containers(&*runtime(), image).await;
    sandboxes_have_addresses_of_their_own(&*runtime()).await;
    what_is_gone_is_told(&*runtime()).await;
    limits_change_while_a_container_runs(&*runtime(), image).await;
    an_image_is_there_once_it_is_fetched(&*runtime(), image).await;
    an_image_in_use_is_not_removed_by_its_id(&*runtime(), image).await;
    nonsense_is_no_image(&*runtime()).await;
    mounted_files_follow_their_source(&*runtime(), image).await;
    containers_share_directories(&*runtime(), image).await;
    paths_of_the_node_are_told_and_made(&*runtime()).await;
    last_words_are_told(&*runtime(), image).await;
    logs_are_kept(&*runtime(), image).await;
    logs_tell_their_times(&*runtime(), image).await;
    a_program_runs_beside_the_main_one(&*runtime(), image).await;
    a_program_reads_what_is_typed(&*runtime(), image).await;
    an_attached_session_is_the_main_program_s(&*runtime(), image).await;
    a_missing_program_is_told(&*runtime(), image).await;
    a_port_that_nobody_listens_on_is_told(&*runtime()).await;
    what_a_container_uses_is_told(&*runtime(), image).await;
    what_a_pod_has_written_is_told(&*runtime(), image).await;
    what_a_pod_has_written_can_be_cleared(&*runtime(), image).await;
    what_the_machine_has_is_told(&*runtime()).await;
    events_tell_of_beginning_and_end(&*runtime(), image).await;
    every_reader_gets_every_event(&*runtime(), image).await;
}

/// A pod's sandbox.
async fn sandbox(runtime: &dyn Runtime, name: &str) -> SandboxStatus {
    let config = SandboxConfig {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("{name}-uid"),
        hostname: name.to_owned(),
        ..SandboxConfig::default()
    };
    runtime.run_sandbox(&config).await.expect("a sandbox")
}

/// A container that runs a shell script.
fn script(image: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: "main".to_owned(),
        image: image.to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).into(),
        env: vec![("COLOR".to_owned(), "blue".to_owned())],
        ..ContainerConfig::default()
    }
}

async fn start(runtime: &dyn Runtime, sandbox: &SandboxStatus, config: &ContainerConfig) -> ContainerId {
    runtime.pull_image(&config.image, &[]).await.expect("the image");
    let id = runtime.create_container(&sandbox.id, config).await.expect("a container");
    let status = runtime.container_status(&id).await.expect("its status");
    assert_eq!(status.state, ContainerState::Created, "a container is made before it is started");
    runtime.start_container(&id).await.expect("its start");
    id
}

/// Waits for a container's end.
async fn end(runtime: &dyn Runtime, id: &ContainerId) -> Exit {
    let mut events = runtime.events();
    loop {
        let status = runtime.container_status(id).await.expect("its status");
        if let ContainerState::Exited(exit) = status.state {
            return exit;
        }
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        assert!(matches!(event, Ok(Some(_))), "no event tells of the container's end");
    }
}

/// What a shell script prints that is run beside a container's program; it must succeed.
async fn run(runtime: &dyn Runtime, id: &ContainerId, script: &str) -> String {
    let command = ["sh", "-c", script].map(str::to_owned);
    let ran = runtime.exec_sync(id, &command, Some(Duration::from_secs(60))).await.expect("its output");
    let text = String::from_utf8_lossy(&ran.output).into_owned();
    assert_eq!(ran.code, 0, "{script}: {text}");
    text
}

async fn logs(runtime: &dyn Runtime, id: &ContainerId, options: &LogOptions) -> String {
    let pieces: Vec<_> = runtime.logs(id, options).await.expect("logs").collect().await;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.expect("a piece of the log").to_vec()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a session's output.
async fn text(output: &mut tokio::sync::mpsc::Receiver<(Output, bytes::Bytes)>) -> String {
    let mut text = Vec::new();
    while let Some((_, bytes)) = output.recv().await {
        text.extend_from_slice(&bytes);
    }
    String::from_utf8_lossy(&text).into_owned()
}
