//! The Node object of an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, NodeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::AgentConfig;
use super::status::node::node_status;
use crate::api::ApiError;
use crate::client::Client;
use crate::runtime::Runtime;

/// What `kubernetes.io/arch` calls this machine's processor.
pub(super) const ARCH: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    _ => std::env::consts::ARCH,
};

/// The labels that every node has.
fn labels(config: &AgentConfig) -> BTreeMap<String, String> {
    let own = [
        ("beta.kubernetes.io/arch", ARCH),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", ARCH),
        ("kubernetes.io/hostname", &config.name),
        ("kubernetes.io/os", "linux"),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(config.labels.clone()).collect()
}

/// Registers the node, or finds it registered and brings its labels up to date.
pub(super) async fn register(
    client: &Client,
    config: &AgentConfig,
    runtime: &dyn Runtime,
) -> Result<Arc<Node>, ApiError> {
    let nodes = client.all::<Node>();
    let labels = labels(config);
    if nodes.get_opt(&config.name).await?.is_some() {
        return nodes
            .modify(&config.name, |node| node.metadata.labels.get_or_insert_default().extend(labels.clone()))
            .await;
    }
    let images = runtime.images().await.unwrap_or_default();
    let status = Some(node_status(config, runtime, &images, &BTreeSet::new(), None, client.clock().time()));
    let node = Node { status, ..initial(config) };
    match nodes.create(node).await {
        Err(error) if error.is_already_exists() => nodes.get(&config.name).await,
        other => other,
    }
}

/// The node as it registers, short of its status.
pub(super) fn initial(config: &AgentConfig) -> Node {
    let annotation = ("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned());
    Node {
        metadata: ObjectMeta {
            name: Some(config.name.clone()),
            labels: Some(labels(config)),
            annotations: Some([annotation].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: config.pod_cidr.clone(),
            pod_cidrs: config.pod_cidr.clone().map(|cidr| vec![cidr]),
            taints: Some(config.taints.clone()).filter(|taints| !taints.is_empty()),
            ..NodeSpec::default()
        }),
        status: None,
    }
}
