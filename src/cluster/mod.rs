//! [`Cluster`]: the parts assembled into a whole cluster in this process.

mod builder;
#[cfg(feature = "docker")]
mod docker;
mod error;
#[cfg(feature = "http")]
pub mod kubeconfig;
mod kubernetes;
mod nodes;
mod part;
#[cfg(feature = "http")]
pub mod pki;
#[cfg(feature = "http")]
mod wire;

#[cfg(feature = "dns")]
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;

pub use self::builder::{Builder, Network, NodeSeat, RuntimeFactory};
pub use self::error::ClusterError;
pub use self::nodes::Nodes;
pub use self::part::{Part, UnknownPart};
use crate::api::{ApiError, FieldSelector, Reason, WatchOptions};
use crate::client::{ApplyError, Client, ObjectRef, RolloutStatus, TypedEvent};
use crate::clock::Clock;
use crate::reconcile::Context;
use crate::server::Server;
use crate::service::loopback::AddressPlan;
use crate::service::proxy::ServiceProxy;
/// A cluster in this process. Dropping it ends everything that belongs to it at once; [`Cluster::stop`] lets
/// containers end in order.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use orchestrion::cluster::Cluster;
/// let cluster = Cluster::builder().nodes(3).start().await?;
/// cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}").await?;
/// cluster.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    client: Client,
    context: Context,
    plan: AddressPlan,
    nodes: Nodes,
    running: crate::reconcile::Running,
    proxy: Option<ServiceProxy>,
    #[cfg(feature = "dns")]
    dns: Option<crate::service::dns::DnsServer>,
    #[cfg(feature = "http")]
    front: crate::server::http::Front,
    #[cfg(feature = "http")]
    wire: Option<wire::Wire>,
}

impl Cluster {
    /// Begins a cluster with every part at its default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A cluster with every part at its default: one node, loopback networking.
    ///
    /// # Errors
    /// Where a part cannot be had.
    pub async fn start() -> Result<Self, ClusterError> {
        Self::builder().start().await
    }

    /// A client that calls as the administrator.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The API server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The clock that every part goes by.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// What the controllers work with: informers and a recorder of events.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Where Services, nodes and pods live.
    pub fn addresses(&self) -> &AddressPlan {
        &self.plan
    }

    /// The nodes that were added, with their runtimes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Adds a node, or starts one again that was stopped or crashed.
    ///
    /// # Errors
    /// Where a node of that name runs, or no addresses are left.
    pub async fn add_node(&self, name: &str) -> Result<(), ClusterError> {
        self.nodes.start(name, self.context.informers(), self.client.random())
    }

    /// Stops a node's agent in order. Its containers run on; after a while the node counts as lost.
    pub async fn stop_node(&self, name: &str) {
        if let Some(agent) = self.nodes.take_agent(name)
            && let Err(error) = agent.stop().await
        {
            tracing::debug!(node = name, %error, "the node could not say that it stops");
        }
    }

    /// Takes a node away as a power failure would: its agent and its containers are gone at once, and nobody is told.
    pub fn crash_node(&self, name: &str) {
        drop(self.nodes.take_agent(name));
        self.nodes.forget(name);
    }

    /// Takes a node away for good: stops it and deletes its object.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn remove_node(&self, name: &str) -> Result<(), ApiError> {
        self.stop_node(name).await;
        self.nodes.forget(name);
        self.client.all::<k8s_openapi::api::core::v1::Node>().delete(name).await.map(drop)
    }

    /// Applies the documents of a manifest (YAML or JSON), in order, in the namespace `default` where they name none.
    ///
    /// # Errors
    /// Those of the manifest, and those of the API.
    pub async fn apply(&self, manifest: &str) -> Result<(), ApplyError> {
        self.client.apply_manifest(manifest, "default").await.map(drop)
    }

    /// Waits until the rollout of a Deployment is done.
    ///
    /// # Errors
    /// A timeout where it makes no progress within its own deadline; else those of the API.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn rolled_out(&self, namespace: &str, deployment: &str) -> Result<Arc<Deployment>, ApiError> {
        let fields = FieldSelector::equal("metadata.name", deployment);
        let options = WatchOptions { fields, ..WatchOptions::default() };
        loop {
            let mut events = self.client.api::<Deployment>(namespace).watch(&options).await?;
            while let Some(event) = events.next().await {
                let (TypedEvent::Added(deployment) | TypedEvent::Modified(deployment)) = event? else { continue };
                match RolloutStatus::of(&deployment) {
                    RolloutStatus::Waiting(_) => {}
                    RolloutStatus::Done(_) => return Ok(deployment),
                    RolloutStatus::Failed(text) => return Err(ApiError::new(Reason::Timeout, text)),
                }
            }
        }
    }

    /// Waits until the traffic of a Service is carried: it has ready endpoints, and its addresses answer. Without a
    /// proxy in this cluster it waits for ever.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn reachable(&self, namespace: &str, service: &str) {
        match &self.proxy {
            Some(proxy) => proxy.serves(&ObjectRef::new(namespace, service)).await,
            None => std::future::pending().await,
        }
    }

    /// Asks cluster DNS for the addresses of `name`.
    ///
    /// # Errors
    /// Where there is no DNS in this cluster, or it cannot be reached. A name that does not exist has no addresses.
    #[cfg(feature = "dns")]
    pub async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let dns = self.dns.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        crate::service::dns::ask(dns.address(), name).await
    }

    /// Where cluster DNS answers.
    #[cfg(feature = "dns")]
    pub fn dns(&self) -> Option<SocketAddr> {
        self.dns.as_ref().map(crate::service::dns::DnsServer::address)
    }

    /// The API over HTTP as a `tower::Service` in this process, whether or not the cluster listens. Requests need
    /// credentials, unless they go through [`Front::as_user`](crate::server::http::Front::as_user).
    #[cfg(feature = "http")]
    pub fn front(&self) -> &crate::server::http::Front {
        &self.front
    }

    /// A kube-rs client that calls as the administrator, in this process: no socket, no certificates. Its default
    /// namespace is `default`.
    #[cfg(feature = "kube")]
    pub fn kube_client(&self) -> kube::Client {
        kube::Client::new(self.front.as_user(crate::api::User::admin()), "default")
    }

    /// A kubeconfig for the administrator, where the cluster listens.
    #[cfg(feature = "http")]
    pub fn kubeconfig(&self) -> Option<&str> {
        self.wire.as_ref().map(wire::Wire::kubeconfig)
    }

    /// The URL of the API, where the cluster listens.
    #[cfg(feature = "http")]
    pub fn url(&self) -> Option<String> {
        self.wire.as_ref().map(wire::Wire::url)
    }

    /// Stops everything in order: the wire, the nodes, the controllers. Containers that ran in this process end.
    #[cfg_attr(not(feature = "http"), allow(unused_mut, reason = "the wire is what is taken out"))]
    pub async fn stop(mut self) {
        #[cfg(feature = "http")]
        if let Some(wire) = self.wire.take() {
            wire.stop().await;
        }
        for name in self.nodes.names() {
            self.stop_node(&name).await;
            self.nodes.forget(&name);
        }
        self.running.stop().await;
    }
}
