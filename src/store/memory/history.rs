//! What the store remembers: recent changes, and the older snapshots that readers page through.

use std::collections::VecDeque;
use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::api::{Object, Revision};
use crate::store::{Change, StoreError};

/// How many writes later an object may lose its typed form.
pub(super) const RECENT: usize = 200;

/// … and how many where a watcher has yet to see it, which would have to make the typed form anew.
pub(super) const PATIENCE: usize = 1_000;

/// How many are cooled with a write, at most: more than come, so that they become fewer when watchers have caught up.
const AT_ONCE: usize = 2;

/// How many older snapshots are kept for the next page.
const VIEWS: usize = 16;

/// All changes after `floor`, in order; at most `capacity` of them.
#[derive(Debug)]
pub(super) struct History {
    changes: VecDeque<Arc<Change>>,
    floor: Revision,
    capacity: usize,
    /// How many of them, the newest, have not been cooled yet.
    warm: usize,
}

/// What has lost its typed form.
#[derive(Debug)]
pub(super) struct Cooled {
    /// A version that may still be stored, and what stands for it now.
    pub(super) current: Option<(Object, Object)>,
    /// What the history had: dropping it is nothing to do under a lock.
    _before: Arc<Change>,
}

/// Snapshots that were read in part, or made by undoing changes. The least recently kept goes first.
#[derive(Debug, Default)]
pub(super) struct Views(VecDeque<Arc<Snapshot>>);

// === impl History ===

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        Self { changes: VecDeque::new(), floor: Revision::ZERO, capacity, warm: 0 }
    }

    /// Appends a change. Gives the one that is forgotten for it: dropping that is nothing to do under a lock.
    pub(super) fn push(&mut self, change: Arc<Change>) -> Option<Arc<Change>> {
        let oldest = if self.changes.len() == self.capacity { self.take_oldest() } else { None };
        self.changes.push_back(change);
        self.warm += 1;
        oldest
    }

    /// The changes that are to be cooled once so many more have been written: not recent any more, and seen by all who watch
    /// for them, or waited for long enough.
    pub(super) fn due(&self, coming: usize) -> impl Iterator<Item = &Arc<Change>> {
        let warm = self.changes.range(self.changes.len() - self.warm..).take(AT_ONCE);
        let due = warm.zip((0..=self.warm + coming).rev()).take_while(|(change, behind)| {
            let seen = Arc::weak_count(change) == 0;
            *behind > if seen { RECENT } else { PATIENCE }
        });
        due.map(|(change, _)| change)
    }

    /// Lets go of typed forms of the changes that are due: of the versions that they replaced, and as `cooled` says of those
    /// that they wrote.
    pub(super) fn cool(&mut self, cooled: impl Fn(&Object) -> Option<Object>) -> [Option<Cooled>; AT_ONCE] {
        std::array::from_fn(|_| self.cool_next(&cooled))
    }

    fn cool_next(&mut self, cooled: impl Fn(&Object) -> Option<Object>) -> Option<Cooled> {
        self.due(0).next()?;
        let at = self.changes.len() - self.warm;
        self.warm -= 1;
        let change = &mut self.changes[at];
        let Change { revision, object, previous, deleted } = &**change;
        let before = previous.as_ref().and_then(|previous| previous.cooled(false));
        let cold = match (deleted, &before) {
            (true, Some(before)) => Some(before.at(*revision)),
            (true, None) => None,
            (false, _) => cooled(object),
        };
        if before.is_none() && cold.is_none() {
            return None;
        }
        let current = cold.clone().filter(|_| !deleted).map(|cold| (object.clone(), cold));
        let (object, previous) = (cold.unwrap_or_else(|| object.clone()), before.or_else(|| previous.clone()));
        let cold = Arc::new(Change { revision: *revision, object, previous, deleted: *deleted });
        Some(Cooled { current, _before: std::mem::replace(change, cold) })
    }

    /// All changes after this are here.
    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    /// The changes after `revision`.
    pub(super) fn after(&self, revision: Revision) -> Result<Vec<Arc<Change>>, StoreError> {
        Ok(self.changes.range(self.position(revision)?..).cloned().collect())
    }

    /// Of the next `count` changes after `revision`: those that `matches`, and the revision of the last looked at.
    pub(super) fn scan(
        &self,
        revision: Revision,
        count: usize,
        matches: impl Fn(&Change) -> bool,
    ) -> Result<(VecDeque<Arc<Change>>, Revision), StoreError> {
        let start = self.position(revision)?;
        let end = self.changes.len().min(start + count);
        let found = self.changes.range(start..end).filter(|change| matches(change)).cloned().collect();
        let last = if end > start { self.changes[end - 1].revision } else { revision };
        Ok((found, last))
    }

    /// Forgets the changes up to and including `revision`.
    pub(super) fn forget(&mut self, revision: Revision) {
        while self.changes.front().is_some_and(|change| change.revision <= revision) {
            self.take_oldest();
        }
        self.floor = self.floor.max(revision);
    }

    fn take_oldest(&mut self) -> Option<Arc<Change>> {
        let oldest = self.changes.pop_front()?;
        self.warm = self.warm.min(self.changes.len());
        self.floor = oldest.revision;
        Some(oldest)
    }

    fn position(&self, revision: Revision) -> Result<usize, StoreError> {
        if revision < self.floor {
            return Err(StoreError::Expired { asked: revision, oldest: self.floor });
        }
        Ok(self.changes.partition_point(|change| change.revision <= revision))
    }
}

// === impl Views ===

impl Views {
    pub(super) fn get(&self, revision: Revision) -> Option<Arc<Snapshot>> {
        self.0.iter().find(|view| view.revision() == revision).cloned()
    }

    pub(super) fn keep(&mut self, snapshot: Arc<Snapshot>) {
        self.0.retain(|view| view.revision() != snapshot.revision());
        if self.0.len() == VIEWS {
            self.0.pop_front();
        }
        self.0.push_back(snapshot);
    }

    pub(super) fn forget(&mut self, revision: Revision) {
        self.0.retain(|view| view.revision() >= revision);
    }
}
