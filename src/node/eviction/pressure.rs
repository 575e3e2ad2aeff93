//! Which thresholds are met, and what the node says about it: a pure function of what was observed, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::config::{Amount, EvictionConfig, Pressure, Signal, Threshold};
use crate::api::{Format, Quantity};
use crate::runtime::MachineStats;

/// What is left of something, and how much there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) available: Quantity,
    pub(super) capacity: Quantity,
}

/// What the signals say, as far as they can. No map: most nodes look at it every ten seconds for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Observations([Option<Observed>; 6]);

impl Observations {
    /// What a signal says.
    pub(super) fn of(&self, signal: Signal) -> Option<&Observed> {
        self.0.get(signal as usize)?.as_ref()
    }
}

/// What the signals say of a machine. A disk that does not count files says nothing about them.
pub(super) fn observe(machine: &MachineStats) -> Observations {
    let of = |available: u64, capacity: u64, format| {
        let quantity = |value: u64| Quantity::new(i64::try_from(value).unwrap_or(i64::MAX), format);
        Observed { available: quantity(available), capacity: quantity(capacity) }
    };
    let bytes = |available, capacity| Some(of(available, capacity, Format::BinarySi)).filter(|_| capacity > 0);
    let count = |available, capacity| Some(of(available, capacity, Format::DecimalSi)).filter(|_| capacity > 0);
    let (node, images) = (machine.node_disk, machine.images_on());
    let memory = machine.memory_capacity.saturating_sub(machine.memory_used);
    let processes = machine.processes_max.saturating_sub(machine.processes);
    let mut observations = Observations::default();
    for (signal, observed) in [
        (Signal::MemoryAvailable, bytes(memory, machine.memory_capacity)),
        (Signal::NodeFsAvailable, bytes(node.available, node.capacity)),
        (Signal::NodeFsInodesFree, count(node.inodes_free, node.inodes)),
        (Signal::ImageFsAvailable, bytes(images.available, images.capacity)),
        (Signal::ImageFsInodesFree, count(images.inodes_free, images.inodes)),
        (Signal::PidAvailable, count(processes, machine.processes_max)),
    ] {
        observations.0[signal as usize] = observed;
    }
    observations
}

/// An amount of what there is of something.
pub(super) fn amount(of: Amount, capacity: Quantity) -> Quantity {
    match of {
        Amount::Of(quantity) => quantity,
        Amount::Percent(percent) => {
            #[allow(clippy::cast_possible_truncation, reason = "whole units, as a kubelet counts")]
            let value = (capacity.to_f64() * percent / 100.0) as i64;
            Quantity::new(value, capacity.format())
        }
    }
}

/// Whether a threshold is met; with `reclaim`, whether it is not over yet.
pub(super) fn is_met(threshold: &Threshold, observations: &Observations, reclaim: bool) -> bool {
    let Some(observed) = observations.of(threshold.signal) else { return false };
    let mut least = amount(threshold.least, observed.capacity);
    if let Some(more) = threshold.reclaim.filter(|_| reclaim) {
        least += amount(more, observed.capacity);
    }
    observed.available < least
}

/// What is known of a node's thresholds, which are named by their place in the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Watch {
    /// Since when each threshold is met that is.
    since: BTreeMap<usize, Timestamp>,
    /// Those that have been met for long enough.
    due: BTreeSet<usize>,
    /// When each condition was last observed.
    seen: BTreeMap<Pressure, Timestamp>,
}

