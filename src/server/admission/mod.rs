//! Admission: the chain, and the steps that upstream enables by default.

mod chain;
mod namespace_lifecycle;
mod pod_resize;
mod priority;
mod service_account;
mod taint_nodes;
mod toleration_seconds;

use std::sync::Arc;

pub(super) use self::chain::Chain;
use crate::api::{Admission, ApiError, Draft, Operation, Review};
use crate::random::Random;
use crate::store::Store;

/// The built-in steps, in upstream's order.
pub(super) fn builtin(store: &Arc<dyn Store>, random: &Random, account_volumes: bool) -> Vec<Arc<dyn Admission>> {
    vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle::new(store.clone())),
        Arc::new(service_account::ServiceAccounts::new(store.clone(), random.fork("serviceaccount"), account_volumes)),
        Arc::new(taint_nodes::TaintNodesByCondition),
        Arc::new(priority::Priority::new(store.clone())),
        Arc::new(toleration_seconds::DefaultTolerationSeconds),
        Arc::new(pod_resize::PodResizeValidator::new(store.clone())),
    ]
}

/// `pods "web-0" is forbidden: why`. An object whose name the server makes up goes by the
/// beginning of it, as upstream names it at this point.
fn forbidden(review: &Review<'_>, object: Option<&Draft>, why: impl std::fmt::Display) -> ApiError {
    let mut resource = review.target.kind.resource();
    if !review.target.subresource.is_empty() {
        let name = format!("{}/{}", resource.resource(), review.target.subresource);
        resource = crate::api::GroupResource::new(resource.group(), name);
    }
    let prefix = object.and_then(|object| object.meta().generate_name.as_deref()).filter(|prefix| !prefix.is_empty());
    let made_up = |prefix: &&str| review.operation == Operation::Create && review.target.name().starts_with(*prefix);
    let name = match prefix.filter(made_up).unwrap_or(review.target.name()) {
        "" => "Unknown",
        name => name,
    };
    ApiError::forbidden(&resource, name, why)
}
