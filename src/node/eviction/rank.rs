//! Which pod goes first.
//!
//! Source: `k8s.io/kubernetes/pkg/kubelet/eviction/helpers.go`: those that use more than they asked for, then those of
//! lower priority, then those that use most over what they asked for.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::config::Signal;
use crate::api::Quantity;
use crate::api::kinds::core::pod::requests;
use crate::api::rules::resources::amount_of;
use crate::api::stats::PodStats;

/// A pod that may be ended, and what it uses, where that could be measured.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) pod: Arc<Pod>,
    pub(super) stats: Option<PodStats>,
}

/// What of a pod's files counts for a signal: what its containers have written over their images; logs and volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Files {
    layers: bool,
    others: bool,
}

/// Sorts pods: who goes first stands first. `dedicated` says whether images have a disk of their own.
pub(super) fn rank(candidates: &mut [Candidate], signal: Signal, dedicated: bool) {
    candidates.sort_by_cached_key(|candidate| Key(key(candidate, signal, dedicated)));
}

/// Whether a pod that cannot be measured comes first, whether it exceeds its requests, its priority, and by how much it
/// exceeds them. Every part puts first what is greater, but for the priority.
type Parts = (bool, Reverse<bool>, i32, Reverse<i128>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(Parts);

fn key(candidate: &Candidate, signal: Signal, dedicated: bool) -> Parts {
    let spec = candidate.pod.spec.as_ref();
    let priority = spec.and_then(|spec| spec.priority).unwrap_or(0);
    let Some(stats) = &candidate.stats else { return (false, Reverse(true), priority, Reverse(0)) };
    let requested = |name: &str| spec.map_or(0, |spec| request(spec, name));
    let (exceeds, excess) = match signal {
        Signal::MemoryAvailable => {
            let used = stats.memory.as_ref().map_or(0, |memory| i128::from(memory.working_set_bytes));
            let over = used - requested("memory");
            (over > 0, over)
        }
        // Nobody asks for processes.
        Signal::PidAvailable => (false, stats.processes.map_or(0, |processes| processes.process_count.into())),
        Signal::NodeFsAvailable | Signal::ImageFsAvailable => {
            let over = i128::from(files(stats, counted(signal, dedicated)).0) - requested("ephemeral-storage");
            (over > 0, over)
        }
        Signal::NodeFsInodesFree | Signal::ImageFsInodesFree => {
            let inodes = i128::from(files(stats, counted(signal, dedicated)).1);
            (inodes > 0, inodes)
        }
    };
    (true, Reverse(exceeds), priority, Reverse(excess))
}

fn request(spec: &PodSpec, name: &str) -> i128 {
    requests::of_pod(spec).get(name).map_or(0, |amount| amount.value().into())
}

fn counted(signal: Signal, dedicated: bool) -> Files {
    let of_images = matches!(signal, Signal::ImageFsAvailable | Signal::ImageFsInodesFree);
    Files { layers: !dedicated || of_images, others: !dedicated || !of_images }
}

/// Bytes and files.
fn files(stats: &PodStats, counted: Files) -> (u64, u64) {
    let layers = stats.containers.iter().filter_map(|container| container.rootfs.as_ref());
    let logs = stats.containers.iter().filter_map(|container| container.logs.as_ref());
    let others = logs.chain(stats.volumes.iter().map(|volume| &volume.fs)).filter(|_| counted.others);
    let all = layers.filter(|_| counted.layers).chain(others);
    all.fold((0, 0), |(bytes, inodes), fs| (bytes + fs.used_bytes, inodes + fs.inodes_used))
}

/// The order in which thresholds are dealt with: memory first.
pub(super) fn by_urgency(a: Signal, b: Signal) -> Ordering {
    let rank = |signal| signal != Signal::MemoryAvailable;
    rank(a).cmp(&rank(b))
}

/// What a container asks for.
pub(super) fn container_request(pod: &Pod, container: &str, resource: &str) -> Quantity {
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let found = all.into_iter().find(|one| one.name == container);
    let requests = found.and_then(|one| one.resources.as_ref()?.requests.as_ref());
    amount_of(requests, resource).unwrap_or_default()
}
