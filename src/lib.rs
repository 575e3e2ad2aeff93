//! Kubernetes as a library: a whole cluster in a process, every part replaceable.
//!
//! [`cluster::Cluster`] assembles the parts; each is of use by itself:
//!
//! | module | what it is | replace it by |
//! |---|---|---|
//! | [`api`] | the object model, and the contracts between the parts | |
//! | [`store`] | an ordered, revisioned store of objects | [`store::Store`] |
//! | [`server`] | the API server's semantics; [`server::http`] is its wire front | [`api::Backend`] |
//! | [`client`] | typed verbs and informers, in process or over HTTPS | |
//! | [`reconcile`] | the framework of controllers, and Kubernetes' own | [`reconcile::Reconciler`] |
//! | [`scheduler`] | the scheduling framework, its plugins, its queue | [`scheduler::Scheduler`] |
//! | [`runtime`] | sandboxes and containers | [`runtime::Runtime`] |
//! | [`node`] | the node agent | |
//! | [`service`] | addresses, the proxy and DNS of Services | [`service::proxy::Proxy`] |
//!
//! [`clock`] and [`random`] are where time and randomness come from: under a paused tokio runtime and with a seed, a
//! cluster is a reproducible simulation.
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use orchestrion::cluster::Cluster;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let cluster = Cluster::builder().simulated(42).start().await?;
//! cluster.apply("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}").await?;
//! let running = |pod: Option<&Pod>| {
//!     pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Running")
//! };
//! let minute = std::time::Duration::from_secs(60);
//! cluster.client().api::<Pod>("default").wait("web", minute, running).await?;
//! cluster.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Features
//! - `v1_36` (default): the version of `k8s-openapi`; an application that chooses one itself turns it off.
//! - `http` (default): the HTTPS front and the remote client.
//! - `dns` (default): cluster DNS.
//! - `kube`: a `kube::Client` served in process.
//! - `testkit`: the test kits of the public traits.

pub mod api;
mod aside;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod node;
pub mod random;
pub mod reconcile;
pub mod runtime;
pub mod scheduler;
pub mod server;
pub mod service;
pub mod store;
mod turn;
