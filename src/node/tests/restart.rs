//! Agents that begin anew.

use super::*;
use crate::runtime::memory::{Script, SimulatedImage};

impl World {
    /// Ends the agent as a crash would, and starts it again after so many seconds.
    async fn crash(&mut self, seconds: u64) {
        self.agent = None;
        self.pass(seconds).await;
        self.start_agent();
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_go_on_waiting() {
    let mut world = World::new().await;
    world.runtime.registry().add("crash", SimulatedImage::new(Script::new().exit(1)));
    world.run_image("web", "crash", json!({})).await;
    // Started at 0, 0, 10, 30 and (had the agent not died) 70 seconds; the next pause is 80 seconds.
    world.pass(35).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #3");
    world.crash(5).await;
    world.pass(25).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #3");
    world.pass(7).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #4");
    world.crash(5).await;
    world.pass(70).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #4");
    world.pass(6).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #5");
}

#[tokio::test(start_paused = true)]
async fn what_was_ready_stays_ready() {
    let mut world = World::new().await;
    let probes = json!({
        "startupProbe": { "exec": { "command": ["test", "-f", "/begun"] }, "periodSeconds": 1 },
        "readinessProbe": { "exec": { "command": ["test", "!", "-f", "/closed"] }, "periodSeconds": 5, "failureThreshold": 2 },
    });
    world.run_image("web", "x", probes).await;
    world.pass(2).await;
    assert_eq!(world.summary("web").await, "Running: main running");
    let touch = async |world: &World, file: &str| {
        let uid = world.pod("web").await.unwrap().metadata.uid.clone().unwrap();
        let sandbox = world.runtime.sandbox_of(&uid).unwrap().0;
        let runtime: &dyn crate::runtime::Runtime = &world.runtime;
        let id = runtime.containers(&sandbox).await.unwrap().pop().unwrap().id;
        runtime.exec_sync(&id, &["sh".into(), "-c".into(), format!("echo x > {file}")], None).await.unwrap();
    };
    touch(&world, "/begun").await;
    world.pass(10).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    let since = world.status("web").await.conditions;
    world.crash(5).await;
    world.pass(10).await;
    assert_eq!(world.status("web").await.conditions, since, "it never was anything else");
    // And is asked again: one failure is not enough, two are.
    touch(&world, "/closed").await;
    world.crash(1).await;
    world.pass(2).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(6).await;
    assert_eq!(world.summary("web").await, "Running: main running");
}

#[tokio::test(start_paused = true)]
async fn a_grace_period_does_not_begin_anew() {
    let mut world = World::new().await;
    let stubborn = async |_: crate::runtime::memory::ContainerContext| std::future::pending::<i32>().await;
    world.runtime.registry().add("stubborn", SimulatedImage::new(stubborn));
    world
        .run(
            "web",
            json!({ "terminationGracePeriodSeconds": 30, "containers": [{ "name": "main", "image": "stubborn" }] }),
        )
        .await;
    world.pass(1).await;
    world.client.api::<Pod>("default").delete("web").await.unwrap();
    world.pass(20).await;
    world.crash(2).await;
    world.pass(7).await;
    assert!(world.pod("web").await.is_some(), "it has its time");
    world.pass(4).await;
    assert!(world.pod("web").await.is_none(), "and no more");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_makes_room_goes_on_doing_so() {
    let mut world = World::new().await;
    let wants = |cpu: &str| json!({ "requests": { "cpu": cpu } });
    let stubborn = async |_: crate::runtime::memory::ContainerContext| std::future::pending::<i32>().await;
    world.runtime.registry().add("stubborn", SimulatedImage::new(stubborn));
    world.run_image("victim", "stubborn", json!({ "resources": wants("2") })).await;
    world.pass(1).await;
    let critical = json!({
        "priorityClassName": "system-node-critical",
        "containers": [{ "name": "main", "image": "x", "resources": wants("1") }],
    });
    world.run("critical", critical).await;
    world.pass(2).await;
    world.crash(2).await;
    world.pass(2).await;
    assert_eq!(world.summary("victim").await, "Running: main ready");
    world.pass(40).await;
    assert_eq!(world.status("victim").await.reason.as_deref(), Some("Preempting"));
    assert_eq!(world.summary("critical").await, "Running: main ready");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_in_is_not_refused_later() {
    let mut world = World::new().await;
    let init = json!({ "name": "init", "image": "busybox", "command": ["sleep", "60"] });
    let labelled = json!({ "metadata": { "labels": { "disk": "fast" } } });
    world.client.all::<Node>().patch("n1", crate::api::Patch::Merge(labelled)).await.unwrap();
    world.crash(1).await;
    world.pass(1).await;
    let spec = json!({
        "nodeSelector": { "disk": "fast" }, "initContainers": [init], "containers": [{ "name": "main", "image": "x" }],
    });
    world.run("web", spec).await;
    world.pass(1).await;
    let bare = json!({ "metadata": { "labels": { "disk": null } } });
    world.client.all::<Node>().patch("n1", crate::api::Patch::Merge(bare)).await.unwrap();
    world.crash(1).await;
    world.pass(70).await;
    assert_eq!(world.summary("web").await, "Running: init Completed(0), main ready");
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_be_after_an_agent_has_gone_is_found() {
    use crate::runtime::{Runtime, SandboxConfig};
    let mut world = World::new().await;
    let pod = world.run_image("web", "x", json!({})).await;
    world.pass(1).await;
    world.crash(1).await;
    world.pass(1).await;
    // The runtime was still making them: another sandbox of the pod, and one of a pod that is no more.
    for uid in [pod.metadata.uid.clone().unwrap(), "gone".to_owned()] {
        let config =
            SandboxConfig { name: "late".into(), namespace: "default".into(), uid, ..SandboxConfig::default() };
        world.runtime.run_sandbox(&config).await.unwrap();
    }
    world.pass(12).await;
    let left: Vec<_> = world.runtime.sandboxes().await.unwrap().into_iter().map(|sandbox| sandbox.name).collect();
    assert_eq!(left, ["web"]);
    assert_eq!(world.summary("web").await, "Running: main ready");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_takes_with_it_what_comes_to_be_late() {
    use crate::runtime::{Runtime, SandboxConfig};
    let mut world = World::new().await;
    let stubborn = async |_: crate::runtime::memory::ContainerContext| std::future::pending::<i32>().await;
    world.runtime.registry().add("stubborn", SimulatedImage::new(stubborn));
    let pod = world.run_image("web", "stubborn", json!({})).await;
    world.pass(1).await;
    world.crash(1).await;
    world.pass(1).await;
    world.client.api::<Pod>("default").delete("web").await.unwrap();
    world.pass(1).await;
    // While its end is under way, the runtime is done with another sandbox that the agent before had asked for.
    let uid = pod.metadata.uid.clone().unwrap();
    let config = SandboxConfig { name: "late".into(), namespace: "default".into(), uid, ..SandboxConfig::default() };
    world.runtime.run_sandbox(&config).await.unwrap();
    world.pass(25).await;
    assert!(world.pod("web").await.is_some(), "it has its time");
    world.pass(10).await;
    assert!(world.pod("web").await.is_none());
    assert_eq!(world.runtime.sandboxes().await.unwrap().len(), 0);
}
