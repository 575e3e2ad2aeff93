//! What simulated containers use, and the machine that they use it of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::MemoryRuntime;
use super::container::Container;
use crate::clock::Clock;
use crate::runtime::{DiskUsage, Filesystem, MachineStats};

/// What a simulated container uses while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// The working set, in bytes.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u64,
}

impl Load {
    /// Nothing.
    pub const NONE: Self = Self { cpu_millis: 0, memory_bytes: 0, processes: 0 };
}

impl Default for Load {
    /// A thousandth of a core, 8 MiB, one process.
    fn default() -> Self {
        Self { cpu_millis: 1, memory_bytes: 8 << 20, processes: 1 }
    }
}

/// The CPU time that something has used, the load being known at all times.
#[derive(Debug)]
struct Reading {
    since: Timestamp,
    /// CPU time used before that.
    nanos: u64,
    load: Load,
}

/// Counts the CPU time of a load that changes. Clones are the same meter.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<Mutex<Reading>>);

impl Meter {
    pub(super) fn new(now: Timestamp, load: Load) -> Self {
        Self(Arc::new(Mutex::new(Reading { since: now, nanos: 0, load })))
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The load, and the CPU time used until `now`.
    pub(super) fn read(&self, now: Timestamp) -> (Load, u64) {
        let reading = self.reading();
        (reading.load, reading.nanos_at(now))
    }

    /// From now on the load is another.
    pub(super) fn change(&self, now: Timestamp, load: impl FnOnce(&mut Load)) {
        let mut reading = self.reading();
        reading.nanos = reading.nanos_at(now);
        reading.since = now;
        load(&mut reading.load);
    }
}

impl Reading {
    fn nanos_at(&self, now: Timestamp) -> u64 {
        let passed = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        let nanos = passed.as_nanos() * u128::from(self.load.cpu_millis) / 1000;
        self.nanos.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The machine of a simulated node: what it has, and what of it is used by others than its containers and images.
///
/// ```
/// # fn of(runtime: &orchestrion::runtime::memory::MemoryRuntime) {
/// // Somebody else's program needs all but 50 MiB of the memory.
/// runtime.change_machine(|machine| machine.others.memory_bytes = machine.memory_bytes - (50 << 20));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedMachine {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The disk, in bytes.
    pub disk_bytes: u64,
    /// How many files the disk has room for.
    pub disk_inodes: u64,
    /// What is on the disk beside images and what pods write.
    pub disk_others: DiskUsage,
    /// The size of the disk that images and what containers write are on, where it is another.
    pub image_disk_bytes: Option<u64>,
    /// How many processes there can be.
    pub processes_max: u64,
    /// What others than containers use of CPU and memory, and their processes.
    pub others: Load,
}

impl Default for SimulatedMachine {
    /// 16 GiB of memory and a disk of 100 GiB, as [`AgentConfig`](crate::node::AgentConfig) has it too, little of it
    /// used.
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 30,
            disk_bytes: 100 << 30,
            disk_inodes: 6_553_600,
            disk_others: DiskUsage { bytes: 4 << 30, inodes: 100_000 },
            image_disk_bytes: None,
            processes_max: 32_768,
            others: Load { cpu_millis: 20, memory_bytes: 256 << 20, processes: 100 },
        }
    }
}

/// What a runtime knows of its machine.
#[derive(Debug)]
pub(super) struct Machine {
    booted_at: Timestamp,
    state: Mutex<SimulatedMachine>,
    others: Meter,
    /// CPU time of containers that are no more.
    ended_nanos: Mutex<u64>,
}

impl Machine {
    pub(super) fn new(clock: &Clock) -> Self {
        let (now, state) = (clock.now(), SimulatedMachine::default());
        let others = Meter::new(now, state.others);
        Self { booted_at: now, state: Mutex::new(state), others, ended_nanos: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, SimulatedMachine> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is removed: what it has used stays used.
    pub(super) fn outlive(&self, container: &Container, now: Timestamp) {
        let mut ended = self.ended_nanos.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = ended.saturating_add(container.used(now).1);
    }
}

impl MemoryRuntime {
    /// The machine as it is set.
    pub fn simulated_machine(&self) -> SimulatedMachine {
        *self.0.machine.state()
    }

    /// Changes what the machine has, or what others use of it.
    pub fn change_machine(&self, change: impl FnOnce(&mut SimulatedMachine)) {
        let mut state = self.0.machine.state();
        change(&mut state);
        let others = state.others;
        self.0.machine.others.change(self.0.config.clock.now(), |load| *load = others);
    }

    /// Changes what a pod's running container uses from now on. Whether there is one.
    pub fn change_load(&self, pod_uid: &str, container: &str, change: impl FnOnce(&mut Load)) -> bool {
        let found = self.running(pod_uid, container);
        found.inspect(|container| container.meter.change(self.0.config.clock.now(), change)).is_some()
    }

    /// What [`Runtime::machine`](crate::runtime::Runtime::machine) tells, at once.
    pub fn measure(&self) -> MachineStats {
        let (now, machine) = (self.0.config.clock.now(), &self.0.machine);
        let state = *machine.state();
        let (mut used, mut cpu_nanos) = machine.others.read(now);
        cpu_nanos += *machine.ended_nanos.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut images, mut written, mut volumes) = (DiskUsage::default(), DiskUsage::default(), DiskUsage::default());
        {
            let tables = self.tables();
            for image in tables.images.values() {
                images += DiskUsage { bytes: image.size, inodes: 1 };
            }
            for container in tables.containers.values() {
                let (load, nanos) = container.used(now);
                cpu_nanos += nanos;
                used.memory_bytes += load.memory_bytes;
                used.processes += load.processes;
                let (layer, log) = container.disk();
                written += layer;
                volumes += log;
            }
            for sandbox in tables.sandboxes.values() {
                tables.directories(sandbox).for_each(|usage| volumes += usage);
            }
        }
        let (mut on_node, mut on_images) = (state.disk_others, DiskUsage::default());
        on_node += volumes;
        let dedicated = state.image_disk_bytes.is_some();
        for usage in [images, written] {
            let disk = if dedicated { &mut on_images } else { &mut on_node };
            *disk += usage;
        }
        let disk = |capacity: u64, used: DiskUsage| Filesystem {
            capacity,
            available: capacity.saturating_sub(used.bytes),
            inodes: state.disk_inodes,
            inodes_free: state.disk_inodes.saturating_sub(used.inodes),
        };
        MachineStats {
            at: now,
            booted_at: machine.booted_at,
            cpu_nanos,
            memory_capacity: state.memory_bytes,
            memory_used: used.memory_bytes.min(state.memory_bytes),
            memory_total: used.memory_bytes.min(state.memory_bytes),
            node_disk: disk(state.disk_bytes, on_node),
            image_disk: state.image_disk_bytes.map(|capacity| disk(capacity, on_images)),
            processes_max: state.processes_max,
            processes: used.processes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_counts_what_was_used_at_each_time() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let meter = Meter::new(at(0), Load { cpu_millis: 500, ..Load::default() });
        meter.change(at(10), |load| load.cpu_millis = 2000);
        assert_eq!(meter.read(at(11)).1, 7_000_000_000);
        meter.change(at(20), |load| *load = Load::NONE);
        assert_eq!(meter.read(at(100)), (Load::NONE, 25_000_000_000));
    }
}
