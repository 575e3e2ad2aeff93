//! The taints that a node's conditions call for.

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition;
use crate::reconcile::{Context, Error};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions, the state in which they call for a taint, and its key.
const BY_CONDITION: &[(&str, &str, &str)] = &[
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Whether pods on a node that does not serve may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// They may.
    Go,
    /// They may, but not yet.
    Wait,
    /// They may not: so much fails that the fault may be here.
    Never,
}

/// Adds the taints that are called for, and removes those that no longer are.
pub(super) async fn bring_up_to_date(ctx: &Context, node: &Node, eviction: Eviction) -> Result<(), Error> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let now = ctx.clock().time();
    if taints(node, eviction, &now) == node.spec.as_ref().and_then(|spec| spec.taints.clone()) {
        return Ok(());
    }
    let set = |node: &mut Node| {
        let taints = taints(node, eviction, &now);
        node.spec.get_or_insert_default().taints = taints;
    };
    match ctx.client().all::<Node>().modify(name, set).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The taints that the node should have.
fn taints(node: &Node, eviction: Eviction, now: &Time) -> Option<Vec<Taint>> {
    let is_unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let calls = |(type_, value, _): &&(&str, &str, &str)| {
        condition(node, type_).is_some_and(|condition| condition.status == *value)
    };
    let mut keep_away: Vec<_> = BY_CONDITION.iter().filter(calls).map(|(_, _, key)| *key).collect();
    let drive_out = keep_away.iter().copied().find(|key| [NOT_READY, UNREACHABLE].contains(key));
    if is_unschedulable {
        keep_away.push(UNSCHEDULABLE);
    }
    let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let is_ours = |taint: &Taint| {
        let key = taint.key.as_str();
        match taint.effect.as_str() {
            NO_SCHEDULE => key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, ours)| *ours == key),
            NO_EXECUTE => key == NOT_READY || key == UNREACHABLE,
            _ => false,
        }
    };
    let driven_out = taints.iter().any(|taint| taint.effect == NO_EXECUTE && is_ours(taint));
    let drive_out = drive_out.filter(|_| match eviction {
        Eviction::Go => true,
        // A node that is given up is not taken back before it serves again.
        Eviction::Wait => driven_out,
        Eviction::Never => false,
    });
    let wanted: Vec<_> =
        keep_away.into_iter().map(|key| (key, NO_SCHEDULE)).chain(drive_out.map(|key| (key, NO_EXECUTE))).collect();
    taints.retain(|taint| !is_ours(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str())));
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                time_added: Some(now.clone()),
                value: None,
            });
        }
    }
    Some(taints).filter(|taints| !taints.is_empty())
}
