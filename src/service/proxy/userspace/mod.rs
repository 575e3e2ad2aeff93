//! [`UserspaceProxy`]: carries connections in this process, over ordinary sockets.

mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use super::{Balancer, Frontend, Protocol, Proxy, ProxyError, Route};
use crate::client::ObjectRef;
use crate::clock::Clock;

/// A balancer, as a listener and the proxy share it.
type Shared = Arc<Mutex<Balancer>>;

/// A proxy over ordinary sockets: no privilege, no kernel rules.
///
/// A frontend is listened on while it has endpoints: without any, clients are refused by the kernel, as kube-proxy
/// has it. An endpoint that does not accept is passed over for the next. Connections to endpoints that went are
/// left to end by themselves.
///
/// Dropping the proxy closes its listeners and its connections.
#[derive(Debug)]
pub struct UserspaceProxy {
    clock: Clock,
    listeners: tokio::sync::Mutex<BTreeMap<ObjectRef, BTreeMap<Frontend, Listener>>>,
    /// Connections outlive their listener, but not the proxy.
    connections: Arc<tcp::Connections>,
}

#[derive(Debug)]
struct Listener {
    balancer: Shared,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl UserspaceProxy {
    /// A proxy that serves nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, listeners: tokio::sync::Mutex::default(), connections: Arc::default() }
    }

    async fn listen(&self, route: &Route) -> io::Result<Listener> {
        let balancer = Shared::default();
        balancer.lock().unwrap_or_else(PoisonError::into_inner).set(route.endpoints.clone(), route.affinity);
        let shared = Arc::clone(&balancer);
        let address = route.frontend.address;
        let task = match route.frontend.protocol {
            Protocol::Tcp => tcp::listen(address, shared, self.clock, Arc::clone(&self.connections)).await?,
            Protocol::Udp => udp::listen(address, shared, self.clock).await?,
        };
        Ok(Listener { balancer, task })
    }
}

#[async_trait]
impl Proxy for UserspaceProxy {
    async fn set(&self, service: &ObjectRef, routes: Vec<Route>) -> Result<(), Vec<ProxyError>> {
        let mut listeners = self.listeners.lock().await;
        let mut old = listeners.remove(service).unwrap_or_default();
        let mut new = BTreeMap::new();
        let mut failed = Vec::new();
        let served: Vec<_> = routes.into_iter().filter(|route| !route.endpoints.is_empty()).collect();
        old.retain(|frontend, _| served.iter().any(|route| route.frontend == *frontend));
        for route in served {
            if let Some(listener) = old.remove(&route.frontend) {
                let mut balancer = listener.balancer.lock().unwrap_or_else(PoisonError::into_inner);
                balancer.set(route.endpoints, route.affinity);
                drop(balancer);
                new.insert(route.frontend, listener);
                continue;
            }
            match self.listen(&route).await {
                Ok(listener) => {
                    new.insert(route.frontend, listener);
                }
                Err(source) => failed.push(ProxyError { address: route.frontend.address, source }),
            }
        }
        if !new.is_empty() {
            listeners.insert(service.clone(), new);
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}
