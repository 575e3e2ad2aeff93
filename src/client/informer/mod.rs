//! [`Informer`]: a view of all objects of a kind that is kept current, with indexes and change handlers.

mod follow;
mod registry;
mod seen;
mod view;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio_util::task::AbortOnDropHandle;

pub use self::follow::Followed;
pub use self::registry::Informers;
use self::seen::Seen;
use self::view::View;
pub use self::view::{Change, ObjectRef};
use super::Api;
use crate::api::{ApiType, FieldSelector, LabelSelector, Object, Revision};

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

struct Shared<K> {
    view: RwLock<View<K>>,
    handlers: Mutex<Handlers<K>>,
    /// Up to where the view is current; `None` before the first list.
    seen: Seen,
}

struct Handlers<K> {
    next: u64,
    by_id: Vec<(u64, Handler<K>)>,
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
    _task: Arc<AbortOnDropHandle<()>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _task: Arc::clone(&self._task) }
    }
}

impl<K> Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("seen", &self.shared.seen.get()).finish_non_exhaustive()
    }
}

/// A handler's place in an informer: it is called for as long as this lives.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
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
            handlers: Mutex::new(Handlers { next: 0, by_id: Vec::new() }),
            seen: Seen::default(),
        });
        let following = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            api.dynamic().follow(&labels, &fields, |followed| following.step(followed)).await;
        });
        Self { shared, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// Waits until the first list has arrived.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn synced(&self) {
        self.shared.seen.wait(|seen| seen).await;
    }

    /// Whether the first list has arrived.
    pub fn is_synced(&self) -> bool {
        self.shared.seen.get().is_some()
    }

    /// Waits until the view shows everything up to `revision`. The revision must be of a write to an object
    /// that the informer follows: others it may never hear of.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn caught_up(&self, revision: Revision) {
        self.shared.seen.wait(|seen| seen.filter(|seen| *seen >= revision)).await;
    }

    /// Waits until `condition` holds of all objects there are, and gives those.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn until(&self, condition: impl Fn(&[Arc<K>]) -> bool) -> Vec<Arc<K>> {
        let look = |seen: Option<Revision>| seen.map(|_| self.list()).filter(|objects| condition(objects));
        self.shared.seen.wait(look).await
    }

    /// The object of that name; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|view| view.get(namespace, name).cloned())
    }

    /// The object that `key` names.
    pub fn find(&self, key: &ObjectRef) -> Option<Arc<K>> {
        self.get(&key.namespace, &key.name)
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

    /// Calls `handler` for every object there is, as a creation, and then for every change, for as long as the
    /// informer lives. Handlers run in the informer's task, in the order in which they were added: they must be quick and
    /// must not block (enqueue a key, say).
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.subscribe(handler).0 = None;
    }

    /// As [`Informer::on_change`], until the subscription is dropped.
    pub fn subscribe(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) -> Subscription {
        // Holding the handlers' lock keeps the informer from announcing changes meanwhile.
        let mut handlers = self.shared.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        for object in self.list() {
            handler(&Change { old: None, new: Some(object) });
        }
        let id = handlers.next;
        handlers.next += 1;
        handlers.by_id.push((id, Box::new(handler)));
        drop(handlers);
        let shared: Weak<Shared<K>> = Arc::downgrade(&self.shared);
        Subscription(Some(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                let mut handlers = shared.handlers.lock().unwrap_or_else(PoisonError::into_inner);
                handlers.by_id.retain(|(other, _)| *other != id);
            }
        })))
    }

    fn read<T>(&self, read: impl FnOnce(&View<K>) -> T) -> T {
        read(&self.shared.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: ApiType> Shared<K> {
    /// Applies a step and tells the handlers. The handlers' lock is taken first, so that a handler being added
    /// sees each object either in its replay or as a change, and never twice.
    fn step(&self, followed: Followed) {
        let seen = followed.revision();
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let view = || self.view.write().unwrap_or_else(PoisonError::into_inner);
        let tell = |change: Change<K>| handlers.by_id.iter().for_each(|(_, handler)| handler(&change));
        match followed {
            Followed::All(objects, _) => {
                let objects = objects.iter().filter_map(typed).collect();
                let changes = view().replace(objects);
                changes.into_iter().for_each(tell);
            }
            Followed::Set(object) => {
                let change = typed(&object).and_then(|object| view().set(object));
                change.into_iter().for_each(tell);
            }
            Followed::Gone(object) => {
                // By its names: the last version of what is no more need not be made.
                let change = view().remove(object.namespace(), object.name());
                change.into_iter().for_each(tell);
            }
            Followed::Progress(_) => {}
        }
        drop(handlers);
        self.seen.set(seen);
    }
}

fn typed<K: ApiType>(object: &Object) -> Option<Arc<K>> {
    object.typed().inspect_err(|error| tracing::error!(%error, "a watch of one kind gave another")).ok()
}
