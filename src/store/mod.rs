//! The store: an ordered, revisioned key-value store of objects, with snapshots and gapless watches.
//!
//! [`Store`] is the contract. It is what etcd is to Kubernetes, except that it holds [`Object`]s and not
//! bytes: a store in memory never serialises.

mod error;
mod memory;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use self::error::StoreError;
pub use self::memory::{Index, MemoryStore, MemoryStoreBuilder};
use crate::api::{Draft, GroupResource, Key, Object, Revision};

/// What a list or a watch covers: a resource, in one namespace or in all, perhaps only the objects with one
/// value of an indexed field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The stored resource.
    pub resource: GroupResource,
    /// One namespace, or all of them (`None`).
    pub namespace: Option<Arc<str>>,
    /// An indexed field and its value: the store then looks at no other object. Which fields are indexed is
    /// the store's to say (see [`Store::is_indexed`]).
    pub index: Option<(&'static str, Arc<str>)>,
}

impl Scope {
    /// All objects of `resource`.
    pub fn all(resource: GroupResource) -> Self {
        Self { resource, namespace: None, index: None }
    }

    /// The objects of `resource` in `namespace`; all of them where it is empty.
    pub fn namespace(resource: GroupResource, namespace: &str) -> Self {
        let namespace = Some(namespace).filter(|name| !name.is_empty()).map(Arc::from);
        Self { resource, namespace, index: None }
    }

    /// Of these, the objects whose indexed `field` has that value.
    #[must_use]
    pub fn indexed(mut self, field: &'static str, value: impl Into<Arc<str>>) -> Self {
        self.index = Some((field, value.into()));
        self
    }
}

/// Which part of a list to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// From this snapshot; the newest where `None`.
    pub at: Option<Revision>,
    /// Only keys behind this one.
    pub after: Option<Key>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Objects of one snapshot, ordered by key.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub items: Vec<Object>,
    /// The snapshot's revision.
    pub revision: Revision,
    /// How many more of the scope follow in the snapshot; 0 on the last page.
    pub remaining: usize,
}

/// A write, with what must hold for it to take place.
#[derive(Clone, Debug)]
pub enum Write {
    /// Create the object; its key must be free.
    Create {
        /// The key: the object's own.
        key: Key,
        /// The content.
        object: Draft,
    },
    /// Replace the object, whose stored version must be `expected`.
    Update {
        /// The key: the object's own.
        key: Key,
        /// The new content.
        object: Draft,
        /// The version that it was made from.
        expected: Revision,
    },
    /// Delete the object, whose stored version must be `expected`.
    Delete {
        /// The key.
        key: Key,
        /// The version that the decision was made on.
        expected: Revision,
    },
}

impl Write {
    /// Creates `object`.
    pub fn create(object: Draft) -> Self {
        Self::Create { key: object.key(), object }
    }

    /// Replaces the version `expected` by `object`.
    pub fn update(object: Draft, expected: Revision) -> Self {
        Self::Update { key: object.key(), object, expected }
    }
}

/// A change, as watchers see it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The change's revision.
    pub revision: Revision,
    /// The new version. Of a deletion: the last version, with the deletion's revision.
    pub object: Object,
    /// The version before; `None` for a creation.
    pub previous: Option<Object>,
    /// Whether the object was deleted.
    pub deleted: bool,
}

/// What a watch yields.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// A change in the scope.
    Change(Arc<Change>),
    /// Nothing in the scope changed up to this revision. Sent when the watcher has fallen idle and time has
    /// passed, so that it can resume from somewhere recent.
    Progress(Revision),
}

/// A stream of changes. [`StoreError::Expired`] ends it where the watcher was too slow for the store's
/// memory: it must list again.
pub type StoreWatch = BoxStream<'static, Result<StoreEvent, StoreError>>;

/// An ordered, revisioned store of objects.
///
/// # Guarantees
/// - One strictly increasing revision over all resources; each successful [`commit`](Store::commit) takes the next.
/// - Linearizable: a read without a revision sees every write acknowledged before it began.
/// - A list is one snapshot. Pages read at one revision fit together, whatever is written meanwhile.
/// - A watch yields each change of its scope once, in order, from the revision it was asked for: none is skipped
///   or repeated. Where the store no longer remembers them all, it says `Expired`.
/// - A committed object carries its revision as `metadata.resourceVersion` and never changes again.
///
/// `testkit` (feature `testkit`) holds these as tests that any implementation can run.
///
/// # Cancel safety
/// A commit whose future is dropped has either taken place whole or not at all.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The object under `key`, in its newest version.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError>;

    /// The objects of `scope`, ordered by key.
    ///
    /// # Errors
    /// [`StoreError::Expired`] where the snapshot asked for is no longer kept, [`StoreError::Future`] where it
    /// lies ahead, [`StoreError::NotIndexed`] where the scope names a field that is not indexed.
    async fn list(&self, scope: &Scope, range: &Range) -> Result<Page, StoreError>;

    /// Writes, if what the write expects holds. Returns the new version (of a deletion: the last version,
    /// with the deletion's revision).
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NotFound`] or [`StoreError::Conflict`] where it does not hold.
    async fn commit(&self, write: Write) -> Result<Object, StoreError>;

    /// The changes of `scope` after revision `after`; where that lies ahead, nothing until it is passed.
    ///
    /// A watch on an indexed value also yields the change that takes an object out of it: `previous` then has
    /// the value and `object` has not.
    ///
    /// # Errors
    /// [`StoreError::Expired`] where they are no longer all kept, [`StoreError::NotIndexed`] where the scope
    /// names a field that is not indexed.
    async fn watch(&self, scope: &Scope, after: Revision) -> Result<StoreWatch, StoreError>;

    /// The newest revision.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Forgets history up to and including `revision`: snapshots and watches from before it expire. The
    /// snapshot of `revision` itself and a watch after it stay possible.
    ///
    /// # Errors
    /// [`StoreError::Future`] where the revision lies ahead.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// Whether a [`Scope`] of `resource` may name `field` as its index.
    fn is_indexed(&self, _resource: &GroupResource, _field: &str) -> bool {
        false
    }
}
