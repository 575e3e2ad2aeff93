//! Watchers. There is one channel per watched scope, with the latest changes of that scope; a write looks up
//! the few channels that it concerns and appends one pointer to each, however many watchers there are.
//!
//! A [`Watcher`] keeps its position and pulls: from its channel, or, where it has fallen behind what the
//! channel keeps, from the history. So a slow watcher costs no memory and slows nobody.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Index, Inner, lock, read};
use crate::api::{Key, Object, Revision};
use crate::store::{Change, Scope, StoreError, StoreEvent};

/// How many changes of the history a lagging watcher looks at while it holds the history's lock.
const STEP: usize = 512;

/// The channels of the scopes that are being watched.
pub(super) struct Channels {
    /// Never iterated.
    by_scope: HashMap<Scope, Arc<Channel>>,
    capacity: usize,
}

/// The latest changes of one scope.
#[derive(Debug)]
pub(super) struct Channel {
    ring: Mutex<Ring>,
    news: Notify,
}

/// All changes of the scope after `since`.
#[derive(Debug)]
struct Ring {
    since: Revision,
    changes: VecDeque<Arc<Change>>,
    watchers: usize,
}

/// One watch: a position in the changes of a scope.
pub(super) struct Watcher {
    store: Arc<Inner>,
    scope: Scope,
    channel: Arc<Channel>,
    /// Every change up to here has been pulled.
    position: Revision,
    /// Pulled from the history, not yet yielded.
    backlog: VecDeque<Arc<Change>>,
    ended: bool,
}

// === impl Channels ===

impl Channels {
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_scope: HashMap::new(), capacity }
    }

    /// Appends `change` to the channels whose scope it is in; returns these.
    pub(super) fn push(&mut self, key: &Key, change: &Arc<Change>, indexes: &[Index]) -> Vec<Arc<Channel>> {
        let mut reached = Vec::new();
        if self.by_scope.is_empty() {
            return reached;
        }
        let mut reach = |index: Option<(&'static str, Arc<str>)>| {
            for namespace in [None, Some(Arc::clone(&key.namespace))] {
                let scope = Scope { resource: key.resource.clone(), namespace, index: index.clone() };
                if let Some(channel) = self.by_scope.get(&scope) {
                    channel.push(Arc::clone(change), self.capacity);
                    reached.push(Arc::clone(channel));
                }
            }
        };
        reach(None);
        for index in indexes.iter().filter(|index| index.resource == key.resource) {
            let now = (index.value)(&change.object);
            let before = change.previous.as_ref().and_then(index.value);
            for value in [now, before.filter(|_| before != now)].into_iter().flatten() {
                reach(Some((index.field, value.into())));
            }
        }
        reached
    }

    fn join(&mut self, scope: &Scope, now: Revision) -> Arc<Channel> {
        let channel = self.by_scope.entry(scope.clone()).or_insert_with(|| {
            let ring = Ring { since: now, changes: VecDeque::new(), watchers: 0 };
            Arc::new(Channel { ring: Mutex::new(ring), news: Notify::new() })
        });
        lock(&channel.ring).watchers += 1;
        Arc::clone(channel)
    }

    fn leave(&mut self, scope: &Scope) {
        let Some(channel) = self.by_scope.get(scope) else { return };
        let mut ring = lock(&channel.ring);
        ring.watchers -= 1;
        if ring.watchers == 0 {
            drop(ring);
            self.by_scope.remove(scope);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_scope.len()
    }
}

// === impl Channel ===

impl Channel {
    fn push(&self, change: Arc<Change>, capacity: usize) {
        let mut ring = lock(&self.ring);
        if ring.changes.len() == capacity
            && let Some(oldest) = ring.changes.pop_front()
        {
            ring.since = oldest.revision;
        }
        ring.changes.push_back(change);
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
        let mut channels = lock(&store.writer);
        read(&store.history).scan(after, 0, |_| false)?;
        let channel = channels.join(&scope, store.snapshot().revision());
        drop(channels);
        Ok(Self { store, scope, channel, position: after, backlog: VecDeque::new(), ended: false })
    }

    pub(super) async fn next(&mut self) -> Option<Result<StoreEvent, StoreError>> {
        if self.ended {
            return None;
        }
        let store = Arc::clone(&self.store);
        let channel = Arc::clone(&self.channel);
        loop {
            let mut news = std::pin::pin!(channel.news.notified());
            news.as_mut().enable();
            let dispatched = Revision::from(store.dispatched.load(Ordering::Acquire));
            match self.pull() {
                Ok(Some(change)) => return Some(Ok(StoreEvent::Change(change))),
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
            match store.progress {
                None => news.await,
                Some(idle) => {
                    if timeout(idle, news).await.is_err() && dispatched >= self.position {
                        return Some(Ok(StoreEvent::Progress(dispatched)));
                    }
                }
            }
        }
    }

    fn pull(&mut self) -> Result<Option<Arc<Change>>, StoreError> {
        loop {
            if let Some(change) = self.backlog.pop_front() {
                return Ok(Some(change));
            }
            let ring = lock(&self.channel.ring);
            if self.position >= ring.since {
                let next = ring.changes.partition_point(|change| change.revision <= self.position);
                let change = ring.changes.get(next).cloned();
                if let Some(change) = &change {
                    self.position = change.revision;
                }
                return Ok(change);
            }
            drop(ring);
            let within = |change: &Change| contains(&self.scope, change, &self.store.indexes);
            (self.backlog, self.position) = read(&self.store.history).scan(self.position, STEP, within)?;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&self.store.writer).leave(&self.scope);
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
    has(object) || change.previous.as_ref().is_some_and(has)
}
