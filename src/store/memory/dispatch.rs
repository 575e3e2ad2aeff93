//! Channels: where watchers find what has changed. There is one per watched scope, with the changes of that scope that
//! not all of its [watchers](super::watcher) have seen and the history remembers; a write looks up the few channels that it
//! concerns and appends one pointer to each, however many watchers there are.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::Waker;

use foldhash::HashMap;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;

use super::snapshot::{Moved, Values};
use super::{Index, lock};
use crate::api::{GroupResource, Key, Revision};
use crate::store::{Change, Scope};

/// The channels of the scopes that are being watched. Its maps are never iterated into behaviour.
#[derive(Default)]
pub(super) struct Channels {
    by_resource: HashMap<GroupResource, Watched>,
}

/// The channels of one resource.
#[derive(Default)]
struct Watched {
    whole: Places,
    /// By an indexed field, and its value.
    by_value: Vec<(&'static str, HashMap<Arc<str>, Places>)>,
}

/// The channels of all namespaces together, and of each.
#[derive(Default)]
struct Places {
    everywhere: Option<Arc<Channel>>,
    by_namespace: HashMap<Arc<str>, Arc<Channel>>,
}

/// What of the history is in one scope, since it is watched.
#[derive(Debug)]
pub(super) struct Channel(Mutex<Ring>);

/// All changes of the scope after `since`. What a change holds is the history's to keep: where that has let go of it,
/// the ring has nothing either. (There is a ring for every node, and all that its pods ever were is a lot.) The history in
/// turn sees by these pointers what somebody has yet to see.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) since: Revision,
    changes: VecDeque<Entry>,
    /// How many changes there were before these.
    dropped: u64,
    watchers: usize,
    /// Who has seen all of it, and is to be woken.
    waiting: Slab<Waker>,
    /// How often those who waited have been woken.
    woken: u64,
}

#[derive(Debug)]
struct Entry {
    revision: Revision,
    change: Weak<Change>,
    /// How many watchers have not done with it. Those have not done with any later one.
    unseen: usize,
}

/// Where a watcher is in a ring: the number of the first change that it has not done with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position(u64);

/// Where a watcher waits in a ring: until others have been woken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    woken: u64,
    at: usize,
}

// === impl Channels ===

impl Channels {
    /// Appends `change` to the channels whose scope it is in, which let go of what the history has forgotten: all up to
    /// `floor`. Returns these channels.
    pub(super) fn push(
        &self,
        key: &Key,
        change: &Arc<Change>,
        moved: &Moved,
        indexes: &[Index],
        floor: Revision,
    ) -> Vec<Arc<Channel>> {
        let mut reached = Vec::new();
        let Some(watched) = self.by_resource.get(&key.resource) else { return reached };
        let mut reach = |places: &Places| {
            for channel in places.of(key.namespace()) {
                channel.push(change, floor);
                reached.push(Arc::clone(channel));
            }
        };
        reach(&watched.whole);
        for (field, places) in &watched.by_value {
            let mut of_resource = indexes.iter().filter(|index| index.resource == key.resource);
            let Some(at) = of_resource.position(|index| index.field == *field) else { continue };
            let of = |values: &'_ Values| values.get(at).cloned().flatten();
            let (before, now) = (of(&moved.before), of(&moved.now));
            for value in [now.as_ref(), before.as_ref().filter(|_| before != now)].into_iter().flatten() {
                if let Some(places) = places.get(value) {
                    reach(places);
                }
            }
        }
        reached
    }

    /// Begins a watch by one who has seen everything up to `after`.
    pub(super) fn join(&mut self, scope: &Scope, after: Revision, now: Revision) -> (Arc<Channel>, Position) {
        let new = || {
            let ring =
                Ring { since: now, changes: VecDeque::new(), dropped: 0, watchers: 0, waiting: Slab::new(), woken: 0 };
            Arc::new(Channel(Mutex::new(ring)))
        };
        let places = self.places(scope);
        let channel = match &scope.namespace {
            None => places.everywhere.get_or_insert_with(new),
            Some(namespace) => places.by_namespace.entry(Arc::clone(namespace)).or_insert_with(new),
        };
        let position = channel.ring().join(after);
        (Arc::clone(channel), position)
    }

    /// Ends a watch. Gives whom it would have woken, to be dropped where no lock is held: with it anything may go.
    pub(super) fn leave(
        &mut self,
        scope: &Scope,
        channel: &Channel,
        mut position: Position,
        waiting: Option<Waiting>,
    ) -> Option<Waker> {
        let mut ring = channel.ring();
        let waiting = waiting.filter(|waiting| waiting.woken == ring.woken);
        let waker = waiting.and_then(|Waiting { at, .. }| ring.waiting.try_remove(at));
        ring.pass(&mut position, Revision::from(u64::MAX));
        ring.watchers -= 1;
        if ring.watchers == 0 {
            drop(ring);
            self.forget(scope);
        }
        waker
    }

