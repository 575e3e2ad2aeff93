//! NodeUnschedulable: cordoned nodes take no new pods.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Taint;

use crate::api::rules::placement::tolerates;
use crate::scheduler::framework::{ClusterEvent, Filter, NodeFilter, Plugin, Prepared, Reads, Refusal};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Rules out nodes with `spec.unschedulable`, but for pods that tolerate the taint which says the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn reads(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        Reads::Node
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn concerns(&self, event: &ClusterEvent) -> bool {
        !event.is_pod_added()
    }

    fn may_help(&self, _: &PodInfo, event: &ClusterEvent) -> bool {
        let closed = |node: &k8s_openapi::api::core::v1::Node| node.spec.as_ref().and_then(|s| s.unschedulable);
        event
            .node_gain()
            .is_some_and(|(old, new)| closed(new) != Some(true) && old.is_none_or(|old| closed(old) == Some(true)))
    }
}

impl Filter for NodeUnschedulable {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if tolerates(pod.tolerations(), &cordon) { Prepared::Pass } else { Prepared::Check(Box::new(Open)) }
    }
}

#[derive(Clone, Debug)]
struct Open;

impl<'a> NodeFilter<'a> for Open {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if node.is_unschedulable() { Err(Refusal::unresolvable("node(s) were unschedulable")) } else { Ok(()) }
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}
