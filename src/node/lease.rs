//! The lease by which a node says that it is alive.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::AgentConfig;
use crate::api::ApiError;
use crate::client::Client;

/// The namespace of the nodes' leases.
const NAMESPACE: &str = "kube-node-lease";

/// Renews the node's lease, or makes it.
pub(super) async fn renew(client: &Client, config: &AgentConfig, node: &Node) -> Result<(), ApiError> {
    let leases = client.api::<Lease>(NAMESPACE);
    let seconds = i32::try_from(config.lease_duration.as_secs()).unwrap_or(i32::MAX);
    let renewed = LeaseSpec {
        holder_identity: Some(config.name.clone()),
        lease_duration_seconds: Some(seconds),
        renew_time: Some(client.clock().micro_time()),
        ..LeaseSpec::default()
    };
    if let Some(old) = leases.get_opt(&config.name).await? {
        let mut lease = Lease::clone(&old);
        let spec = lease.spec.get_or_insert_default();
        *spec = LeaseSpec { acquire_time: spec.acquire_time.clone(), ..renewed };
        return leases.update(lease).await.map(drop);
    }
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: config.name.clone(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        name: Some(config.name.clone()),
        namespace: Some(NAMESPACE.to_owned()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    leases.create(Lease { metadata, spec: Some(renewed) }).await.map(drop)
}
