//! How far a pod has come.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The pod's phase; empty where none is set yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether a phase is one after which no other comes.
pub(crate) fn is_final(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// Whether the pod has run to its end, well or not.
pub fn is_terminal(pod: &Pod) -> bool {
    is_final(phase(pod))
}

/// The pod's condition of that type.
pub fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// Whether the pod serves.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}
