//! What any [`Scheduler`] promises about its decisions. Each function is given one that has made none yet.

use super::{TestNode, TestPod, cluster};
use crate::scheduler::{Placement, Scheduler};

/// All promises, one after the other; `fresh` makes a scheduler for each.
pub fn all<S: Scheduler>(fresh: impl Fn() -> S) {
    a_pod_goes_to_a_node_of_the_cluster(&fresh());
    a_cluster_without_nodes_takes_nothing(&fresh());
    cordoned_nodes_take_nothing(&fresh());
    decisions_repeat(&fresh(), &fresh());
    every_refusal_has_a_message(&fresh());
}

/// A node that is named exists.
pub fn a_pod_goes_to_a_node_of_the_cluster(scheduler: &dyn Scheduler) {
    let nodes = cluster([TestNode::new("a"), TestNode::new("b")], []);
    let placed = scheduler.place(&TestPod::new("p").info(), &nodes);
    assert!(placed.node().is_some_and(|name| nodes.node(name).is_some()), "{placed:?}");
}

/// Nothing is placed where there is nothing.
pub fn a_cluster_without_nodes_takes_nothing(scheduler: &dyn Scheduler) {
    assert_eq!(scheduler.place(&TestPod::new("p").info(), &cluster([], [])).node(), None);
}

/// `kubectl cordon` is respected.
pub fn cordoned_nodes_take_nothing(scheduler: &dyn Scheduler) {
    let nodes = cluster([TestNode::new("a").cordoned(), TestNode::new("b").cordoned()], []);
    assert_eq!(scheduler.place(&TestPod::new("p").info(), &nodes).node(), None);
    let nodes = cluster([TestNode::new("a").cordoned(), TestNode::new("b")], []);
    assert_eq!(scheduler.place(&TestPod::new("p").info(), &nodes).node(), Some("b"));
}

/// Two schedulers made alike decide alike, decision for decision.
pub fn decisions_repeat(one: &dyn Scheduler, other: &dyn Scheduler) {
    let nodes = cluster((0..10).map(|number| TestNode::new(&format!("n{number}"))), []);
    for number in 0..20 {
        let pod = TestPod::new(&format!("p{number}")).info();
        assert_eq!(one.place(&pod, &nodes), other.place(&pod, &nodes));
    }
}

/// A user is told why.
pub fn every_refusal_has_a_message(scheduler: &dyn Scheduler) {
    let Placement::None(why) = scheduler.place(&TestPod::new("p").info(), &cluster([], [])) else {
        panic!("placed on no node")
    };
    assert!(!why.message.is_empty());
}
