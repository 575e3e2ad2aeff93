//! Runtimes that begin anew over what is there, and engines that do.

use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use orchestrion::runtime::{EventKind, Runtime};

use crate::containers::{pod, script, start};
use crate::runtime::{Bench, variable};

pub(crate) fn docker(arguments: &[&str]) -> String {
    let ran = Command::new("docker").args(arguments).output().expect("the docker program");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// Kills the engine. tests/docker/run starts it again, as an init system would.
pub(crate) fn kill_engine() {
    let pid = std::fs::read_to_string(variable("DOCKER_PIDFILE")).expect("the engine's process");
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().expect("kill").success());
}

#[tokio::test]
async fn a_new_runtime_finds_what_an_earlier_one_has_left_and_nothing_else() {
    let bench = Bench::new("found").await;
    let before = bench.named(0);
    let sandbox = before.run_sandbox(&pod("kept")).await.expect("a sandbox");
    let id = start(&before, &sandbox, &script("sleep 3600")).await;
    let status = before.container_status(&id).await.expect("its status");
    let foreign = docker(&["run", "--detach", &variable("TEST_IMAGE"), "sleep", "3600"]);
    drop(before);

    let after = bench.named(0);
    assert_eq!(after.sandboxes().await.expect("the sandboxes"), std::slice::from_ref(&sandbox));
    assert_eq!(after.containers(&sandbox.id).await.expect("the containers"), [status]);
    let next = after.run_sandbox(&pod("next")).await.expect("a sandbox");
    assert_ne!(next.ips, sandbox.ips, "the address is in use");
    // Another node of the same cluster has nothing of it, nor has anybody what is not the cluster's.
    let other = bench.named(1);
    assert_eq!(other.sandboxes().await.expect("the sandboxes"), []);
    let foreign = orchestrion::runtime::ContainerId::new(foreign.trim());
    for (runtime, id) in [(&other, &id), (&after, &foreign)] {
        assert!(runtime.container_status(id).await.is_err_and(|error| error.is_not_found()));
        runtime.stop_container(id, Duration::ZERO).await.expect("it is not there");
        runtime.remove_container(id).await.expect("it is not there");
    }
    assert!(after.container_status(&id).await.expect("its status").is_running());

    bench.remove().await;
    let left = docker(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(left.contains(foreign.as_str()), "it was never touched");
    docker(&["rm", "--force", foreign.as_str()]);
    assert!(!docker(&["ps", "--all", "--format", "{{.Names}}"]).contains("found_"), "nothing is left");
    assert!(!docker(&["network", "ls", "--format", "{{.Name}}"]).contains("orchestrion-found"));
    assert!(!std::env::temp_dir().join("orchestrion/found").exists());
}

#[tokio::test]
async fn a_cluster_can_be_removed_while_its_containers_are_on_their_way_out() {
    let bench = Bench::new("leaving").await;
    let node = bench.node();
    for number in 0..8 {
        let sandbox = node.run_sandbox(&pod(&format!("pod-{number}"))).await.expect("a sandbox");
        start(&node, &sandbox, &script("sleep 3600")).await;
    }
    let all = docker(&["ps", "--quiet", "--filter", "network=orchestrion-leaving"]);
    let mut removing = Command::new("docker").args(["rm", "--force"]).args(all.lines()).spawn().expect("docker");
    bench.remove().await;
    removing.wait().expect("its end");
    assert!(!docker(&["network", "ls", "--format", "{{.Name}}"]).contains("orchestrion-leaving"));
}

#[tokio::test]
async fn whoever_waits_is_told_when_an_engine_has_come_back() {
    let bench = Bench::alone("killed").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("killed")).await.expect("a sandbox");
    let id = start(&node, &sandbox, &script("sleep 3600")).await;
    let mut events = node.events();
    kill_engine();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("in time");
        if event.expect("an event").kind == EventKind::Lost {
            break;
        }
    }
    // An engine that comes back has ended what ran without it.
    assert!(!node.sandbox_status(&sandbox.id).await.expect("its status").ready);
    assert!(!node.container_status(&id).await.expect("its status").is_running());
    let again = node.run_sandbox(&pod("again")).await.expect("a sandbox");
    start(&node, &again, &script("sleep 3600")).await;
    bench.remove().await;
}
