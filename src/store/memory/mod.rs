//! [`MemoryStore`]: everything in memory, nothing serialised.
//!
//! The newest snapshot is a persistent map behind one pointer: a read takes the pointer and is done with
//! locks, a write (one at a time) makes the next map, which shares all but a path with it. Recent changes are
//! kept in a bounded [`history`]; older snapshots are made from it on demand, by undoing changes. Watchers
//! pull: see [`watcher`].

mod dispatch;
mod history;
mod lock;
mod snapshot;
mod tree;
mod watcher;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::{Mutex, RwLock};

use self::dispatch::Channels;
use self::history::{History, Views};
use self::snapshot::Snapshot;
use self::watcher::Watcher;
use super::{Change, Page, Range, Scope, Store, StoreError, StoreWatch, Write};
use crate::api::{GroupResource, Key, Kind, Object, Revision};

/// A field by which the objects of a resource can be listed and watched without looking at the others.
#[derive(Clone, Debug)]
pub struct Index {
    /// The resource.
    pub resource: GroupResource,
    /// The field's name in selectors: `spec.nodeName`.
    pub field: &'static str,
    /// The field's value; `None` keeps the object out of the index.
    pub value: fn(&Object) -> Option<&str>,
}

impl Index {
    /// Pods by `spec.nodeName`; empty for those that have no node yet.
    pub fn pods_by_node() -> Self {
        fn node(object: &Object) -> Option<&str> {
            let pod = object.as_typed::<Pod>()?;
            Some(pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default())
        }
        Self { resource: Kind::of::<Pod>().resource(), field: "spec.nodeName", value: node }
    }
}

/// How a [`MemoryStore`] is made.
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct MemoryStoreBuilder {
    indexes: Vec<Index>,
    history: usize,
    hot: usize,
    progress: Option<Duration>,
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            indexes: vec![Index::pods_by_node()],
            history: 10_000,
            hot: 5_000,
            progress: Some(Duration::from_secs(60)),
        }
    }
}

impl MemoryStoreBuilder {
    /// One more index. Pods are indexed by their node anyway.
    pub fn index(mut self, index: Index) -> Self {
        self.indexes.push(index);
        self
    }

    /// How many changes are remembered (10 000), which is how far a watch or a snapshot can go back.
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes.max(1);
        self
    }

    /// How many objects of a resource all keep their typed form (5 000), which takes four times the memory of their JSON:
    /// of pods, and of what has a type as large; of smaller ones more, so that they take as much together (of events three
    /// times as many). With more of them, one that nobody else holds, and whose JSON has been asked for, gives up the typed form two
    /// hundred writes later, or when all who watch for it have seen it (a thousand writes later at most); with four times
    /// more, the JSON of what is stored is made for that. Reading a typed form that was given up costs decoding the JSON.
    pub fn hot(mut self, objects: usize) -> Self {
        self.hot = objects;
        self
    }

    /// How long a watch is idle before it yields a [`Progress`](super::StoreEvent::Progress) (one minute);
    /// `None`: it never does.
    pub fn progress(mut self, idle: Option<Duration>) -> Self {
        self.progress = idle;
        self
    }

    /// An empty store.
    pub fn build(self) -> MemoryStore {
        MemoryStore(Arc::new(Inner {
            writer: Mutex::new(Channels::default()),
            // As etcd, an empty store is at revision 1, so that no snapshot has the revision 0 that means
            // "any" on the wire.
            current: RwLock::new(Arc::new(Snapshot::empty(Revision::from(1), self.indexes.clone()))),
            history: RwLock::new(History::new(self.history)),
            views: Mutex::new(Views::default()),
            dispatched: AtomicU64::new(1),
            hot: self.hot,
            prints: AtomicBool::new(false),
            indexes: self.indexes,
            progress: self.progress,
        }))
    }
}

