//! The lease by which a node says that it is alive.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::AgentConfig;
use crate::api::ApiError;
use crate::client::{Api, Client};

/// The leases of all nodes.
pub(super) fn leases(client: &Client) -> Api<Lease> {
    client.api("kube-node-lease")
}

/// Renews the node's lease, or makes it. `held` is the version that this agent knows, which is tried without asking for
/// the stored one: nobody else writes it.
pub(super) async fn renew(
    leases: &Api<Lease>,
    config: &AgentConfig,
    node: &Node,
    held: &mut Option<Arc<Lease>>,
) -> Result<(), ApiError> {
    let seconds = i32::try_from(config.lease_duration.as_secs()).unwrap_or(i32::MAX);
    let renewed = |old: &Lease| {
        let acquire_time = old.spec.as_ref().and_then(|spec| spec.acquire_time.clone());
        let spec = LeaseSpec {
            holder_identity: Some(config.name.clone()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(leases.client().clock().micro_time()),
            acquire_time,
            ..LeaseSpec::default()
        };
        Lease { metadata: old.metadata.clone(), spec: Some(spec) }
    };
    if let Some(known) = held.take() {
        match leases.update(renewed(&known)).await {
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            other => {
                *held = Some(other?);
                return Ok(());
            }
        }
    }
    *held = Some(match leases.get_opt(&config.name).await? {
        Some(old) => leases.update(renewed(&old)).await?,
        None => {
            let owner = OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: config.name.clone(),
                uid: node.metadata.uid.clone().unwrap_or_default(),
                ..OwnerReference::default()
            };
            let metadata = ObjectMeta {
                name: Some(config.name.clone()),
                namespace: Some(leases.dynamic().namespace().to_owned()),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            };
            leases.create(renewed(&Lease { metadata, spec: None })).await?
        }
    });
    Ok(())
}
