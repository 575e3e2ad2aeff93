//! What containers, pods and the machine use.

use jiff::Timestamp;

use super::container::ContainerId;

/// What a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// When this was measured.
    pub at: Timestamp,
    /// CPU time used since its start, in nanoseconds of one core. It never becomes less.
    pub cpu_nanos: u64,
    /// Memory in use that cannot be reclaimed (the working set), in bytes.
    pub memory_bytes: u64,
    /// Memory in use, caches included, in bytes.
    pub memory_total_bytes: u64,
    /// Its processes.
    pub processes: u64,
}

/// What something keeps on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl std::ops::AddAssign for DiskUsage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

/// What a pod keeps on the disks of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDisk {
    /// Each container: what it has written over its image, and its log.
    pub containers: Vec<(ContainerId, DiskUsage, DiskUsage)>,
    /// Each directory that began empty, by the name of its volume. Not those in memory.
    pub volumes: Vec<(String, DiskUsage)>,
}

/// A disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Its size, in bytes.
    pub capacity: u64,
    /// What is left for those who are not root, in bytes.
    pub available: u64,
    /// How many files it has room for; 0 where it has room for as many as it has bytes for.
    pub inodes: u64,
    /// How many more it has room for.
    pub inodes_free: u64,
}

/// What the machine of a node has, and how much of it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineStats {
    /// When this was measured.
    pub at: Timestamp,
    /// Since when the machine counts its CPU time.
    pub booted_at: Timestamp,
    /// CPU time used since then by everything, in nanoseconds of one core.
    pub cpu_nanos: u64,
    /// Memory, in bytes.
    pub memory_capacity: u64,
    /// Memory in use by everything that cannot be reclaimed (the working set), in bytes.
    pub memory_used: u64,
    /// Memory in use, caches included, in bytes.
    pub memory_total: u64,
    /// The disk of pods' volumes and logs.
    pub node_disk: Filesystem,
    /// The disk of images and of what containers write, where it is another.
    pub image_disk: Option<Filesystem>,
    /// How many processes there can be.
    pub processes_max: u64,
    /// How many there are.
    pub processes: u64,
}

impl MachineStats {
    /// The disk of images.
    pub fn images_on(&self) -> Filesystem {
        self.image_disk.unwrap_or(self.node_disk)
    }
}
