//! The controllers of Kubernetes.
//!
//! [`TABLE`] names them all; [`start`] starts those that are wanted.

pub mod deployment;
pub mod endpoints;
pub mod garbage_collector;
pub mod namespace;
pub mod replica_set;
pub mod root_ca;
pub mod service_account;

use super::{Context, Running};

/// What the controllers may be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The certificate (PEM) that the ConfigMap `kube-root-ca.crt` publishes; none publishes none.
    pub root_certificate: Option<String>,
}

/// A controller's name, as kube-controller-manager's `--controllers` knows it, and what starts it.
pub type Row = (&'static str, fn(&Context, &Settings) -> Running);

/// All controllers.
pub const TABLE: &[Row] = &[
    ("deployment-controller", |ctx, _| deployment::controller().start(ctx)),
    ("endpoints-controller", |ctx, _| endpoints::endpoints().start(ctx)),
    ("endpointslice-controller", |ctx, _| endpoints::endpoint_slices().start(ctx)),
    ("garbage-collector-controller", |ctx, _| garbage_collector::start(ctx)),
    ("namespace-controller", |ctx, _| namespace::controller().start(ctx)),
    ("replicaset-controller", |ctx, _| replica_set::replica_sets().start(ctx)),
    ("replicationcontroller-controller", |ctx, _| replica_set::replication_controllers().start(ctx)),
    ("root-ca-certificate-publisher-controller", |ctx, settings| match &settings.root_certificate {
        Some(certificate) => root_ca::controller(certificate).start(ctx),
        None => Running::default(),
    }),
    ("serviceaccount-controller", |ctx, _| service_account::controller().start(ctx)),
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
