//! NodeName: a pod that names its node goes nowhere else.

use std::sync::Arc;

use crate::scheduler::framework::{ClusterEvent, Filter, NodeFilter, Plugin, Prepared, Reads, Refusal};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Rules out every node but the one that `spec.nodeName` names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
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

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        event.node_gain().is_some_and(|(old, new)| old.is_none() && new.metadata.name.as_deref() == pod.node())
    }
}

impl Filter for NodeName {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        pod.node().map_or(Prepared::Pass, |name| Prepared::Check(Box::new(Named(name))))
    }
}

#[derive(Clone, Debug)]
struct Named<'a>(&'a str);

impl<'a> NodeFilter<'a> for Named<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if node.name() == self.0 {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) didn't match the requested node name"))
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}
