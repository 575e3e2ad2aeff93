//! What is told of a node and its pods.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::sample::{self, Reading, Sample};
use crate::api::PodRef;
use crate::api::stats::{
    ContainerStats, CpuStats, FsStats, MemoryStats, NodeStats, PodStats, ProcessStats, RlimitStats, RuntimeStats,
    Scope, Summary, VolumeStats,
};
use crate::node::agent::Workers;
use crate::node::pod_worker::state::{PodState, containers};
use crate::runtime::{self, ContainerId, DiskUsage, Filesystem, MachineStats, PodDisk, SandboxStatus};

/// A pod that has a sandbox, with its running containers.
struct Found {
    pod: PodRef,
    sandbox: SandboxStatus,
    /// Name, ID and start.
    running: Vec<(String, ContainerId, Timestamp)>,
    /// The volumes that are told of: directories that began empty.
    volumes: Vec<String>,
}

/// Measures the node and its pods.
///
/// # Errors
/// Where the machine cannot be measured.
pub(in crate::node) async fn summary(workers: &Workers, scope: Scope) -> runtime::Result<Summary> {
    let machine = &workers.machine;
    let runtime = &*machine.runtime;
    let found: Vec<Found> = {
        let by_uid = workers.by_uid();
        let states = by_uid.values().map(|handle| handle.state.lock().unwrap_or_else(PoisonError::into_inner));
        states.filter_map(|state| find(&state)).collect()
    };
    let running = found.iter().flat_map(|pod| pod.running.iter().map(|(_, id, since)| (id.clone(), *since))).collect();
    let (node, samples) = machine.samples.take(machine.clock(), runtime, &running).await?;
    let (disks, images) = match scope {
        Scope::CpuAndMemory => (None, Vec::new()),
        Scope::All => {
            let disks = join_all(found.iter().map(|pod| runtime.pod_disk(&pod.sandbox.id))).await;
            (Some(disks), runtime.images().await.unwrap_or_default())
        }
    };
    let mut disks = disks.into_iter().flatten().map(Result::unwrap_or_default);
    let pods: Vec<_> = found.iter().map(|pod| of_pod(pod, &samples, &node.reading, disks.next().as_ref())).collect();
    let written = pods.iter().flat_map(|pod| &pod.containers).filter_map(|container| container.rootfs.as_ref());
    let written = written.map(|fs| fs.used_bytes).sum();
    let images = images.iter().map(|image| image.size).sum();
    let node = of_node(&machine.config.name, &node, (scope == Scope::All).then_some((images, written)));
    Ok(Summary { node, pods })
}

/// Measures pods now, without rates: those whose UIDs are wanted, and that have a sandbox.
pub(in crate::node) async fn measure_now(
    workers: &Workers,
    machine: &MachineStats,
    scope: Scope,
    wanted: impl Fn(&str) -> bool,
) -> Vec<PodStats> {
    let runtime = &*workers.machine.runtime;
    let found: Vec<Found> = {
        let by_uid = workers.by_uid();
        let handles = by_uid.iter().filter(|(uid, _)| wanted(uid)).map(|(_, handle)| handle);
        handles.filter_map(|handle| find(&handle.state.lock().unwrap_or_else(PoisonError::into_inner))).collect()
    };
    let ids = found.iter().flat_map(|pod| pod.running.iter().map(|(_, id, _)| id.clone())).collect();
    let samples = sample::measure(runtime, ids).await.into_iter();
    let samples = samples.filter_map(|(id, reading)| Some((id, Sample::single(reading?)))).collect();
    let mut pods = Vec::new();
    for pod in &found {
        let disk = match scope {
            Scope::CpuAndMemory => None,
            Scope::All => Some(runtime.pod_disk(&pod.sandbox.id).await.unwrap_or_default()),
        };
        pods.push(of_pod(pod, &samples, machine, disk.as_ref()));
    }
    pods
}

fn find(state: &PodState) -> Option<Found> {
    let sandbox = state.sandbox.clone()?;
    let running = containers(state.spec()).filter_map(|(_, container)| {
        let last = state.instances(&container.name)?.last.as_ref()?;
        let runtime::ContainerState::Running { started_at } = last.state else { return None };
        Some((container.name.clone(), last.id.clone(), started_at))
    });
    let running = running.collect();
    let volumes = state.spec().volumes.iter().flatten().filter(|volume| volume.empty_dir.is_some());
    let volumes = volumes.map(|volume| volume.name.clone()).collect();
    Some(Found { pod: reference(&state.pod), sandbox, running, volumes })
}

/// Which pod it is.
pub(in crate::node) fn reference(pod: &Pod) -> PodRef {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let meta = &pod.metadata;
    PodRef { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) }
}

fn cpu<R: Reading>(sample: &Sample<R>) -> CpuStats {
    let rate = sample.rate();
    CpuStats {
        time: Time(sample.reading.at()),
        usage_nano_cores: rate.map(|(nano_cores, _)| nano_cores),
        usage_core_nano_seconds: sample.reading.cpu_nanos(),
        window: rate.map_or(Duration::ZERO, |(_, window)| window),
    }
}

