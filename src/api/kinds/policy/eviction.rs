//! Eviction: the body that asks for a pod to go, as far as disruption budgets let it.

use k8s_openapi::api::policy::v1::Eviction;

use crate::api::{Kind, Strategy};

/// What an Eviction does.
#[derive(Debug)]
struct EvictionStrategy;

impl Strategy for EvictionStrategy {
    type Object = Eviction;
}

pub(crate) fn kind() -> Kind {
    let mut kind = Kind::builtin(EvictionStrategy).verbs(&[]);
    kind.namespaced = true;
    kind
}