/// A store in memory. Clones are handles to the same store.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orchestrion::api::{Draft, Revision};
/// use orchestrion::store::{MemoryStore, Store, Write};
///
/// let store = MemoryStore::default();
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let stored = store.commit(Write::create(Draft::new(map))).await.unwrap();
/// assert_eq!(store.get(&stored.key()).await.unwrap(), Some(stored.clone()));
/// assert_eq!(store.revision().await.unwrap(), stored.revision());
/// # });
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    /// The writer's lock: what it guards are the channels, what it orders are the writes.
    writer: Mutex<Channels>,
    current: RwLock<Arc<Snapshot>>,
    history: RwLock<History>,
    /// Older snapshots that were read recently.
    views: Mutex<Views>,
    /// Up to here, every change is in the channels of its watchers.
    dispatched: AtomicU64,
    indexes: Vec<Index>,
    /// How many objects of a resource all keep their typed form.
    hot: usize,
    /// Whether there is a resource of which objects are printed to be cooled.
    prints: AtomicBool,
    progress: Option<Duration>,
}

/// With so many times more objects than may be hot, what was never printed is printed to be cooled.
const PRINTED: usize = 4;

// === impl MemoryStore ===

impl Default for MemoryStore {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("revision", &self.0.snapshot().revision()).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// A builder with the usual settings.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        // Under the lock, as it takes no longer than to take the snapshot: one that is held costs a writer copies.
        Ok(lock::read(&self.0.current).get(key).cloned())
    }

    async fn list(&self, scope: &Scope, range: &Range) -> Result<Page, StoreError> {
        self.0.check_index(scope)?;
        let snapshot = match range.at {
            Some(revision) => self.0.snapshot_at(revision)?,
            None => self.0.snapshot(),
        };
        let page = snapshot.page(scope, range.after.as_ref(), range.limit);
        if page.remaining > 0 {
            self.0.views.lock().keep(snapshot);
        }
        Ok(page)
    }

    async fn commit(&self, write: Write) -> Result<Object, StoreError> {
        self.0.commit(write)
    }

    async fn watch(&self, scope: &Scope, after: Revision) -> Result<StoreWatch, StoreError> {
        self.0.check_index(scope)?;
        Ok(Watcher::new(Arc::clone(&self.0), scope.clone(), after)?.boxed())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(lock::read(&self.0.current).revision())
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let current = self.0.snapshot().revision();
        if revision > current {
            return Err(StoreError::Future { asked: revision, current });
        }
        lock::write(&self.0.history).forget(revision);
        self.0.views.lock().forget(revision);
        Ok(())
    }

    fn is_indexed(&self, resource: &GroupResource, field: &str) -> bool {
        self.0.indexes.iter().any(|index| index.resource == *resource && index.field == field)
    }
}

// === impl Inner ===

