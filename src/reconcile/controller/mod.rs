//! [`Controller`]: when to call a [`Reconciler`], and for what.

mod backoff;
mod pace;
mod queue;
mod work;

use std::fmt::{self, Debug};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::Metadata as _;
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::work::{Inbox, work};
use super::adopt::controller_of_type;
use super::{Action, Context, Error, Reconciler};
use crate::api::ApiType;
use crate::client::{Change, Informers, ObjectRef, Subscription};

/// How many objects are worked on at once, unless said otherwise (kube-controller-manager's default).
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// What keeps a source of keys going, and the wait until it has given those of everything that exists.
type Source = Box<dyn FnOnce(&Informers, &Arc<Inbox<ObjectRef>>) -> (Subscription, BoxFuture<'static, ()>) + Send>;

/// Calls a [`Reconciler`] for every object of its kind that may need it.
#[must_use = "a controller does nothing until it is started"]
pub struct Controller<R> {
    name: String,
    reconciler: R,
    /// Its own objects.
    own: Source,
    others: Vec<Source>,
    concurrency: NonZeroUsize,
}

impl<R: Debug> Debug for Controller<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("name", &self.name)
            .field("reconciler", &self.reconciler)
            .finish_non_exhaustive()
    }
}

impl<R: Reconciler> Controller<R> {
    /// A controller of that name (its client's agent and the source of its events).
    pub fn new(name: impl Into<String>, reconciler: R) -> Self {
        let own = source(|change: &Change<R::Object>, _| vec![ObjectRef::of(change.object().metadata())]);
        Self { name: name.into(), reconciler, own, others: Vec::new(), concurrency: CONCURRENCY }
    }

    /// Looks at an object only after those of its own changes that `relevant` says are; without this, after all of them.
    /// What [`Controller::owns`] and [`Controller::watches`] name is looked at in any case. `relevant` must be quick and must
    /// not block.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use k8s_openapi::api::core::v1::ConfigMap;
    /// # use orchestrion::client::Change;
    /// # use orchestrion::reconcile::{Action, Context, Controller, Error, Reconciler};
    /// # #[derive(Debug)]
    /// # struct Mirror;
    /// # #[async_trait::async_trait]
    /// # impl Reconciler for Mirror {
    /// #     type Object = ConfigMap;
    /// #     async fn reconcile(&self, _: Arc<ConfigMap>, _: &Context) -> Result<Action, Error> { Ok(Action::Done) }
    /// # }
    /// // Its labels do not matter.
    /// let controller = Controller::new("mirror", Mirror).predicate(|change: &Change<ConfigMap>| match (&change.old, &change.new) {
    ///     (Some(old), Some(new)) => old.data != new.data,
    ///     _ => true,
    /// });
    /// ```
    pub fn predicate(mut self, relevant: impl Fn(&Change<R::Object>) -> bool + Send + Sync + 'static) -> Self {
        self.own = source(move |change: &Change<R::Object>, _| {
            relevant(change).then(|| ObjectRef::of(change.object().metadata())).into_iter().collect()
        });
        self
    }

    /// Also looks at an object when something changes that it controls: an object of kind `K` whose controller
    /// reference names it.
    pub fn owns<K: ApiType>(self) -> Self {
        self.watches(|change: &Change<K>, _| {
            let [old, new] =
                [&change.old, &change.new].map(|object| controller_of_type::<R::Object>(object.as_ref()?.metadata()));
            // Mostly the same: it is looked at once.
            let before = old.filter(|old| new.is_none_or(|new| new.uid != old.uid));
            let namespace = change.object().metadata().namespace.as_deref().unwrap_or_default();
            before.into_iter().chain(new).map(|owner| ObjectRef::new(namespace, owner.name.clone())).collect()
        })
    }

    /// Also looks at the objects that `keys` names when something of kind `K` changes. `keys` must be quick and must
    /// not block. Of several for one kind, what is named first is asked first, and its keys are taken before the next is asked.
    pub fn watches<K: ApiType>(
        mut self,
        keys: impl Fn(&Change<K>, &Informers) -> Vec<ObjectRef> + Send + Sync + 'static,
    ) -> Self {
        self.others.push(source(keys));
        self
    }

    /// Has the informer of kind `K` synced before it begins: for what reconciliations look up and no change of which
    /// concerns them.
    pub fn reads<K: ApiType>(self) -> Self {
        self.watches(|_: &Change<K>, _| Vec::new())
    }

    /// Works on so many objects at once.
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Starts it.
    pub fn start(self, ctx: &Context) -> Running {
        let ctx = ctx.named(&self.name);
        let name = self.name.clone();
        let task = tokio::spawn(async move {
            let inbox = Arc::new(Inbox::default());
            let (_subscriptions, synced): (Vec<_>, Vec<_>) =
                std::iter::once(self.own).chain(self.others).map(|source| source(ctx.informers(), &inbox)).unzip();
            futures::future::join_all(synced).await;
            let call = |key| call(&self.reconciler, key, &ctx);
            work(&name, *ctx.clock(), &inbox, self.concurrency, call).await;
        });
        Running::of(task)
    }
}

/// A source of the keys that changes of kind `K` give.
fn source<K: ApiType>(keys: impl Fn(&Change<K>, &Informers) -> Vec<ObjectRef> + Send + Sync + 'static) -> Source {
    Box::new(move |informers, inbox| {
        let informer = informers.of::<K>();
        let (inbox, others) = (Arc::clone(inbox), informers.clone());
        let subscription = informer.subscribe(move |change| inbox.add_all(keys(change, &others)));
        (subscription, Box::pin(async move { informer.synced().await }))
    })
}

/// Reconciles one object, and waits until the informers show what that wrote.
async fn call<R: Reconciler>(reconciler: &R, key: ObjectRef, ctx: &Context) -> Result<Action, Error> {
    let (ctx, noting) = ctx.noting();
    let outcome = match ctx.informers().of::<R::Object>().find(&key) {
        Some(object) => reconciler.reconcile(object, &ctx).await,
        None => reconciler.gone(&key, &ctx).await,
    };
    tokio::select! {
        biased;
        () = noting.shown_by(ctx.informers()) => {}
        () = ctx.clock().sleep(LAG) => tracing::warn!(%key, "informers do not show what was written"),
    }
    outcome
}

/// Controllers that run: dropping this ends them.
#[must_use = "dropping it ends the controller"]
#[derive(Debug, Default)]
pub struct Running(Vec<AbortOnDropHandle<()>>);

impl Running {
    /// What a task does that was spawned for a controller.
    pub fn of(task: tokio::task::JoinHandle<()>) -> Self {
        Self(vec![AbortOnDropHandle::new(task)])
    }

    /// Both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Ends them and waits until nothing of them is left.
    pub async fn stop(self) {
        for task in &self.0 {
            task.abort();
        }
        for task in self.0 {
            let _ = task.await;
        }
    }
}

impl FromIterator<Self> for Running {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Self::and)
    }
}

/// How long the informers may take to show what a reconciliation wrote before it is not waited for any longer:
/// longer than any healthy watch lags, and short enough not to stall an object for good.
const LAG: Duration = Duration::from_secs(30);
