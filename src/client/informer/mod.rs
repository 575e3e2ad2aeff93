//! [`Informer`]: a view of all objects of a kind that is kept current, with indexes and change handlers.

mod registry;
mod view;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use self::registry::Informers;
use self::view::View;
pub use self::view::{Change, ObjectRef};
use super::{Api, TypedEvent};
use crate::api::{ApiError, ApiType, Consistency, FieldSelector, LabelSelector, ListOptions, Revision, WatchOptions};

/// How long to wait before listing again after a failure; doubled up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

struct Shared<K> {
    view: RwLock<View<K>>,
    handlers: Mutex<Vec<Handler<K>>>,
    /// Up to where the view is current; `None` before the first list.
    seen: watch::Sender<Option<Revision>>,
}

/// A view of the objects of type `K`, always current: it lists, then watches, and lists again where the watch
/// was lost. In one process it holds the store's own objects, not copies.
///
/// Cheap to clone; the task behind it ends with the last clone.
///
/// # Guarantees
/// - Handlers see every change of the view, in order, one at a time, after the view shows it.
/// - [`Informer::caught_up`] gives read-your-writes: a controller that waits for the revision of its last write
///   never acts on a view from before it.
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
    _task: Arc<Task>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _task: Arc::clone(&self._task) }
    }
}

impl<K> Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("seen", &*self.shared.seen.borrow()).finish_non_exhaustive()
    }
}

impl<K: ApiType> Informer<K> {
    /// Starts to follow all objects of `api`.
    pub fn start(api: Api<K>) -> Self {
        Self::start_matching(api, LabelSelector::default(), FieldSelector::default())
    }

    /// Starts to follow the objects of `api` that match.
    pub fn start_matching(api: Api<K>, labels: LabelSelector, fields: FieldSelector) -> Self {
        let shared = Arc::new(Shared {
            view: RwLock::new(View::default()),
            handlers: Mutex::default(),
            seen: watch::Sender::new(None),
        });
        let task = tokio::spawn(follow(Arc::clone(&shared), api, labels, fields)).abort_handle();
        Self { shared, _task: Arc::new(Task(task)) }
    }

    /// Waits until the first list has arrived.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn synced(&self) {
        // The sender lives in `shared`, so the channel cannot close.
        let _ = self.shared.seen.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether the first list has arrived.
    pub fn is_synced(&self) -> bool {
        self.shared.seen.borrow().is_some()
    }

    /// Waits until the view shows everything up to `revision`. The revision must be of a write to an object
    /// that the informer follows: others it may never hear of.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn caught_up(&self, revision: Revision) {
        let _ = self.shared.seen.subscribe().wait_for(|seen| seen.is_some_and(|seen| seen >= revision)).await;
    }

    /// The object of that name; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|view| view.get(&ObjectRef::new(namespace, name)).cloned())
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read(|view| view.iter().cloned().collect())
    }

    /// The objects of one namespace, ordered by name.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read(|view| view.in_namespace(namespace).cloned().collect())
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read(View::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an index by which [`Informer::by`] finds objects: `values` gives the values of an object. An index
    /// of a name that exists is kept as it is.
    pub fn index(&self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        self.shared.view.write().unwrap_or_else(PoisonError::into_inner).add_index(name, Box::new(values));
    }

    /// The objects for which the index `name` gave `value`, ordered by namespace and name. Empty where there is
    /// no such index.
    pub fn by(&self, name: &'static str, value: &str) -> Vec<Arc<K>> {
        self.read(|view| view.by(name, value))
    }

    /// Calls `handler` for every object there is, as a creation, and then for every change. Handlers run in the
    /// informer's task: they must be quick and must not block (enqueue a key, say).
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        // Holding the handlers' lock keeps the informer from announcing changes meanwhile.
        let mut handlers = self.shared.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        for object in self.list() {
            handler(&Change { old: None, new: Some(object) });
        }
        handlers.push(Box::new(handler));
    }

    fn read<T>(&self, read: impl FnOnce(&View<K>) -> T) -> T {
        read(&self.shared.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: ApiType> Shared<K> {
    /// Applies a change and tells the handlers. The handlers' lock is taken first, so that a handler being added
    /// sees each object either in its replay or as a change, and never twice.
    fn change(&self, apply: impl FnOnce(&mut View<K>) -> Vec<Change<K>>, seen: Revision) {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = apply(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
        for change in &changes {
            for handler in handlers.iter() {
                handler(change);
            }
        }
        drop(handlers);
        self.seen.send_replace(Some(seen));
    }
}

/// Lists and watches until it is aborted.
async fn follow<K: ApiType>(shared: Arc<Shared<K>>, api: Api<K>, labels: LabelSelector, fields: FieldSelector) {
    let clock = *api.client().clock();
    let mut wait = RETRY.0;
    loop {
        let before = *shared.seen.borrow();
        let error = follow_once(&shared, &api, &labels, &fields).await;
        if *shared.seen.borrow() != before {
            wait = RETRY.0;
        }
        let kind = &api.dynamic().kind().kind;
        match error {
            Ok(()) => tracing::trace!(kind, "watch ended, listing again"),
            Err(error) => tracing::debug!(kind, %error, "watch failed, listing again"),
        }
        clock.sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

async fn follow_once<K: ApiType>(
    shared: &Shared<K>,
    api: &Api<K>,
    labels: &LabelSelector,
    fields: &FieldSelector,
) -> Result<(), ApiError> {
    let options = ListOptions { labels: labels.clone(), fields: fields.clone(), ..ListOptions::default() };
    let list = api.list(&options).await?;
    let mut seen = list.revision;
    shared.change(|view| view.replace(list.items), seen);
    loop {
        let options = WatchOptions {
            labels: labels.clone(),
            fields: fields.clone(),
            from: Consistency::Exact(seen),
            bookmarks: true,
            ..WatchOptions::default()
        };
        let mut events = api.watch(&options).await?;
        while let Some(event) = events.next().await {
            match event? {
                TypedEvent::Added(object) | TypedEvent::Modified(object) => {
                    seen = revision_of(&*object);
                    shared.change(|view| view.set(object), seen);
                }
                TypedEvent::Deleted(object) => {
                    seen = revision_of(&*object);
                    shared.change(|view| view.remove(&object), seen);
                }
                TypedEvent::Bookmark(revision) => {
                    seen = revision;
                    shared.seen.send_replace(Some(seen));
                }
            }
        }
    }
}

fn revision_of<K: ApiType>(object: &K) -> Revision {
    object.metadata().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}
