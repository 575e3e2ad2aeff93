//! TaintToleration: pods keep off nodes with taints that they do not tolerate.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

use crate::api::rules::placement::tolerates;
use crate::scheduler::framework::{
    ClusterEvent, Filter, NodeFilter, NodeScore, Plugin, Prepared, Reads, Refusal, Score, normalize_by_highest,
};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Rules out nodes with a taint `NoSchedule` or `NoExecute` that the pod does not tolerate; prefers nodes with few
/// such taints `PreferNoSchedule`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn reads(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        Reads::Node
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn concerns(&self, event: &ClusterEvent) -> bool {
        !event.is_pod_added()
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let open = |node: &Node| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
            !has_untolerated(taints, pod.tolerations())
        };
        matches!(event, ClusterEvent::Itself)
            || event.node_gain().is_some_and(|(old, new)| open(new) && old.is_none_or(|old| !open(old)))
    }
}

/// Whether one of `taints` keeps off pods with these tolerations.
pub(super) fn has_untolerated(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    let mut hard = taints.iter().filter(|taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute"));
    hard.any(|taint| !tolerates(tolerations, taint))
}

impl Filter for TaintToleration {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        Prepared::Check(Box::new(Tolerations(pod.tolerations())))
    }
}

#[derive(Clone, Debug)]
struct Tolerations<'a>(&'a [Toleration]);

impl<'a> NodeFilter<'a> for Tolerations<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if has_untolerated(node.taints(), self.0) {
            return Err(Refusal::unresolvable("node(s) had untolerated taint(s)"));
        }
        Ok(())
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}

impl Score for TaintToleration {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[&'a NodeInfo]) -> Option<Box<dyn NodeScore + 'a>> {
        Some(Box::new(Tolerations(pod.tolerations())))
    }
}

impl NodeScore for Tolerations<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let soft = node.taints().iter().filter(|taint| taint.effect == "PreferNoSchedule");
        i64::try_from(soft.filter(|taint| !tolerates(self.0, taint)).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, _: &[&NodeInfo], scores: &mut [i64]) {
        normalize_by_highest(scores, true);
    }
}