impl Watch {
    /// Takes over what is observed now. The thresholds that call for something to be done, and the conditions that the
    /// node is in.
    pub(super) fn update(
        &mut self,
        config: &EvictionConfig,
        observations: &Observations,
        now: Timestamp,
    ) -> (Vec<Threshold>, BTreeSet<Pressure>) {
        let met = config.thresholds.iter().enumerate().filter(|(at, threshold)| {
            is_met(threshold, observations, false) || (self.due.contains(at) && is_met(threshold, observations, true))
        });
        let met: BTreeMap<usize, &Threshold> = met.collect();
        if met.is_empty() && self.seen.is_empty() {
            *self = Self::default();
            return Default::default();
        }
        self.since = met.keys().map(|at| (*at, self.since.get(at).copied().unwrap_or(now))).collect();
        self.seen.extend(met.values().map(|threshold| (threshold.signal.pressure(), now)));
        let passed = |since: &Timestamp| Duration::try_from(now.duration_since(*since)).unwrap_or_default();
        let due =
            met.iter().filter(|(at, threshold)| self.since.get(at).is_some_and(|at| passed(at) >= threshold.grace));
        let due: BTreeMap<usize, Threshold> = due.map(|(at, threshold)| (*at, **threshold)).collect();
        self.due = due.keys().copied().collect();
        self.seen.retain(|_, at| passed(at) < config.transition);
        (due.into_values().collect(), self.seen.keys().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    fn left(mebibytes: i64) -> Observations {
        let quantity = |mebibytes| Quantity::new(mebibytes * MIB, Format::BinarySi);
        let mut observations = Observations::default();
        observations.0[Signal::MemoryAvailable as usize] =
            Some(Observed { available: quantity(mebibytes), capacity: quantity(1000) });
        observations
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_soft_threshold_waits_and_a_condition_stays() {
        let soft = "memory.available<200Mi".parse::<Threshold>().unwrap().for_longer_than(Duration::from_secs(60));
        let config = EvictionConfig { thresholds: vec![soft], ..EvictionConfig::default() };
        let mut watch = Watch::default();
        let memory = BTreeSet::from([Pressure::Memory]);
        assert_eq!(watch.update(&config, &left(300), at(0)), (vec![], BTreeSet::new()));
        assert_eq!(watch.update(&config, &left(100), at(10)), (vec![], memory.clone()), "the node says so at once");
        assert_eq!(watch.update(&config, &left(250), at(60)), (vec![], memory.clone()));
        assert_eq!(watch.update(&config, &left(100), at(70)), (vec![], memory.clone()), "the time begins anew");
        assert_eq!(watch.update(&config, &left(100), at(130)), (vec![soft], memory.clone()));
        assert_eq!(watch.update(&config, &left(300), at(140)), (vec![], memory.clone()));
        assert_eq!(watch.update(&config, &left(300), at(429)), (vec![], memory));
        assert_eq!(watch.update(&config, &left(300), at(430)), (vec![], BTreeSet::new()), "five minutes later");
    }

    #[test]
    fn a_threshold_is_over_when_as_much_as_wanted_is_reclaimed() {
        let hard = "memory.available<10%".parse::<Threshold>().unwrap().reclaiming("50Mi".parse().unwrap());
        let config = EvictionConfig { thresholds: vec![hard], ..EvictionConfig::default() };
        let mut watch = Watch::default();
        let mut due = |mebibytes, second| watch.update(&config, &left(mebibytes), at(second)).0.len();
        assert_eq!(due(120, 0), 0);
        assert_eq!(due(99, 10), 1);
        assert_eq!(due(149, 20), 1);
        assert_eq!(due(150, 30), 0);
        assert_eq!(due(149, 40), 0);
    }

    #[test]
    fn a_disk_without_inodes_says_nothing_about_them() {
        let disk = crate::runtime::Filesystem { capacity: 10, available: 5, inodes: 0, inodes_free: 0 };
        let machine = MachineStats {
            at: at(0),
            booted_at: at(0),
            cpu_nanos: 0,
            memory_capacity: 10,
            memory_used: 1,
            memory_total: 1,
            node_disk: disk,
            image_disk: None,
            processes_max: 10,
            processes: 9,
        };
        let observed = observe(&machine);
        assert_eq!(observed.of(Signal::NodeFsInodesFree), None);
        assert_eq!(observed.of(Signal::PidAvailable).unwrap().available.value(), 1);
    }
}
