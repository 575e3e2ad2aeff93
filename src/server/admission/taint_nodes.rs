//! `TaintNodesByCondition`: a new node takes no pods until somebody has seen that it is ready.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Taint};

use crate::api::{Admission, ApiError, Draft, Operation, Review};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

#[derive(Debug)]
pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Admission for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.writes::<Node>(&[Operation::Create])
    }

    async fn admit(&self, _review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        if let Some(node) = object.and_then(|object| object.typed_mut::<Node>()) {
            let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
            if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == NO_SCHEDULE) {
                taints.push(Taint { key: NOT_READY.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() });
            }
        }
        Ok(())
    }
}
