//! The controllers of Kubernetes.
//!
//! [`TABLE`] names them all; [`start`] starts those that are wanted.

pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod expiry;
pub mod garbage_collector;
pub mod namespace;
pub mod node_lifecycle;
pub mod pod_gc;
pub mod replica_set;
pub mod root_ca;
pub mod service_account;
pub mod taint_eviction;

use super::{Context, Running};

/// What the controllers may be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The certificate (PEM) that the ConfigMap `kube-root-ca.crt` publishes; none publishes none.
    pub root_certificate: Option<String>,
    /// How long nodes may be silent.
    pub node_patience: node_lifecycle::Patience,
    /// How many pods that have come to their end are kept, over all namespaces.
    pub keep_terminated_pods: Option<usize>,
}

impl Default for Settings {
    /// As kube-controller-manager has it.
    fn default() -> Self {
        Self {
            root_certificate: None,
            node_patience: node_lifecycle::Patience::default(),
            keep_terminated_pods: Some(12_500),
        }
    }
}

/// A controller's name, as kube-controller-manager's `--controllers` knows it, and what starts it.
pub type Row = (&'static str, fn(&Context, &Settings) -> Running);

/// All controllers.
pub const TABLE: &[Row] = &[
    ("deployment-controller", |ctx, _| deployment::controller().start(ctx)),
    ("disruption-controller", |ctx, _| disruption::controller().start(ctx)),
    ("endpoints-controller", |ctx, _| endpoints::endpoints().start(ctx)),
    ("endpointslice-controller", |ctx, _| endpoints::endpoint_slices().start(ctx)),
    ("event-ttl-controller", |ctx, _| expiry::events(ctx, expiry::EVENT_LIFE)),
    ("garbage-collector-controller", |ctx, _| garbage_collector::start(ctx)),
    ("namespace-controller", |ctx, _| namespace::controller().start(ctx)),
    ("node-lifecycle-controller", |ctx, settings| node_lifecycle::controller(settings.node_patience).start(ctx)),
    ("pod-garbage-collector-controller", |ctx, settings| pod_gc::start(ctx, settings.keep_terminated_pods)),
    ("replicaset-controller", |ctx, _| replica_set::replica_sets().start(ctx)),
    ("replicationcontroller-controller", |ctx, _| replica_set::replication_controllers().start(ctx)),
    ("root-ca-certificate-publisher-controller", |ctx, settings| match &settings.root_certificate {
        Some(certificate) => root_ca::controller(certificate).start(ctx),
        None => Running::default(),
    }),
    ("serviceaccount-controller", |ctx, _| service_account::controller().start(ctx)),
    ("ttl-after-finished-controller", |ctx, _| expiry::jobs().start(ctx)),
    ("taint-eviction-controller", |ctx, _| taint_eviction::controller().start(ctx)),
];

/// Starts the controllers whose name is wanted.
///
/// ```
/// # async fn run(client: orchestrion::client::Client) {
/// use orchestrion::reconcile::{Context, controllers};
/// let ctx = Context::new(client);
/// let running = controllers::start(&ctx, &controllers::Settings::default(), |name| name != "namespace-controller");
/// running.stop().await;
/// # }
/// ```
pub fn start(ctx: &Context, settings: &Settings, wanted: impl Fn(&str) -> bool) -> Running {
    TABLE.iter().filter(|(name, _)| wanted(name)).map(|(_, start)| start(ctx, settings)).collect()
}
