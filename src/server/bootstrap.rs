//! What a cluster begins with.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::Server;
use crate::api::{ApiError, ApiType, Backend, Call, Draft, Target, User, WriteOptions};

const NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "default"];

const PRIORITY_CLASSES: &[(&str, i32, &str)] = &[
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// Creates what is missing of what every cluster has.
pub(super) async fn bootstrap(server: &Server) -> Result<(), ApiError> {
    let call = Call::new(Arc::new(User::new("system:apiserver", &["system:masters"])), "kube-apiserver");
    for name in NAMESPACES {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some((*name).to_owned());
        ensure(server, &call, namespace).await?;
    }
    for (name, value, description) in PRIORITY_CLASSES {
        let mut class =
            PriorityClass { value: Some(*value), description: Some((*description).to_owned()), ..Default::default() };
        class.metadata.name = Some((*name).to_owned());
        ensure(server, &call, class).await?;
    }
    Ok(())
}

/// Creates an object, unless it is there, or the server does not serve its kind.
async fn ensure<K: ApiType>(server: &Server, call: &Call, object: K) -> Result<(), ApiError> {
    let Some(kind) = server.kinds().by_kind(K::GROUP, K::VERSION, K::KIND) else { return Ok(()) };
    let target = Target::all(kind, "");
    match server.create(call, &target, Draft::new(object), &WriteOptions::default()).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}