impl Inner {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock::read(&self.current))
    }

    fn check_index(&self, scope: &Scope) -> Result<(), StoreError> {
        match scope.index {
            Some((field, _)) if !self.indexes.iter().any(|i| i.field == field && i.resource == scope.resource) => {
                Err(StoreError::NotIndexed { resource: scope.resource.clone(), field })
            }
            _ => Ok(()),
        }
    }

    /// The snapshot of `revision`: kept from an earlier read, or the newest with the changes since undone.
    fn snapshot_at(&self, revision: Revision) -> Result<Arc<Snapshot>, StoreError> {
        let current = self.snapshot();
        if revision > current.revision() {
            return Err(StoreError::Future { asked: revision, current: current.revision() });
        }
        if revision == current.revision() {
            return Ok(current);
        }
        let changes = lock::read(&self.history).after(revision)?;
        if let Some(kept) = self.views.lock().get(revision) {
            return Ok(kept);
        }
        let mut snapshot = Snapshot::clone(&current);
        for change in changes.iter().rev().filter(|change| change.revision <= current.revision()) {
            snapshot.put(&change.object.key(), change.previous.clone());
        }
        snapshot.set_revision(revision);
        let snapshot = Arc::new(snapshot);
        self.views.lock().keep(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Prints what the next change will cool: that is nothing to do under a lock.
    fn print_ahead(&self) {
        if !self.prints.load(Ordering::Relaxed) {
            return;
        }
        let due: Vec<_> = lock::read(&self.history).due(1).map(|change| change.object.clone()).collect();
        for object in due {
            if self.warmth(&object) > PRINTED * self.hot && self.is_stored(&object) {
                object.print_to_be_cooled();
            }
        }
    }

    /// Whether it is what is stored now, and no earlier version: that the history forgets anyway.
    fn is_stored(&self, object: &Object) -> bool {
        lock::read(&self.current).get(&object.key()).is_some_and(|stored| stored.ptr_eq(object))
    }

    /// How many pods take as much memory as all objects of the resource of `object`, if they are typed as it is.
    fn warmth(&self, object: &Object) -> usize {
        lock::read(&self.current).len(object.kind().stored()) * object.size() / size_of::<Pod>()
    }

    fn commit(&self, action: Write) -> Result<Object, StoreError> {
        self.print_ahead();
        let channels = lock::lock(&self.writer);
        let (key, change) = {
            let now = lock::read(&self.current);
            let (key, change) = change(&now, action, now.revision().next())?;
            (key, Arc::new(change))
        };
        let (object, revision) = (change.object.clone(), change.revision);
        // The history's lock is held until the snapshot is there: who learns of a change can read it, and who has the
        // snapshot finds its change.
        let mut history = lock::write(&self.history);
        let forgotten = history.push(Arc::clone(&change));
        let cool = |object: &Object| {
            let warmth = self.warmth(object);
            let print = warmth > PRINTED * self.hot;
            if print && !self.prints.load(Ordering::Relaxed) {
                self.prints.store(true, Ordering::Relaxed);
            }
            (warmth > self.hot).then(|| object.cooled(print && self.is_stored(object))).flatten()
        };
        let cooled = history.cool(cool);
        let moved = {
            // A snapshot that somebody reads stays as it is: what changes is copied.
            let mut current = lock::write(&self.current);
            let after = Arc::make_mut(&mut current);
            let moved = after.put(&key, (!change.deleted).then(|| object.clone()));
            for (object, cold) in cooled.iter().flatten().filter_map(|cooled| cooled.current.as_ref()) {
                after.cool(object, cold.clone());
            }
            after.set_revision(revision);
            moved
        };
        let floor = history.floor();
        drop(history);
        self.views.lock().forget(floor);
        let woken = channels.push(&key, &change, &moved, &self.indexes, floor);
        self.dispatched.store(revision.get(), Ordering::Release);
        drop(channels);
        drop((forgotten, cooled));
        for channel in woken {
            channel.wake();
        }
        Ok(object)
    }
}

/// What `write` changes, if what it expects holds.
fn change(now: &Snapshot, write: Write, revision: Revision) -> Result<(Key, Change), StoreError> {
    let expect = |key: &Key, expected: Revision| match now.get(key) {
        None => Err(StoreError::NotFound(key.clone())),
        Some(current) if current.revision() == expected => Ok(current.clone()),
        Some(current) => Err(StoreError::Conflict { key: key.clone(), current: Box::new(current.clone()) }),
    };
    Ok(match write {
        Write::Create { key, object } => {
            if now.get(&key).is_some() {
                return Err(StoreError::Exists(key));
            }
            (key, Change { revision, object: object.seal(revision), previous: None, deleted: false })
        }
        Write::Update { key, object, expected } => {
            let previous = expect(&key, expected)?;
            (key, Change { revision, object: object.seal(revision), previous: Some(previous), deleted: false })
        }
        Write::Delete { key, expected } => {
            let previous = expect(&key, expected)?;
            (key, Change { revision, object: previous.at(revision), previous: Some(previous), deleted: true })
        }
    })
}
