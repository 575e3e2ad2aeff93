//! [`Informers`]: one informer per kind for all who ask.

use foldhash::HashMap;
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use super::Informer;
use crate::api::{ApiType, GroupResource, Kind, Revision};
use crate::client::Client;

type CaughtUp = Arc<dyn Fn(Revision) -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
struct Started {
    /// Never iterated.
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    by_resource: BTreeMap<GroupResource, CaughtUp>,
}

/// The informers of a process part: at most one per kind, over all namespaces, started when first asked for.
/// Clones share them; they end with the last clone (and whoever still holds one of the informers).
#[derive(Clone)]
pub struct Informers {
    client: Client,
    started: Arc<Mutex<Started>>,
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
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(informer) = started.by_type.get(&TypeId::of::<K>()) {
            return informer.downcast_ref::<Informer<K>>().expect("informers are kept under their type").clone();
        }
        let informer = Informer::<K>::start(self.client.all::<K>());
        started.by_type.insert(TypeId::of::<K>(), Box::new(informer.clone()));
        let waited = informer.clone();
        started.by_resource.insert(
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
        let informer =
            self.started.lock().unwrap_or_else(PoisonError::into_inner).by_resource.get(resource).map(Arc::clone);
        if let Some(caught_up) = informer {
            caught_up(revision).await;
        }
    }
}
