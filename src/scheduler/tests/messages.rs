//! What users are told: upstream's sentences, to the letter.

use super::super::testkit::{TestNode, TestPod, cluster};
use super::super::{Framework, Placement, Scheduler};
use crate::random::Random;

fn message(nodes: Vec<TestNode>, others: Vec<TestPod>, pod: TestPod) -> String {
    match Framework::new(Random::seeded(1)).place(&pod.info(), &cluster(nodes, others)) {
        Placement::None(why) => why.message,
        placed @ Placement::Node { .. } => panic!("{placed:?}"),
    }
}

const UNHELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const ZONE: &str = "topology.kubernetes.io/zone";

#[test]
fn a_cluster_without_nodes_says_so() {
    assert_eq!(message(vec![], vec![], TestPod::new("p")), "no nodes available to schedule pods");
}

#[test]
fn every_refusal_is_counted_and_sorted() {
    let three = || vec![TestNode::new("a"), TestNode::new("b"), TestNode::new("c")];
    let pod = || TestPod::new("p");
    let web = || TestPod::new("w").label("app", "web");
    let cases: Vec<(Vec<TestNode>, Vec<TestPod>, TestPod, String)> = vec![
        (
            vec![TestNode::new("a").taint("gpu=yes", "NoSchedule"), TestNode::new("b").has("cpu", "1")],
            vec![],
            pod().asks("cpu", "2"),
            format!(
                "1 Insufficient cpu, 1 node(s) had untolerated taint(s). \
                 preemption: 0/2 nodes are available: 2 {UNHELPFUL}."
            ),
        ),
        (
            vec![TestNode::new("a").cordoned(), TestNode::new("b").cordoned(), TestNode::new("c")],
            vec![pod().asks("cpu", "3").on("c")],
            pod().asks("cpu", "2").asks("memory", "1Gi"),
            format!(
                "1 Insufficient cpu, 2 node(s) were unschedulable. \
                 preemption: 0/3 nodes are available: 1 {NO_VICTIMS}, 2 {UNHELPFUL}."
            ),
        ),
        (
            three(),
            vec![],
            pod().selects("disk", "ssd"),
            format!(
                "3 node(s) didn't match Pod's node affinity/selector. \
                 preemption: 0/3 nodes are available: 3 {UNHELPFUL}."
            ),
        ),
        (
            vec![TestNode::new("a")],
            vec![pod().host_port(80).on("a")],
            pod().host_port(80),
            format!(
                "1 node(s) didn't have free ports for the requested pod ports. \
                 preemption: 0/1 nodes are available: 1 {NO_VICTIMS}."
            ),
        ),
        (
            vec![TestNode::new("a").has("pods", "1"), TestNode::new("b")],
            vec![pod().on("a")],
            pod().asks("nvidia.com/gpu", "1").asks("memory", "9Gi"),
            format!(
                "1 Too many pods, 2 Insufficient memory, 2 Insufficient nvidia.com/gpu. \
                 preemption: 0/2 nodes are available: 2 {UNHELPFUL}."
            ),
        ),
        (
            vec![TestNode::new("a"), TestNode::new("b").zone("z")],
            vec![web().on("b")],
            pod().label("app", "web").spread(ZONE, 1, "DoNotSchedule", &[("app", "web")]),
            // One domain is even with itself: nothing to refuse but the node without a zone.
            String::new(),
        ),
        (
            vec![TestNode::new("a"), TestNode::new("b").zone("z"), TestNode::new("c").zone("y").cordoned()],
            vec![web().on("b")],
            pod().label("app", "web").spread(ZONE, 1, "DoNotSchedule", &[("app", "web")]),
            format!(
                "1 node(s) didn't match pod topology spread constraints, \
                 1 node(s) didn't match pod topology spread constraints (missing required label), \
                 1 node(s) were unschedulable. \
                 preemption: 0/3 nodes are available: 1 {NO_VICTIMS}, 2 {UNHELPFUL}."
            ),
        ),
        (
            three(),
            vec![],
            pod().near("kubernetes.io/hostname", &[("app", "web")]),
            format!(
                "3 node(s) didn't match pod affinity rules. \
                 preemption: 0/3 nodes are available: 3 {UNHELPFUL}."
            ),
        ),
        (
            vec![TestNode::new("a"), TestNode::new("b")],
            vec![web().on("a"), TestPod::new("x").away("kubernetes.io/hostname", &[("app", "mine")]).on("b")],
            pod().label("app", "mine").away("kubernetes.io/hostname", &[("app", "web")]),
            format!(
                "1 node(s) didn't match pod anti-affinity rules, \
                 1 node(s) didn't satisfy existing pods anti-affinity rules. \
                 preemption: 0/2 nodes are available: 2 {NO_VICTIMS}."
            ),
        ),
        (
            three(),
            vec![],
            pod().asks("cpu", "5").with(|spec| spec.preemption_policy = Some("Never".to_owned())),
            "3 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.".to_owned(),
        ),
        (
            three(),
            vec![],
            pod().on("elsewhere"),
            format!(
                "3 node(s) didn't match the requested node name. \
                 preemption: 0/3 nodes are available: 3 {UNHELPFUL}."
            ),
        ),
    ];
    for (nodes, others, pod, wanted) in cases {
        if wanted.is_empty() {
            let placed = Framework::new(Random::seeded(1)).place(&pod.info(), &cluster(nodes, others));
            assert_eq!(placed.node(), Some("b"));
            continue;
        }
        let wanted = format!("0/{} nodes are available: {wanted}", nodes.len());
        assert_eq!(message(nodes, others, pod), wanted);
    }
}

#[test]
fn nodes_that_a_pod_does_not_name_are_counted_by_the_plugin() {
    use k8s_openapi::api::core::v1::{Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
    let named = |names: &[&str]| {
        let field = NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        };
        let term = NodeSelectorTerm { match_fields: Some(vec![field]), ..NodeSelectorTerm::default() };
        let required = NodeSelector { node_selector_terms: vec![term] };
        let node_affinity = NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(required),
            ..NodeAffinity::default()
        };
        TestPod::new("p").with(|spec| {
            spec.affinity = Some(Affinity { node_affinity: Some(node_affinity), ..Affinity::default() });
        })
    };
    let nodes = || vec![TestNode::new("a").cordoned(), TestNode::new("b"), TestNode::new("c")];
    assert_eq!(
        message(nodes(), vec![], named(&["a"])),
        format!(
            "0/3 nodes are available: 1 node(s) were unschedulable, \
             2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
             preemption: 0/3 nodes are available: 3 {UNHELPFUL}."
        )
    );
    let placed = Framework::new(Random::seeded(1)).place(&named(&["c"]).info(), &cluster(nodes(), []));
    assert_eq!(placed.node(), Some("c"));
}
