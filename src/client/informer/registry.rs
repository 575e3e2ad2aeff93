//! [`Informers`]: one informer per kind for all who ask.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};

use super::Informer;
use crate::api::ApiType;
use crate::client::Client;

/// The informers of a process part: at most one per kind, over all namespaces, started when first asked for.
/// Clones share them; they end with the last clone (and whoever still holds one of the informers).
#[derive(Clone)]
pub struct Informers {
    client: Client,
    /// Never iterated.
    started: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
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
        let informer =
            started.entry(TypeId::of::<K>()).or_insert_with(|| Box::new(Informer::<K>::start(self.client.all::<K>())));
        informer.downcast_ref::<Informer<K>>().expect("informers are kept under their type").clone()
    }
}
