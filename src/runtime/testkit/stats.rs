//! What containers, pods and the machine use.

use super::{run, sandbox, script, start};
use crate::runtime::{ContainerConfig, FileTree, Medium, Mount, MountSource, Runtime};

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

/// What a pod has written is told: over its images, to its logs, to its directories.
pub async fn what_a_pod_has_written_is_told(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "writes").await;
    let mount = Mount {
        volume: "scratch".to_owned(),
        path: "/scratch".to_owned(),
        source: MountSource::Directory(FileTree::default(), Medium::Disk),
        sub_path: String::new(),
        read_only: false,
        propagation: String::new(),
    };
    let config = ContainerConfig { mounts: vec![mount], ..script(image, "sleep 3600") };
    let id = start(runtime, &sandbox, &config).await;
    let volume = |disk: &crate::runtime::PodDisk| {
        disk.volumes.iter().find(|(name, _)| name == "scratch").map_or(0, |(_, usage)| usage.bytes)
    };
    let before = runtime.pod_disk(&sandbox.id).await.expect("what it keeps");
    let (_, layer, _) = *before.containers.iter().find(|(of, _, _)| *of == id).expect("its container");
    run(runtime, &id, "echo 0123456789 > /scratch/file; echo 0123456789 > /tmp/file").await;
    let after = runtime.pod_disk(&sandbox.id).await.expect("what it keeps");
    let (_, written, _) = *after.containers.iter().find(|(of, _, _)| *of == id).expect("its container");
    assert!(written.bytes > layer.bytes, "{before:?} {after:?}");
    assert!(volume(&after) > volume(&before), "{before:?} {after:?}");
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
