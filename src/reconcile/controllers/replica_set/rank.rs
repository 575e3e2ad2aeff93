//! Which pods go first when there are too many.
//!
//! The order is `ActivePodsWithRanks` of `k8s.io/kubernetes/pkg/controller/controller_utils.go`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::reconcile::pod;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods of `active` that are missed least. `related` are the pods of all siblings, among which pods
/// that share a node go first.
pub(super) fn victims(active: &[Arc<Pod>], related: &[Arc<Pod>], count: usize, now: Timestamp) -> Vec<Arc<Pod>> {
    let mut on_node = BTreeMap::<&str, usize>::new();
    for pod in related.iter().filter(|pod| pod::is_active(pod)) {
        *on_node.entry(node(pod)).or_default() += 1;
    }
    let mut order = active.to_vec();
    order.sort_by(|a, b| {
        let doubled_up = |pod: &Pod| on_node.get(node(pod)).copied().unwrap_or_default();
        is_assigned(a)
            .cmp(&is_assigned(b))
            .then_with(|| stage(a).cmp(&stage(b)))
            .then_with(|| pod::is_ready(a).cmp(&pod::is_ready(b)))
            .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
            .then_with(|| doubled_up(b).cmp(&doubled_up(a)))
            .then_with(|| if pod::is_ready(a) { newer(a, b, pod::ready_since, now) } else { Ordering::Equal })
            .then_with(|| restarts(b).cmp(&restarts(a)))
            .then_with(|| newer(a, b, created, now))
    });
    order.truncate(count);
    order
}

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn is_assigned(pod: &Pod) -> bool {
    !node(pod).is_empty()
}

fn stage(pod: &Pod) -> u8 {
    match pod::phase(pod) {
        "Unknown" => 1,
        "Running" => 2,
        _ => 0,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    // Only the canonical form counts.
    cost.and_then(|text| text.parse::<i32>().ok().filter(|cost| cost.to_string() == **text)).unwrap_or_default()
}

/// The most restarts of any container: of the regular ones, then of the sidecars.
fn restarts(pod: &Pod) -> (i32, i32) {
    let status = pod.status.as_ref();
    let most = |statuses: Option<&Vec<k8s_openapi::api::core::v1::ContainerStatus>>, counts: &dyn Fn(&str) -> bool| {
        let all = statuses.into_iter().flatten().filter(|status| counts(&status.name));
        all.map(|status| status.restart_count).max().unwrap_or_default()
    };
    let sidecar = |name: &str| {
        let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
        init.into_iter()
            .flatten()
            .any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
    };
    (
        most(status.and_then(|status| status.container_statuses.as_ref()), &|_| true),
        most(status.and_then(|status| status.init_container_statuses.as_ref()), &sidecar),
    )
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Puts the newer first, by powers of two of the age: among pods of about the same age the choice is by UID, which
/// is to say at random.
fn newer(a: &Pod, b: &Pod, time: impl Fn(&Pod) -> Option<Timestamp>, now: Timestamp) -> Ordering {
    let (first, second) = (time(a), time(b));
    if first == second {
        return Ordering::Equal;
    }
    let (Some(first), Some(second)) = (first, second) else { return first.is_some().cmp(&second.is_some()) };
    let magnitude = |time: Timestamp| now.duration_since(time).as_nanos().max(0).checked_ilog2();
    magnitude(first).cmp(&magnitude(second)).then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(100_000, 0);

    fn pod(name: &str, node: &str, ready: bool, age: u64) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name },
            "spec": { "nodeName": node, "containers": [] },
            "status": {
                "phase": "Running",
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            },
        }))
        .unwrap();
        pod.metadata.creation_timestamp = Some(Time(NOW - Duration::from_secs(age)));
        pod
    }

    fn first(mut pods: Vec<Pod>) -> String {
        pods.rotate_left(1);
        let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
        victims(&pods, &pods, 1, NOW)[0].metadata.name.clone().unwrap()
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        assert_eq!(first(vec![pod("unassigned", "", true, 9), pod("assigned", "n1", false, 1)]), "unassigned");
        assert_eq!(first(vec![pod("unready", "n1", false, 900), pod("ready", "n2", true, 1)]), "unready");
        assert_eq!(first(vec![pod("young", "n1", true, 10), pod("old", "n2", true, 1000)]), "young");
    }

    #[test]
    fn a_cheap_pod_goes_before_a_young_one_and_a_doubled_up_one_before_a_lone_one() {
        let mut cheap = pod("cheap", "n1", true, 1000);
        cheap.metadata.annotations = Some([(DELETION_COST.to_owned(), "-5".to_owned())].into());
        assert_eq!(first(vec![cheap, pod("young", "n2", true, 1)]), "cheap");
        let crowd =
            vec![pod("crowded-1", "n1", true, 900), pod("crowded-2", "n1", true, 901), pod("lone", "n2", true, 1)];
        assert!(first(crowd).starts_with("crowded"));
    }
}
