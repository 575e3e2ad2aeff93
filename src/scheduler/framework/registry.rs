//! The default plugins, in upstream's order and with upstream's weights.

use std::sync::Arc;

use super::Plugin;
use crate::random::Random;
use crate::scheduler::plugins::{
    BalancedAllocation, DefaultBinder, DefaultPreemption, ImageLocality, InterPodAffinity, NodeAffinity, NodeName,
    NodePorts, NodeResourcesFit, NodeUnschedulable, PodTopologySpread, PrioritySort, SchedulingGates, TaintToleration,
};

/// The default plugins with their weights. `random` says where preemption begins its search.
pub fn default_plugins(random: &Random) -> Vec<(Arc<dyn Plugin>, i64)> {
    vec![
        (Arc::new(SchedulingGates), 0),
        (Arc::new(PrioritySort), 0),
        (Arc::new(NodeUnschedulable), 0),
        (Arc::new(NodeName), 0),
        (Arc::new(TaintToleration), 3),
        (Arc::new(NodeAffinity), 2),
        (Arc::new(NodePorts), 0),
        (Arc::new(NodeResourcesFit::default()), 1),
        (Arc::new(PodTopologySpread::default()), 2),
        (Arc::new(InterPodAffinity::default()), 2),
        (Arc::new(DefaultPreemption::new(random.fork("preemption"))), 0),
        (Arc::new(BalancedAllocation::default()), 1),
        (Arc::new(ImageLocality), 1),
        (Arc::new(DefaultBinder), 0),
    ]
}
