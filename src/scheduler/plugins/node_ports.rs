//! NodePorts: a port of a node is taken once.

use std::sync::Arc;

use crate::scheduler::framework::{ClusterEvent, Filter, NodeFilter, Plugin, Prepared, Reads, Refusal};
use crate::scheduler::snapshot::{HostPort, NodeInfo, PodInfo, Snapshot};

/// Rules out nodes where a host port that the pod wants is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
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
        event.node_gain().is_some_and(|(old, _)| old.is_none())
            || event.pod_gone().is_some_and(|gone| HostPort::any_conflict(&pod.ports, &gone.ports))
    }
}

impl Filter for NodePorts {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        if pod.ports.is_empty() { Prepared::Pass } else { Prepared::Check(Box::new(Wanted(&pod.ports))) }
    }
}

#[derive(Clone, Debug)]
struct Wanted<'a>(&'a [HostPort]);

impl<'a> NodeFilter<'a> for Wanted<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if HostPort::any_conflict(self.0, &node.ports) {
            return Err(Refusal::new("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}
