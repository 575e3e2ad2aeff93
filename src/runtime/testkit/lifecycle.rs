//! Sandboxes and containers from beginning to end.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{end, logs, sandbox, script, start};
use crate::api::LogOptions;
use crate::runtime::{ContainerConfig, ContainerId, ContainerState, EventKind, Limits, Runtime, RuntimeError};

/// A container that has run its program tells the exit code, a reason and both times.
pub async fn a_container_ends_with_its_program(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "ends").await;
    for (code, reason) in [(0, "Completed"), (3, "Error")] {
        let id = start(runtime, &sandbox, &script(image, &format!("exit {code}"))).await;
        let exit = end(runtime, &id).await;
        assert_eq!((exit.code, exit.reason.as_str()), (code, reason));
        assert!(exit.started_at.is_some_and(|started| started <= exit.finished_at), "it ended after it began");
    }
    let again = runtime.containers(&sandbox.id).await.expect("the containers");
    assert_eq!(again.len(), 2, "containers that have ended are kept until they are removed");
    let restarted = runtime.start_container(&again[0].id).await;
    assert!(restarted.is_err(), "a container is started once");
}

/// The program sees the variables and arguments that it is given.
pub async fn a_container_has_its_environment(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "env").await;
    let id = start(runtime, &sandbox, &script(image, "echo $COLOR; cat /etc/hostname")).await;
    end(runtime, &id).await;
    assert_eq!(logs(runtime, &id, &LogOptions::default()).await, "blue\nenv\n");
}

/// A container is made only of an image that is present, in a sandbox that is there.
pub async fn a_container_needs_its_image_and_its_sandbox(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "needs").await;
    let absent = ContainerConfig { image: format!("{image}-that-is-not-there"), ..script(image, "") };
    let error = runtime.create_container(&sandbox.id, &absent).await.expect_err("its image is not present");
    assert!(matches!(&error, RuntimeError::Create(why) if why.contains("not found")), "{error}");
    runtime.pull_image(image, &[]).await.expect("the image");
    runtime.remove_sandbox(&sandbox.id).await.expect("removed");
    let error = runtime.create_container(&sandbox.id, &script(image, "")).await.expect_err("its sandbox is gone");
    assert!(error.is_not_found(), "{error}");
}

/// Stopping a sandbox ends what runs in it, at once; stopping it again does nothing.
pub async fn a_stopped_sandbox_ends_its_containers(runtime: &dyn Runtime, image: &str) {
    let mut events = runtime.events();
    let sandbox = sandbox(runtime, "ends-all").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    runtime.stop_sandbox(&sandbox.id).await.expect("stopped");
    let exit = end(runtime, &id).await;
    assert_eq!(exit.code, 137, "it was killed");
    runtime.stop_sandbox(&sandbox.id).await.expect("stopped again");
    let mut kinds = Vec::new();
    while !kinds.contains(&EventKind::SandboxStopped) {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        kinds.push(event.ok().flatten().expect("an event").kind);
    }
    assert!(kinds.contains(&EventKind::Started(id.clone())), "{kinds:?}");
}

/// Stopping returns when the container has ended, by its signal or by force; stopping it again does nothing.
pub async fn a_stopped_container_has_ended(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "stops").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let running = runtime.container_status(&id).await.expect("its status");
    assert!(running.is_running());
    runtime.stop_container(&id, Duration::from_secs(2)).await.expect("stopped");
    let status = runtime.container_status(&id).await.expect("its status");
    let ContainerState::Exited(exit) = &status.state else { panic!("it still runs") };
    assert!(exit.code != 0, "a signal ended it");
    runtime.stop_container(&id, Duration::ZERO).await.expect("stopping again");
    assert_eq!(runtime.container_status(&id).await.expect("its status").state, status.state);
}

/// Removing a sandbox ends and removes what runs in it; removing it again does nothing.
pub async fn removing_a_sandbox_removes_its_containers(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "goes").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    runtime.stop_sandbox(&sandbox.id).await.expect("stopped");
    let stopped = runtime.sandboxes().await.expect("the sandboxes");
    assert!(stopped.iter().any(|status| status.id == sandbox.id && !status.ready), "stopped, not gone");
    assert!(
        runtime.create_container(&sandbox.id, &script(image, "true")).await.is_err(),
        "it takes no more containers"
    );
    runtime.remove_sandbox(&sandbox.id).await.expect("removed");
    runtime.remove_sandbox(&sandbox.id).await.expect("removed again");
    assert!(runtime.container_status(&id).await.is_err_and(|error| error.is_not_found()));
    assert!(runtime.sandbox_status(&sandbox.id).await.is_err_and(|error| error.is_not_found()));
}

/// Every running sandbox has an address that no other has.
pub async fn sandboxes_have_addresses_of_their_own(runtime: &dyn Runtime) {
    let (first, second) = (sandbox(runtime, "one").await, sandbox(runtime, "two").await);
    assert!(!first.ips.is_empty());
    assert_ne!(first.ips, second.ips);
    assert_eq!(runtime.sandboxes().await.expect("the sandboxes"), [first, second]);
}

/// What does not exist is told apart from other failures, except where it is to be gone anyway.
pub async fn what_is_gone_is_told(runtime: &dyn Runtime) {
    let none = ContainerId::new("no-such-container");
    assert!(runtime.container_status(&none).await.is_err_and(|error| error.is_not_found()));
    assert!(runtime.start_container(&none).await.is_err_and(|error| error.is_not_found()));
    runtime.stop_container(&none, Duration::ZERO).await.expect("stopping what is gone");
    runtime.remove_container(&none).await.expect("removing what is gone");
}

/// What a container may use is what it was made with, until that is changed while it runs.
pub async fn limits_change_while_a_container_runs(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "resized").await;
    let sizes = |cpu: &str, memory: &str| -> ResourceRequirements {
        let amounts = [("cpu", cpu), ("memory", memory)];
        let amounts = amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
        ResourceRequirements {
            requests: Some(amounts.clone().into()),
            limits: Some(amounts.into()),
            ..ResourceRequirements::default()
        }
    };
    let config = ContainerConfig { resources: sizes("100m", "64Mi"), ..script(image, "sleep 3600") };
    let id = start(runtime, &sandbox, &config).await;
    let before = runtime.container_status(&id).await.expect("its status");
    assert_eq!(before.limits, Limits::of(&config.resources));
    for (cpu, memory) in [("200m", "128Mi"), ("50m", "32Mi")] {
        let wanted = Limits::of(&sizes(cpu, memory));
        runtime.update_resources(&id, wanted).await.expect("changed");
        let after = runtime.container_status(&id).await.expect("its status");
        assert_eq!((after.limits, after.state), (wanted, before.state.clone()), "it runs on");
    }
    let missing = ContainerId::new("missing");
    assert!(runtime.update_resources(&missing, Limits::default()).await.is_err_and(|error| error.is_not_found()));
}
