//! When a node ends pods to save itself.
//!
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>; names, defaults and the
//! text form are those of a kubelet's `evictionHard`, `evictionSoft`, `evictionMinimumReclaim`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::api::Quantity;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Memory that is free or can be reclaimed.
    MemoryAvailable,
    /// Bytes free on the disk of pods' volumes and logs.
    NodeFsAvailable,
    /// Files that there is still room for on it.
    NodeFsInodesFree,
    /// Bytes free on the disk of images and of what containers write.
    ImageFsAvailable,
    /// Files that there is still room for on it.
    ImageFsInodesFree,
    /// Processes that there is still room for.
    PidAvailable,
}

/// What is short when a threshold is met: a condition of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// `MemoryPressure`
    Memory,
    /// `DiskPressure`
    Disk,
    /// `PIDPressure`
    Pid,
}

/// Signals with their names, the conditions that they set, and the names of what is then short.
const SIGNALS: &[(Signal, &str, Pressure, &str)] = &[
    (Signal::MemoryAvailable, "memory.available", Pressure::Memory, "memory"),
    (Signal::NodeFsAvailable, "nodefs.available", Pressure::Disk, "ephemeral-storage"),
    (Signal::NodeFsInodesFree, "nodefs.inodesFree", Pressure::Disk, "inodes"),
    (Signal::ImageFsAvailable, "imagefs.available", Pressure::Disk, "ephemeral-storage"),
    (Signal::ImageFsInodesFree, "imagefs.inodesFree", Pressure::Disk, "inodes"),
    (Signal::PidAvailable, "pid.available", Pressure::Pid, "pids"),
];

impl Signal {
    fn row(self) -> &'static (Self, &'static str, Pressure, &'static str) {
        SIGNALS.iter().find(|row| row.0 == self).unwrap_or(&SIGNALS[0])
    }

    /// The condition that it sets.
    pub(super) fn pressure(self) -> Pressure {
        self.row().2
    }

    /// What is short then: `memory`, `ephemeral-storage`, `inodes`, `pids`.
    pub(super) fn resource(self) -> &'static str {
        self.row().3
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl Pressure {
    /// The type of the condition.
    pub(in crate::node) const fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }
}

/// An amount of what a signal counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// That many bytes, files or processes.
    Of(Quantity),
    /// That part of all that there is, in percent.
    Percent(f64),
}

impl FromStr for Amount {
    type Err = BadThreshold;

    fn from_str(text: &str) -> Result<Self, BadThreshold> {
        let bad = || BadThreshold(text.to_owned());
        let amount = match text.strip_suffix('%') {
            Some(percent) => Self::Percent(percent.parse().map_err(|_| bad())?),
            None => Self::Of(text.parse().map_err(|_| bad())?),
        };
        match amount {
            Self::Percent(percent) if !(0.0..=100.0).contains(&percent) => Err(bad()),
            Self::Of(quantity) if quantity.is_negative() => Err(bad()),
            amount => Ok(amount),
        }
    }
}

/// A signal that has become low.
///
/// ```
/// use std::time::Duration;
/// use orchestrion::node::Threshold;
/// let hard: Threshold = "memory.available<500Mi".parse()?;
/// let soft = "nodefs.available<15%".parse::<Threshold>()?.for_longer_than(Duration::from_secs(120)).reclaiming("2Gi".parse()?);
/// # Ok::<(), orchestrion::node::BadThreshold>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// What is watched.
    pub signal: Signal,
    /// It is met where less than this is left.
    pub least: Amount,
    /// How long it must be met before pods are ended; with nothing (a hard threshold) they are ended at once, and
    /// without their own grace periods.
    pub grace: Duration,
    /// How much more than `least` must be left for it to be over.
    pub reclaim: Option<Amount>,
}

/// A text that is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no eviction threshold: they look like memory.available<100Mi or nodefs.available<10%")]
pub struct BadThreshold(String);

impl FromStr for Threshold {
    type Err = BadThreshold;

    fn from_str(text: &str) -> Result<Self, BadThreshold> {
        let bad = || BadThreshold(text.to_owned());
        let (name, least) = text.split_once('<').ok_or_else(bad)?;
        let signal = SIGNALS.iter().find(|row| row.1 == name.trim()).map(|row| row.0).ok_or_else(bad)?;
        Ok(Self { signal, least: least.trim().parse()?, grace: Duration::ZERO, reclaim: None })
    }
}

impl Threshold {
    /// A soft threshold: met only when it has been so for that long.
    #[must_use]
    pub fn for_longer_than(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Once met, it is over only when that much more is left.
    #[must_use]
    pub fn reclaiming(self, amount: Amount) -> Self {
        Self { reclaim: Some(amount), ..self }
    }

    /// Whether pods are ended as soon as it is met.
    pub fn is_hard(&self) -> bool {
        self.grace.is_zero()
    }
}

/// When a node ends pods to save itself.
#[derive(Clone, Debug, PartialEq)]
pub struct EvictionConfig {
    /// What must not become low. A kubelet's own: `memory.available<100Mi`, `nodefs.available<10%`,
    /// `nodefs.inodesFree<5%`, `imagefs.available<15%`, `imagefs.inodesFree<5%`.
    pub thresholds: Vec<Threshold>,
    /// How long a condition stays after its threshold was last met. 5 minutes.
    pub transition: Duration,
    /// The most that a pod's own grace period counts where a soft threshold ends it. Nothing.
    pub longest_grace: Duration,
    /// How often the node looks. 10 seconds.
    pub interval: Duration,
    /// Whether pods are ended that keep more on the node's disk than their limits allow.
    pub local_storage: bool,
}

impl Default for EvictionConfig {
    fn default() -> Self {
        let percent = |signal, percent| Threshold {
            signal,
            least: Amount::Percent(percent),
            grace: Duration::ZERO,
            reclaim: None,
        };
        let memory = Amount::Of(Quantity::new(100 << 20, crate::api::Format::BinarySi));
        Self {
            thresholds: vec![
                Threshold { least: memory, ..percent(Signal::MemoryAvailable, 0.0) },
                percent(Signal::NodeFsAvailable, 10.0),
                percent(Signal::NodeFsInodesFree, 5.0),
                percent(Signal::ImageFsAvailable, 15.0),
                percent(Signal::ImageFsInodesFree, 5.0),
            ],
            transition: Duration::from_secs(300),
            longest_grace: Duration::ZERO,
            interval: Duration::from_secs(10),
            local_storage: true,
        }
    }
}

impl EvictionConfig {
    /// Without the thresholds of disks: for machines whose disk is not the cluster's to clear.
    #[must_use]
    pub fn without_disks(mut self) -> Self {
        self.thresholds.retain(|threshold| threshold.signal.pressure() != Pressure::Disk);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_as_a_kubelet_reads_them() {
        let threshold: Threshold = "imagefs.available<15%".parse().unwrap();
        assert_eq!(threshold, EvictionConfig::default().thresholds[3]);
        assert_eq!("memory.available<100Mi".parse(), Ok(EvictionConfig::default().thresholds[0]));
        for bad in ["memory.available", "memory<1Gi", "memory.available<-1", "memory.available<120%", "pid.available<x"]
        {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
        assert_eq!(EvictionConfig::default().without_disks().thresholds.len(), 1);
    }
}
