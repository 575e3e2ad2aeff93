//! `PodResizeValidator`: no pod is resized to more than its node has for all pods.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::api::kinds::core::pod::requests;
use crate::api::rules::resources::amount_of;
use crate::api::{Admission, ApiError, Draft, GroupResource, Key, Kind, Operation, Quantity, Review};
use crate::store::Store;

#[derive(Debug)]
pub(super) struct PodResizeValidator {
    store: Arc<dyn Store>,
    nodes: GroupResource,
}

impl PodResizeValidator {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, nodes: Kind::of::<Node>().resource() }
    }
}

#[async_trait]
impl Admission for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.operation == Operation::Update
            && review.target.subresource == "resize"
            && review.target.kind.body_type() == std::any::TypeId::of::<Pod>()
    }

    async fn validate(&self, review: &Review<'_>, object: Option<&Draft>) -> Result<(), ApiError> {
        let Some(spec) = object.and_then(|object| object.typed::<Pod>()?.spec.as_ref()) else { return Ok(()) };
        let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) else { return Ok(()) };
        let Some(node) = self.store.get(&Key::new(self.nodes.clone(), "", name)).await? else { return Ok(()) };
        let allocatable = node
            .as_typed::<Node>()
            .and_then(|node| node.status.as_ref())
            .and_then(|status| status.allocatable.as_ref());
        let wanted = requests::of_pod(spec);
        let mut lacking = Vec::new();
        for (resource, unit) in [("cpu", Quantity::milli_value as fn(Quantity) -> i64), ("memory", Quantity::value)] {
            let requested = wanted.get(resource).copied().unwrap_or(Quantity::ZERO);
            let has = amount_of(allocatable, resource).unwrap_or(Quantity::ZERO);
            if requested > has {
                lacking.push(format!("{resource}, requested: {}, allocatable: {}", unit(requested), unit(has)));
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        let why = format!("node didn't have enough allocatable resources: {}", lacking.join("; "));
        Err(ApiError::forbidden(&review.target.kind.resource(), review.target.name(), why))
    }
}
