//! [`Informers`]: one informer per kind for all who ask.

use std::any::{Any, TypeId};
use std::fmt::{self, Debug};
use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use futures::future::BoxFuture;

use super::Informer;
use crate::api::{ApiType, GroupResource, Kind, Revision};
use crate::client::Client;

type CaughtUp = Arc<dyn Fn(Revision) -> BoxFuture<'static, ()> + Send + Sync>;

/// What has been started. Never iterated.
#[derive(Default)]
struct Started {
    by_type: DashMap<TypeId, Box<dyn Any + Send + Sync>, RandomState>,
    by_resource: DashMap<GroupResource, CaughtUp, RandomState>,
}

/// The informers of a process part: at most one per kind, over all namespaces, started when first asked for.
/// Clones share them; they end with the last clone (and whoever still holds one of the informers).
#[derive(Clone)]
pub struct Informers {
    client: Client,
    started: Arc<Started>,
}

impl Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informers").finish_non_exhaustive()
    }
}

impl Informers {
    /// No informer yet; those asked for will use `client`.
    pub fn new(client: Client) -> Self {
        Self { client, started: Arc::default() }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The informer of all objects of type `K`.
    pub fn of<K: ApiType>(&self) -> Informer<K> {
        let informer = self.started.by_type.entry(TypeId::of::<K>()).or_insert_with(|| Box::new(self.start::<K>()));
        informer.downcast_ref::<Informer<K>>().expect("informers are kept under their type").clone()
    }

    fn start<K: ApiType>(&self) -> Informer<K> {
        let informer = Informer::<K>::start(self.client.all::<K>());
        let waited = informer.clone();
        self.started.by_resource.insert(
            Kind::of::<K>().stored().clone(),
            Arc::new(move |revision| {
                let informer = waited.clone();
                Box::pin(async move { informer.caught_up(revision).await })
            }),
        );
        informer
    }

    /// Waits until the informer of `resource` shows everything up to `revision`, which must be of a write to that
    /// resource. Returns at once where nobody asked for that informer.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn caught_up(&self, resource: &GroupResource, revision: Revision) {
        let informer = self.started.by_resource.get(resource).map(|caught_up| Arc::clone(&caught_up));
        if let Some(caught_up) = informer {
            caught_up(revision).await;
        }
    }
}
