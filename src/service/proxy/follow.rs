//! [`ServiceProxy`]: keeps a proxy supplied with what the API says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::{Proxy, routes};
use crate::client::{Informer, Informers, ObjectRef};
use crate::service::slice::{SERVICE_NAME, service_of};

/// Services whose routes may have changed.
#[derive(Debug, Default)]
struct Dirty {
    services: Mutex<BTreeSet<ObjectRef>>,
    some: Notify,
}

impl Dirty {
    fn mark(&self, services: impl IntoIterator<Item = ObjectRef>) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).extend(services);
        self.some.notify_one();
    }

    fn take(&self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut *self.services.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Follows Services, EndpointSlices and Nodes, and tells a [`Proxy`] the routes. Ends when dropped.
#[derive(Debug)]
pub struct ServiceProxy {
    task: AbortHandle,
    served: watch::Receiver<BTreeSet<ObjectRef>>,
}

impl Drop for ServiceProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServiceProxy {
    /// Starts to supply `proxy`.
    pub fn start(informers: &Informers, proxy: Arc<dyn Proxy>) -> Self {
        let services = informers.of::<Service>();
        let slices = informers.of::<EndpointSlice>();
        let nodes = informers.of::<Node>();
        slices.index(SERVICE_NAME, |slice| service_of(slice).map(|service| service.to_string()).into_iter().collect());
        let dirty = Arc::new(Dirty::default());
        {
            let dirty = Arc::clone(&dirty);
            services.on_change(move |change| dirty.mark([ObjectRef::of(&change.object().metadata)]));
        }
        {
            let dirty = Arc::clone(&dirty);
            slices.on_change(move |change| dirty.mark(change.versions().filter_map(|slice| service_of(slice))));
        }
        {
            let (dirty, services) = (Arc::clone(&dirty), services.clone());
            nodes.on_change(move |change| {
                let addresses = |node: &Option<Arc<Node>>| node.as_deref().map(addresses_of);
                if addresses(&change.old) != addresses(&change.new) {
                    dirty.mark(services.list().iter().map(|service| ObjectRef::of(&service.metadata)));
                }
            });
        }
        let (announce, served) = watch::channel(BTreeSet::new());
        let task = tokio::spawn(supply(dirty, services, slices, nodes, proxy, announce)).abort_handle();
        Self { task, served }
    }

    /// Waits until the proxy carries the traffic of `service`: it has endpoints, and its frontends listen.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn serves(&self, service: &ObjectRef) {
        // The sender ends only with the task, and the task with `self`.
        let _ = self.served.clone().wait_for(|served| served.contains(service)).await;
    }
}

fn addresses_of(node: &Node) -> Vec<IpAddr> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    addresses
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .collect()
}

async fn supply(
    dirty: Arc<Dirty>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    nodes: Informer<Node>,
    proxy: Arc<dyn Proxy>,
    served: watch::Sender<BTreeSet<ObjectRef>>,
) {
    loop {
        dirty.some.notified().await;
        let node_ips: Vec<IpAddr> = nodes.list().iter().flat_map(|node| addresses_of(node)).collect();
        for key in dirty.take() {
            let routes = services.get(&key.namespace, &key.name).map_or_else(Vec::new, |service| {
                routes(&service, &slices.by(SERVICE_NAME, &key.to_string()), &node_ips)
            });
            let reachable = routes.iter().any(|route| !route.endpoints.is_empty());
            let failures = proxy.set(&key, routes).await.err().unwrap_or_default();
            for error in &failures {
                tracing::warn!(service = %key, %error, "service is not served");
            }
            served.send_if_modified(|served| match reachable && failures.is_empty() {
                true => served.insert(key),
                false => served.remove(&key),
            });
        }
    }
}
