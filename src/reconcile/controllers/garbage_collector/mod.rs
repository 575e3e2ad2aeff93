//! The garbage collector: what nobody owns any more goes.
//!
//! It follows all kinds there are, keeps a [graph](graph) of who owns whom, and looks at objects that the graph makes
//! suspicious. Before it deletes anything it asks the API itself whether the owner is gone.

mod graph;
mod sweep;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::graph::{Graph, Uid};
use crate::api::{FieldSelector, GroupResource, KindRef, LabelSelector};
use crate::client::Followed;
use crate::reconcile::controller::{Inbox, work};
use crate::reconcile::{Context, Running};

const NAME: &str = "generic-garbage-collector";
/// How many objects are looked at at once.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(20).unwrap();
/// How often the table of kinds is looked at for new ones, and how long the first lists may take.
const RESYNC: Duration = Duration::from_secs(30);

/// Starts the garbage collector.
pub fn start(ctx: &Context) -> Running {
    let ctx = ctx.named(NAME);
    Running::of(tokio::spawn(async move {
        let collector = Collector { ctx, shared: Arc::default() };
        tokio::join!(collector.follow_kinds(), collector.sweep_all());
    }))
}

/// What followers and sweepers share.
#[derive(Debug, Default)]
struct Shared {
    graph: Mutex<Graph>,
    inbox: Inbox<Uid>,
    /// How many kinds have not been listed yet; `None` before any is followed.
    unlisted: watch::Sender<Option<usize>>,
}

impl Shared {
    fn graph<T>(&self, use_it: impl FnOnce(&mut Graph) -> T) -> T {
        use_it(&mut self.graph.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Collector {
    ctx: Context,
    shared: Arc<Shared>,
}

impl Collector {
    /// Follows every kind whose objects can be listed and deleted, those that are added meanwhile too.
    async fn follow_kinds(&self) {
        let mut followed = BTreeMap::<GroupResource, AbortOnDropHandle<()>>::new();
        loop {
            let kinds = self.kinds();
            followed.retain(|resource, _| {
                kinds.contains_key(resource) || {
                    self.shared.graph(|graph| graph.drop_resource(resource));
                    false
                }
            });
            let new: Vec<_> = kinds.into_iter().filter(|(resource, _)| !followed.contains_key(resource)).collect();
            self.shared.unlisted.send_modify(|count| *count = Some(count.unwrap_or_default() + new.len()));
            followed.extend(new.into_iter().map(|(resource, kind)| (resource, self.follow(kind))));
            self.ctx.clock().sleep(RESYNC).await;
        }
    }

    fn kinds(&self) -> BTreeMap<GroupResource, KindRef> {
        let mut kinds = BTreeMap::new();
        for kind in self.ctx.client().backend().kinds().all() {
            let serves = ["list", "watch", "delete"].iter().all(|verb| kind.verbs.contains(verb));
            // Events own nothing, nobody owns them, and there are many.
            if serves && kind.plural != "events" {
                kinds.entry(kind.stored().clone()).or_insert(kind);
            }
        }
        kinds
    }

    fn follow(&self, kind: KindRef) -> AbortOnDropHandle<()> {
        let (api, shared) = (self.ctx.client().dynamic(kind.clone(), ""), Arc::clone(&self.shared));
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut listed = false;
            let everything = (LabelSelector::default(), FieldSelector::default());
            let step = |followed| {
                let suspects = shared.graph(|graph| match followed {
                    Followed::All(objects, _) => graph.replace(&kind, &objects),
                    Followed::Set(object) => graph.observe(&object),
                    Followed::Gone(object) => graph.forget(object.uid()),
                    Followed::Progress(_) => Vec::new(),
                });
                shared.inbox.add_all(suspects);
                if !std::mem::replace(&mut listed, true) {
                    shared.unlisted.send_modify(|count| *count = count.map(|count| count.saturating_sub(1)));
                }
            };
            api.follow(&everything.0, &everything.1, step).await;
        }))
    }

    async fn sweep_all(&self) {
        // Not before the graph is whole: an owner would be let go before its dependents are known. But a kind that
        // cannot be listed must not keep all others waiting.
        let mut unlisted = self.shared.unlisted.subscribe();
        let _ = tokio::time::timeout(RESYNC, unlisted.wait_for(|count| *count == Some(0))).await;
        let call = |uid: Uid| async move { self.sweep(&uid).await };
        work(NAME, *self.ctx.clock(), &self.shared.inbox, CONCURRENCY, call).await;
    }
}
