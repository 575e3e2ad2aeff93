//! The recent changes of the nodes, so that what was worked out of them is brought up to date instead of made anew.

use std::collections::VecDeque;
use std::sync::Arc;

/// How many changes are remembered at least.
const MEMORY: usize = 4096;

/// Which nodes changed, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Marks the snapshots that were taken of one cluster.
    lineage: Arc<()>,
    forgotten: u64,
    slots: VecDeque<usize>,
}

/// A moment in the history of a cluster.
#[derive(Clone, Debug)]
pub struct Moment {
    lineage: Arc<()>,
    at: u64,
}

impl Moment {
    /// Before all changes of all clusters.
    pub(in crate::scheduler) fn never() -> Self {
        Self { lineage: Arc::default(), at: 0 }
    }

    /// Whether it is of the history of `cluster`.
    pub(in crate::scheduler) fn is_of(&self, cluster: &super::Snapshot) -> bool {
        Arc::ptr_eq(&self.lineage, &cluster.changes.lineage)
    }
}

impl Changes {
    pub(super) fn note(&mut self, slot: usize, nodes: usize) {
        if self.slots.len() >= MEMORY.max(4 * nodes) {
            self.slots.pop_front();
            self.forgotten += 1;
        }
        self.slots.push_back(slot);
    }

    pub(super) fn now(&self) -> Moment {
        Moment { lineage: Arc::clone(&self.lineage), at: self.forgotten + self.slots.len() as u64 }
    }

    /// What changed since `moment`; `None` where that is not known: it is of another cluster, too long ago, or not yet.
    pub(super) fn since(&self, moment: &Moment) -> Option<impl Iterator<Item = usize> + '_> {
        let past = moment.at.checked_sub(self.forgotten).and_then(|past| usize::try_from(past).ok())?;
        let known = Arc::ptr_eq(&self.lineage, &moment.lineage) && past <= self.slots.len();
        known.then(|| self.slots.range(past..).copied())
    }
}
