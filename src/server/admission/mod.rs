//! Admission: the chain, and the steps that upstream enables by default.

mod chain;
mod namespace_lifecycle;
mod priority;
mod service_account;
mod taint_nodes;
mod toleration_seconds;

use std::sync::Arc;

pub(super) use self::chain::Chain;
use crate::api::{Admission, ApiError, Draft, Review};
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
    ]
}

/// `pods "web-0" is forbidden: why`. An object whose name is still to be made up goes by the beginning of it.
fn forbidden(review: &Review<'_>, object: Option<&Draft>, why: impl std::fmt::Display) -> ApiError {
    let mut resource = review.target.kind.resource();
    if !review.target.subresource.is_empty() {
        let name = format!("{}/{}", resource.resource(), review.target.subresource);
        resource = crate::api::GroupResource::new(resource.group(), name);
    }
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let meta = object.map(Draft::meta);
    let name = Some(review.target.name.clone())
        .filter(|name| !name.is_empty())
        .or_else(|| meta.and_then(|meta| filled(&meta.name).or_else(|| filled(&meta.generate_name))))
        .unwrap_or_else(|| "Unknown".to_owned());
    ApiError::forbidden(&resource, &name, why)
}
