//! What containers, pods and the machine use.

use super::{logs, run, sandbox, script, start};
use crate::api::LogOptions;
use crate::runtime::{ContainerConfig, FileTree, Medium, Mount, MountSource, PodDisk, Runtime};

/// A running container's use is told, and its CPU time never becomes less; one that has ended uses nothing.
pub async fn what_a_container_uses_is_told(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "uses").await;
    let id = start(runtime, &sandbox, &script(image, "sleep 3600")).await;
    let first = runtime.stats(&id).await.expect("its use");
    assert!(first.memory_bytes <= first.memory_total_bytes, "{first:?}");
    assert!(first.processes >= 1, "{first:?}");
    run(runtime, &id, "echo working").await;
    let second = runtime.stats(&id).await.expect("its use");
    assert!(second.cpu_nanos >= first.cpu_nanos && second.at >= first.at, "{first:?} {second:?}");
    runtime.stop_container(&id, std::time::Duration::ZERO).await.expect("stopped");
    assert!(runtime.stats(&id).await.is_err(), "it does not run");
}

/// A directory for all that a pod writes.
fn scratch() -> Mount {
    Mount {
        volume: "scratch".to_owned(),
        path: "/scratch".to_owned(),
        source: MountSource::Directory(FileTree::default(), Medium::Disk),
        sub_path: String::new(),
        read_only: false,
        propagation: String::new(),
    }
}

/// The size of what is in it.
fn in_volume(disk: &PodDisk) -> u64 {
    disk.volumes.iter().find(|(name, _)| name == "scratch").map_or(0, |(_, usage)| usage.bytes)
}

/// What a pod has written is told: over its images, to its logs, to its directories.
pub async fn what_a_pod_has_written_is_told(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "writes").await;
    let config = ContainerConfig { mounts: vec![scratch()], ..script(image, "sleep 3600") };
    let id = start(runtime, &sandbox, &config).await;
    let before = runtime.pod_disk(&sandbox.id).await.expect("what it keeps");
    let (_, layer, _) = *before.containers.iter().find(|(of, _, _)| *of == id).expect("its container");
    run(runtime, &id, "echo 0123456789 > /scratch/file; echo 0123456789 > /tmp/file").await;
    let after = runtime.pod_disk(&sandbox.id).await.expect("what it keeps");
    let (_, written, _) = *after.containers.iter().find(|(of, _, _)| *of == id).expect("its container");
    assert!(written.bytes > layer.bytes, "{before:?} {after:?}");
    assert!(in_volume(&after) > in_volume(&before), "{before:?} {after:?}");
}

/// What a pod that has ended has written to its directories can be removed; its logs stay.
pub async fn what_a_pod_has_written_can_be_cleared(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "cleared").await;
    let config = ContainerConfig {
        mounts: vec![scratch()],
        ..script(image, "echo 0123456789 > /scratch/file; echo written; sleep 3600")
    };
    let id = start(runtime, &sandbox, &config).await;
    while in_volume(&runtime.pod_disk(&sandbox.id).await.expect("what it keeps")) == 0 {
        run(runtime, &id, "sleep 1").await;
    }
    runtime.stop_sandbox(&sandbox.id).await.expect("stopped");
    runtime.clear_directories(&sandbox.id).await.expect("cleared");
    assert_eq!(in_volume(&runtime.pod_disk(&sandbox.id).await.expect("what it keeps")), 0);
    assert_eq!(logs(runtime, &id, &LogOptions::default()).await, "written\n");
    runtime.clear_directories(&sandbox.id).await.expect("cleared again");
}

/// The machine has more than is used.
pub async fn what_the_machine_has_is_told(runtime: &dyn Runtime) {
    let machine = runtime.machine().await.expect("the machine");
    assert!(machine.memory_used <= machine.memory_total && machine.memory_total <= machine.memory_capacity);
    for disk in [machine.node_disk, machine.images_on()] {
        assert!(disk.available <= disk.capacity && disk.inodes_free <= disk.inodes, "{disk:?}");
    }
    assert!(machine.processes <= machine.processes_max, "{machine:?}");
    assert!(machine.booted_at <= machine.at, "{machine:?}");
}
