//! Watchers. There is one channel per watched scope, with the latest changes of that scope; a write looks up
//! the few channels that it concerns and appends one pointer to each, however many watchers there are.
//!
//! A [`Watcher`] keeps its position and pulls: from its channel, or, where it has fallen behind what the
//! channel keeps, from the history. So a slow watcher costs no memory and slows nobody.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::snapshot::{Moved, Values};
use super::{Index, Inner, lock};
use crate::api::{GroupResource, Key, Object, Revision};
use crate::store::{Change, Scope, StoreError, StoreEvent};

/// How many changes of the history a lagging watcher looks at while it holds the history's lock.
const STEP: usize = 512;

/// The channels of the scopes that are being watched. Its maps are never iterated into behaviour.
pub(super) struct Channels {
    by_resource: HashMap<GroupResource, Watched>,
    capacity: usize,
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

/// The latest changes of one scope.
#[derive(Debug)]
pub(super) struct Channel {
    ring: Mutex<Ring>,
    news: Notify,
}

/// All changes of the scope after `since`. What a change holds is the history's to keep: where that has let go of it,
/// the ring has nothing either. (There is a ring for every node, and all that its pods ever were is a lot.)
#[derive(Debug)]
struct Ring {
    since: Revision,
    changes: VecDeque<(Revision, Weak<Change>)>,
    /// How many changes there were before these.
    dropped: u64,
    watchers: usize,
}

/// One watch: a position in the changes of a scope.
pub(super) struct Watcher {
    store: Arc<Inner>,
    scope: Scope,
    channel: Arc<Channel>,
    /// Every change up to here has been pulled.
    position: Revision,
    /// The place in the channel of the next change, once one has been read there.
    next: Option<u64>,
    /// Pulled from the history, not yet yielded.
    backlog: VecDeque<Arc<Change>>,
    /// Ends when it may have been idle for so long that progress is due. It is not set anew for each event.
    idle: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

// === impl Channels ===

impl Channels {
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_resource: HashMap::default(), capacity }
    }

