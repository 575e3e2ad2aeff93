//! What a node and its pods use, in the form in which a kubelet tells it (`/stats/summary`).
//!
//! Source: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::node_endpoint::PodRef;

/// How much is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// CPU and memory alone, which cost little.
    CpuAndMemory,
    /// Disks, too.
    All,
}

/// What a node and its pods use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The node.
    pub node: NodeStats,
    /// Its pods, in the order of their UIDs.
    pub pods: Vec<PodStats>,
}

/// What a node uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    /// The node's name.
    pub node_name: String,
    /// When it was started.
    pub start_time: Time,
    /// CPU of everything on it.
    pub cpu: CpuStats,
    /// Memory of everything on it.
    pub memory: MemoryStats,
    /// The disk of pods' directories and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs: Option<FsStats>,
    /// What the runtime keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeStats>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit: Option<RlimitStats>,
}

/// What the runtime keeps.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeStats {
    /// The disk of images.
    pub image_fs: FsStats,
    /// The disk of what containers write.
    pub container_fs: FsStats,
}

/// How many processes there can be, and are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RlimitStats {
    /// When this was measured.
    pub time: Time,
    /// The most.
    #[serde(rename = "maxpid")]
    pub max: u64,
    /// Now.
    #[serde(rename = "curproc")]
    pub running: u64,
}

/// What a pod uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStats {
    /// Which pod.
    pub pod_ref: PodRef,
    /// When its sandbox was made.
    pub start_time: Time,
    /// Its running containers.
    pub containers: Vec<ContainerStats>,
    /// CPU of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuStats>,
    /// Memory of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStats>,
    /// Volumes on the node's own disk.
    #[serde(rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStats>,
    /// All that it keeps on the node's own disk.
    #[serde(rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<FsStats>,
    /// Processes.
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    pub processes: Option<ProcessStats>,
}

/// How many processes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessStats {
    /// How many.
    pub process_count: u64,
}

/// What a container uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStats {
    /// Its name in the pod.
    pub name: String,
    /// When its program began.
    pub start_time: Time,
    /// CPU.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// What it has written over its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<FsStats>,
    /// Its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<FsStats>,
}

/// CPU in use.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuStats {
    /// When this was measured.
    pub time: Time,
    /// Billionths of a core, on average over the window; none where it has not been looked at for long enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_nano_cores: Option<u64>,
    /// Time used since the start, in nanoseconds of one core.
    pub usage_core_nano_seconds: u64,
    /// The time before `time` over which `usage_nano_cores` is the average.
    #[serde(skip)]
    pub window: Duration,
}

/// Memory in use, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStats {
    /// When this was measured.
    pub time: Time,
    /// What is left, where there is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// What is used, caches included.
    pub usage_bytes: u64,
    /// What is used and cannot be reclaimed easily.
    pub working_set_bytes: u64,
}

/// A disk, or what is used of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FsStats {
    /// When this was measured.
    pub time: Time,
    /// What is left of the disk, in bytes.
    pub available_bytes: u64,
    /// The disk's size, in bytes.
    pub capacity_bytes: u64,
    /// What is used, in bytes: of the whole disk, or by that container or volume.
    pub used_bytes: u64,
    /// How many more files the disk has room for.
    pub inodes_free: u64,
    /// How many it has room for in all.
    pub inodes: u64,
    /// How many are used: of the whole disk, or by that container or volume.
    pub inodes_used: u64,
}

/// What is used of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VolumeStats {
    /// Its name in the pod.
    pub name: String,
    /// How much.
    #[serde(flatten)]
    pub fs: FsStats,
}
