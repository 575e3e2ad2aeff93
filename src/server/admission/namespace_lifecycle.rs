//! `NamespaceLifecycle`: no objects in namespaces that do not exist, no new ones in those that end, and some
//! namespaces never end.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;

use super::forbidden;
use crate::api::{Admission, ApiError, Draft, GroupResource, Key, Kind, Operation, Review};
use crate::store::Store;

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

#[derive(Debug)]
pub(super) struct NamespaceLifecycle {
    store: Arc<dyn Store>,
    namespaces: GroupResource,
}

impl NamespaceLifecycle {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, namespaces: Kind::of::<Namespace>().resource() }
    }
}

#[async_trait]
impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        match review.operation {
            Operation::Create | Operation::Update => review.target.kind.namespaced,
            Operation::Delete => review.writes::<Namespace>(&[Operation::Delete]),
            Operation::Connect => false,
        }
    }

    async fn admit(&self, review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        let target = review.target;
        if review.operation == Operation::Delete {
            return match IMMORTAL.contains(&target.name()) {
                true => Err(forbidden(review, None, "this namespace may not be deleted")),
                false => Ok(()),
            };
        }
        let name = target.namespace();
        let Some(namespace) = self.store.get(&Key::new(self.namespaces.clone(), "", name)).await? else {
            return Err(ApiError::not_found(&self.namespaces, name));
        };
        let phase = namespace.as_typed::<Namespace>().and_then(|namespace| namespace.status.as_ref()?.phase.as_deref());
        if review.operation == Operation::Create && phase == Some("Terminating") {
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            return Err(forbidden(review, object.as_deref(), why).with_cause(
                "NamespaceTerminating",
                "metadata.namespace",
                format!("namespace {name} is being terminated"),
            ));
        }
        Ok(())
    }
}