/// What is used of a disk by something on it.
fn usage(at: Timestamp, disk: &Filesystem, used: DiskUsage) -> FsStats {
    FsStats { used_bytes: used.bytes, inodes_used: used.inodes, ..whole(at, disk) }
}

/// A disk, with all that is on it.
fn whole(at: Timestamp, disk: &Filesystem) -> FsStats {
    FsStats {
        time: Time(at),
        available_bytes: disk.available,
        capacity_bytes: disk.capacity,
        used_bytes: disk.capacity.saturating_sub(disk.available),
        inodes_free: disk.inodes_free,
        inodes: disk.inodes,
        inodes_used: disk.inodes.saturating_sub(disk.inodes_free),
    }
}

fn of_node(name: &str, sample: &Sample<MachineStats>, runtime: Option<(u64, u64)>) -> NodeStats {
    let machine = &sample.reading;
    let at = machine.at;
    NodeStats {
        node_name: name.to_owned(),
        start_time: Time(machine.booted_at),
        cpu: cpu(sample),
        memory: MemoryStats {
            time: Time(at),
            available_bytes: Some(machine.memory_capacity.saturating_sub(machine.memory_used)),
            usage_bytes: machine.memory_total,
            working_set_bytes: machine.memory_used,
        },
        fs: runtime.map(|_| whole(at, &machine.node_disk)),
        runtime: runtime.map(|(images, written)| RuntimeStats {
            image_fs: FsStats { used_bytes: images, ..whole(at, &machine.images_on()) },
            container_fs: FsStats { used_bytes: written, ..whole(at, &machine.images_on()) },
        }),
        rlimit: runtime.map(|_| RlimitStats { time: Time(at), max: machine.processes_max, running: machine.processes }),
    }
}

fn of_pod(
    found: &Found,
    samples: &BTreeMap<ContainerId, Sample<runtime::ContainerStats>>,
    machine: &MachineStats,
    disk: Option<&PodDisk>,
) -> PodStats {
    let mut processes = 0;
    let containers: Vec<_> = found
        .running
        .iter()
        .filter_map(|(name, id, started_at)| {
            let sample = samples.get(id)?;
            let reading = &sample.reading;
            processes += reading.processes;
            let kept = disk.map(|disk| {
                disk.containers
                    .iter()
                    .find(|(of, _, _)| of == id)
                    .map_or_else(Default::default, |(_, written, logs)| (*written, *logs))
            });
            Some(ContainerStats {
                name: name.clone(),
                start_time: Time(*started_at),
                cpu: cpu(sample),
                memory: MemoryStats {
                    time: Time(reading.at),
                    available_bytes: None,
                    usage_bytes: reading.memory_total_bytes,
                    working_set_bytes: reading.memory_bytes,
                },
                rootfs: kept.map(|(written, _)| usage(machine.at, &machine.images_on(), written)),
                logs: kept.map(|(_, logs)| usage(machine.at, &machine.node_disk, logs)),
            })
        })
        .collect();
    let volumes = disk.iter().flat_map(|disk| &disk.volumes).filter(|(name, _)| found.volumes.contains(name));
    let volumes: Vec<_> = volumes
        .map(|(name, used)| VolumeStats { name: name.clone(), fs: usage(machine.at, &machine.node_disk, *used) })
        .collect();
    let ephemeral_storage = disk.map(|disk| {
        let mut all = DiskUsage::default();
        disk.containers.iter().flat_map(|(_, written, logs)| [*written, *logs]).for_each(|used| all += used);
        volumes.iter().for_each(|volume| {
            all += DiskUsage { bytes: volume.fs.used_bytes, inodes: volume.fs.inodes_used };
        });
        usage(machine.at, &machine.node_disk, all)
    });
    PodStats {
        pod_ref: found.pod.clone(),
        start_time: Time(found.sandbox.created_at),
        cpu: together(&containers, |container| &container.cpu),
        memory: containers.iter().map(|container| container.memory.clone()).reduce(|sum, more| MemoryStats {
            time: sum.time.max(more.time),
            available_bytes: None,
            usage_bytes: sum.usage_bytes + more.usage_bytes,
            working_set_bytes: sum.working_set_bytes + more.working_set_bytes,
        }),
        containers,
        volumes,
        ephemeral_storage,
        processes: Some(ProcessStats { process_count: processes }),
    }
}

/// The CPU of several containers.
fn together(containers: &[ContainerStats], of: impl Fn(&ContainerStats) -> &CpuStats) -> Option<CpuStats> {
    containers.iter().map(|container| of(container).clone()).reduce(|sum, more| CpuStats {
        time: sum.time.max(more.time),
        usage_nano_cores: sum.usage_nano_cores.zip(more.usage_nano_cores).map(|(sum, more)| sum + more),
        usage_core_nano_seconds: sum.usage_core_nano_seconds + more.usage_core_nano_seconds,
        window: sum.window.max(more.window),
    })
}