    fn forget(&mut self, scope: &Scope) {
        let Some(watched) = self.by_resource.get_mut(&scope.resource) else { return };
        match &scope.index {
            None => watched.whole.forget(scope.namespace.as_ref()),
            Some((field, value)) => {
                for (_, by_value) in watched.by_value.iter_mut().filter(|(other, _)| other == field) {
                    if let Some(places) = by_value.get_mut(value) {
                        places.forget(scope.namespace.as_ref());
                        if places.is_empty() {
                            by_value.remove(value);
                        }
                    }
                }
                watched.by_value.retain(|(_, by_value)| !by_value.is_empty());
            }
        }
        if watched.whole.is_empty() && watched.by_value.is_empty() {
            self.by_resource.remove(&scope.resource);
        }
    }

    fn places(&mut self, scope: &Scope) -> &mut Places {
        let watched = self.by_resource.entry(scope.resource.clone()).or_default();
        let Some((field, value)) = &scope.index else { return &mut watched.whole };
        let at = watched.by_value.iter().position(|(other, _)| other == field).unwrap_or_else(|| {
            watched.by_value.push((field, HashMap::default()));
            watched.by_value.len() - 1
        });
        watched.by_value[at].1.entry(Arc::clone(value)).or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_resource.is_empty()
    }
}

// === impl Places ===

impl Places {
    fn of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Channel>> {
        self.everywhere.iter().chain(self.by_namespace.get(namespace))
    }

    fn forget(&mut self, namespace: Option<&Arc<str>>) {
        match namespace {
            None => self.everywhere = None,
            Some(namespace) => drop(self.by_namespace.remove(namespace)),
        }
    }

    fn is_empty(&self) -> bool {
        self.everywhere.is_none() && self.by_namespace.is_empty()
    }
}

// === impl Channel ===

impl Channel {
    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        lock::lock(&self.0)
    }

    fn push(&self, change: &Arc<Change>, floor: Revision) {
        let mut ring = self.ring();
        ring.drop_while(|oldest| oldest.revision <= floor);
        let entry = Entry { revision: change.revision, change: Arc::downgrade(change), unseen: ring.watchers };
        ring.changes.push_back(entry);
    }

    /// Wakes the watchers that wait.
    pub(super) fn wake(&self) {
        let mut ring = self.ring();
        ring.woken += 1;
        let mut waiting = mem::take(&mut ring.waiting);
        drop(ring);
        waiting.drain().for_each(Waker::wake);
    }
}

// === impl Ring ===

impl Ring {
    fn join(&mut self, after: Revision) -> Position {
        self.watchers += 1;
        let next = self.changes.partition_point(|entry| entry.revision <= after);
        for entry in self.changes.range_mut(next..) {
            entry.unseen += 1;
        }
        Position(self.dropped + next as u64)
    }

    /// The change at `position`. Of one that the history has let go of only the revision is left.
    pub(super) fn at(&self, position: Position) -> Option<(Revision, Option<Arc<Change>>)> {
        let entry = self.changes.get(self.index(position))?;
        Some((entry.revision, entry.change.upgrade()))
    }

    /// A watcher has done with everything up to `revision`.
    pub(super) fn pass(&mut self, position: &mut Position, revision: Revision) {
        let first = self.index(*position);
        let mut passed = 0;
        for entry in self.changes.range_mut(first..).take_while(|entry| entry.revision <= revision) {
            entry.unseen -= 1;
            passed += 1;
        }
        *position = Position(self.dropped + (first + passed) as u64);
        self.drop_while(|oldest| oldest.unseen == 0);
    }

    fn drop_while(&mut self, may_go: impl Fn(&Entry) -> bool) {
        while self.changes.front().is_some_and(&may_go)
            && let Some(oldest) = self.changes.pop_front()
        {
            self.since = oldest.revision;
            self.dropped += 1;
        }
    }

    fn index(&self, position: Position) -> usize {
        let place = usize::try_from(position.0.saturating_sub(self.dropped));
        place.unwrap_or(usize::MAX).min(self.changes.len())
    }

    /// Has `waker` woken with the others that wait, from `place` on, where the watcher may have waited before. Gives whom
    /// it would have woken else, to be dropped where no lock is held.
    pub(super) fn wait(&mut self, place: &mut Option<Waiting>, waker: &Waker) -> Option<Waker> {
        match place {
            Some(Waiting { woken, at }) if *woken == self.woken => {
                let known = self.waiting.get_mut(*at).filter(|known| !known.will_wake(waker))?;
                Some(mem::replace(known, waker.clone()))
            }
            _ => {
                *place = Some(Waiting { woken: self.woken, at: self.waiting.insert(waker.clone()) });
                None
            }
        }
    }
}
