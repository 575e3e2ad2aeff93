//! Whom the kernel ends first when the node runs out of memory.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::AgentConfig;
use super::static_pod::is_static;
use crate::api::Quantity;
use crate::api::kinds::core::pod::qos_class;
use crate::api::rules::resources::amount_of;

/// Of pods that the node cannot do without, and of those that get all that they ask for.
const GUARANTEED: i64 = -997;
/// Of pods that ask for nothing.
const BEST_EFFORT: i64 = 1000;
/// Pods of this priority or more are the node's own.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Whether a pod is one that its node, or its cluster, cannot do without.
pub(super) fn is_critical(pod: &Pod) -> bool {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
    is_static(pod) || priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL)
}

/// The `oom_score_adj` of a container: the less memory it asks for, the earlier it goes.
pub(super) fn oom_score(pod: &Pod, container: &Container, config: &AgentConfig) -> i32 {
    let Some(spec) = &pod.spec else { return 0 };
    let score = match qos_class(spec) {
        _ if spec.priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL) => GUARANTEED,
        "Guaranteed" => GUARANTEED,
        "BestEffort" => BEST_EFFORT,
        _ => {
            let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let wanted = amount_of(requests, "memory").map_or(0, Quantity::value);
            let capacity = amount_of(Some(&config.capacity), "memory").map_or(0, Quantity::value).max(1);
            // Between the two other classes, whatever it asks for.
            let share = i128::from(wanted) * 1000 / i128::from(capacity);
            (1000 - i64::try_from(share).unwrap_or(1000)).clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
        }
    };
    i32::try_from(score).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_less_memory_is_ended_earlier() {
        let config = AgentConfig::new("node-1", [127, 0, 0, 1].into()); // 16Gi
        let score = |resources: serde_json::Value| {
            let container = serde_json::json!({ "name": "main", "resources": resources });
            let pod: Pod =
                serde_json::from_value(serde_json::json!({ "spec": { "containers": [container] } })).unwrap();
            oom_score(&pod, &pod.spec.as_ref().unwrap().containers[0], &config)
        };
        assert_eq!(score(serde_json::json!({})), 1000);
        assert_eq!(score(serde_json::json!({ "requests": { "cpu": "1" } })), 999);
        assert_eq!(score(serde_json::json!({ "requests": { "memory": "4Gi" } })), 750);
        assert_eq!(score(serde_json::json!({ "requests": { "memory": "64Gi" } })), 3);
        let whole = serde_json::json!({ "cpu": "1", "memory": "1Gi" });
        assert_eq!(score(serde_json::json!({ "requests": whole, "limits": whole })), -997);
    }
}