    /// Appends `change` to the channels whose scope it is in; returns these.
    pub(super) fn push(&self, key: &Key, change: &Arc<Change>, moved: &Moved, indexes: &[Index]) -> Vec<Arc<Channel>> {
        let mut reached = Vec::new();
        let Some(watched) = self.by_resource.get(&key.resource) else { return reached };
        let mut reach = |places: &Places| {
            for channel in places.of(key.namespace()) {
                channel.push(change, self.capacity);
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

    fn join(&mut self, scope: &Scope, now: Revision) -> Arc<Channel> {
        let new = || {
            let ring = Ring { since: now, changes: VecDeque::new(), dropped: 0, watchers: 0 };
            Arc::new(Channel { ring: Mutex::new(ring), news: Notify::new() })
        };
        let places = self.places(scope);
        let channel = match &scope.namespace {
            None => places.everywhere.get_or_insert_with(new),
            Some(namespace) => places.by_namespace.entry(Arc::clone(namespace)).or_insert_with(new),
        };
        lock::lock(&channel.ring).watchers += 1;
        Arc::clone(channel)
    }

    fn leave(&mut self, scope: &Scope, channel: &Channel) {
        let mut ring = lock::lock(&channel.ring);
        ring.watchers -= 1;
        if ring.watchers > 0 {
            return;
        }
        drop(ring);
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
    fn push(&self, change: &Arc<Change>, capacity: usize) {
        let mut ring = lock::lock(&self.ring);
        if ring.changes.len() == capacity
            && let Some((oldest, _)) = ring.changes.pop_front()
        {
            ring.since = oldest;
            ring.dropped += 1;
        }
        ring.changes.push_back((change.revision, Arc::downgrade(change)));
    }

    /// Wakes the watchers that wait.
    pub(super) fn wake(&self) {
        self.news.notify_waiters();
    }
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(store: Arc<Inner>, scope: Scope, after: Revision) -> Result<Self, StoreError> {
        // Under the writer's lock: the channel misses nothing that is written from here on, and the history
        // has everything before.
        let mut channels = lock::lock(&store.writer);
        lock::read(&store.history).scan(after, 0, |_| false)?;
        let channel = channels.join(&scope, store.snapshot().revision());
        drop(channels);
        Ok(Self {
            store,
            scope,
            channel,
            position: after,
            next: None,
            backlog: VecDeque::new(),
            idle: None,
            ended: false,
        })
    }

    pub(super) async fn next(&mut self) -> Option<Result<StoreEvent, StoreError>> {
        if self.ended {
            return None;
        }
        if let Some(pulled) = self.pulled() {
            return Some(pulled);
        }
        let store = Arc::clone(&self.store);
        let channel = Arc::clone(&self.channel);
        loop {
            let mut news = std::pin::pin!(channel.news.notified());
            news.as_mut().enable();
            let dispatched = Revision::from(store.dispatched.load(Ordering::Acquire));
            // Again, now that no news can be missed.
            if let Some(pulled) = self.pulled() {
                return Some(pulled);
            }
            let Some(patience) = store.progress else {
                news.await;
                continue;
            };
            let due = Instant::now() + patience;
            let timer = self.idle.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            let idle = async {
                loop {
                    timer.as_mut().await;
                    if Instant::now() >= due {
                        return;
                    }
                    timer.as_mut().reset(due);
                }
            };
            tokio::select! {
                biased;
                () = news => {}
                () = idle => {
                    if dispatched >= self.position {
                        return Some(Ok(StoreEvent::Progress(dispatched)));
                    }
                }
            }
        }
    }

    /// What there is to yield at once.
    fn pulled(&mut self) -> Option<Result<StoreEvent, StoreError>> {
        let pulled = self.pull().map(|change| change.map(StoreEvent::Change)).transpose()?;
        self.ended = pulled.is_err();
        Some(pulled)
    }

    fn pull(&mut self) -> Result<Option<Arc<Change>>, StoreError> {
        loop {
            if let Some(change) = self.backlog.pop_front() {
                return Ok(Some(change));
            }
            let ring = lock::lock(&self.channel.ring);
            if self.position >= ring.since {
                let known = self.next.and_then(|next| usize::try_from(next.checked_sub(ring.dropped)?).ok());
                let next =
                    known.unwrap_or_else(|| ring.changes.partition_point(|(revision, _)| *revision <= self.position));
                let Some((revision, change)) = ring.changes.get(next) else { return Ok(None) };
                if let Some(change) = change.upgrade() {
                    self.position = *revision;
                    self.next = Some(ring.dropped + next as u64 + 1);
                    return Ok(Some(change));
                }
                // There was nothing before it: the history need not go back any further.
                self.position = Revision::from(revision.get() - 1);
            }
            drop(ring);
            self.next = None;
            let within = |change: &Change| contains(&self.scope, change, &self.store.indexes);
            (self.backlog, self.position) = lock::read(&self.store.history).scan(self.position, STEP, within)?;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock::lock(&self.store.writer).leave(&self.scope, &self.channel);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("scope", &self.scope).field("position", &self.position).finish_non_exhaustive()
    }
}

fn contains(scope: &Scope, change: &Change, indexes: &[Index]) -> bool {
    let object = &change.object;
    if *object.kind().stored() != scope.resource
        || scope.namespace.as_ref().is_some_and(|namespace| **namespace != *object.namespace())
    {
        return false;
    }
    let Some((field, wanted)) = &scope.index else { return true };
    let has = |object: &Object| {
        indexes
            .iter()
            .filter(|index| index.field == *field && index.resource == scope.resource)
            .any(|index| (index.value)(object) == Some(&**wanted))
    };
    (!change.deleted && has(object)) || change.previous.as_ref().is_some_and(has)
}
