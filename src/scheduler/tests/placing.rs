//! Where pods go.

use std::collections::BTreeSet;

use super::super::framework::{Filter, Plugin, Prepared};
use super::super::plugins::{NodeResourcesFit, ScoringStrategy, Shape};
use super::super::snapshot::{PodInfo, Snapshot};
use super::super::testkit::{TestNode, TestPod, cluster, placement};
use super::super::{Framework, Placement, Scheduler};
use crate::random::Random;

fn framework() -> Framework {
    Framework::new(Random::seeded(1))
}

fn place(scheduler: &Framework, nodes: Vec<TestNode>, others: Vec<TestPod>, pod: TestPod) -> String {
    let placed = scheduler.place(&pod.info(), &cluster(nodes, others));
    placed.node().map(str::to_owned).unwrap_or_else(|| panic!("{placed:?}"))
}

#[test]
fn the_default_framework_keeps_the_promises() {
    placement::all(framework);
}

#[test]
fn pods_go_where_the_score_is_highest() {
    const MB: i64 = 1024 * 1024;
    let (a, b) = (|| TestNode::new("a"), || TestNode::new("b"));
    let pod = || TestPod::new("p");
    let busy = |node| TestPod::new("busy").label("app", "web").asks("cpu", "1").asks("memory", "2Gi").on(node);
    let cases: Vec<(&str, Vec<TestNode>, Vec<TestPod>, TestPod)> = vec![
        ("the emptier node", vec![a(), b()], vec![busy("a")], pod().asks("cpu", "1")),
        ("no soft taint", vec![a().taint("slow", "PreferNoSchedule"), b()], vec![busy("b")], pod()),
        ("the node with the image", vec![a(), b().image("app:1", 900 * MB)], vec![], pod().image("app:1")),
        (
            "the balanced node",
            vec![a().has("cpu", "8"), b().has("cpu", "4").has("memory", "16Gi")],
            vec![],
            pod().asks("cpu", "1").asks("memory", "4Gi"),
        ),
        (
            "away from its like",
            vec![a(), b().has("cpu", "3")],
            vec![TestPod::new("w").label("app", "web").on("a")],
            pod().label("app", "web").spread("kubernetes.io/hostname", 1, "ScheduleAnyway", &[("app", "web")]),
        ),
        (
            "near the pod it wants",
            vec![a(), b()],
            vec![busy("b")],
            pod().near("kubernetes.io/hostname", &[("app", "web")]),
        ),
    ];
    for (why, nodes, others, pod) in cases {
        assert_eq!(place(&framework(), nodes, others, pod), "b", "{why}");
    }
}

#[test]
fn a_pod_may_be_the_first_that_its_own_affinity_wants() {
    let pod = TestPod::new("p").label("app", "web").near("kubernetes.io/hostname", &[("app", "web")]);
    assert_eq!(place(&framework(), vec![TestNode::new("a")], vec![], pod), "a");
}

#[test]
fn replicas_of_a_workload_are_spread_without_being_asked() {
    let nodes = || ["a", "b", "c"].map(|name| TestNode::new(name).has("cpu", if name == "c" { "64" } else { "4" }));
    let pod = |name: &str| TestPod::new(name).label("app", "web").asks("cpu", "1");
    let mut others = Vec::new();
    let mut used = BTreeSet::new();
    for name in ["p0", "p1", "p2"] {
        let mut snapshot = cluster(nodes(), others.clone());
        let selector = serde_json::from_value(serde_json::json!({"matchLabels": {"app": "web"}})).unwrap();
        snapshot.services = std::sync::Arc::new([(("default".to_owned(), "web".to_owned()), selector)].into());
        let node = framework().place(&pod(name).info(), &snapshot).node().unwrap().to_owned();
        others.push(pod(name).on(&node));
        used.insert(node);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn strategies_pack_spread_or_follow_a_shape() {
    let nodes = || vec![TestNode::new("empty"), TestNode::new("half"), TestNode::new("full")];
    let used =
        |node: &str, cpu: &str, memory: &str| TestPod::new(node).asks("cpu", cpu).asks("memory", memory).on(node);
    let others = || vec![used("half", "2", "4Gi"), used("full", "3", "6Gi")];
    let pod = || TestPod::new("p").asks("cpu", "500m").asks("memory", "1Gi");
    let peak = Shape::try_new(vec![(0, 0), (60, 10), (100, 0)]).unwrap();
    let cases = [
        (ScoringStrategy::LeastAllocated, "empty"),
        (ScoringStrategy::MostAllocated, "full"),
        (ScoringStrategy::RequestedToCapacityRatio(peak), "half"),
    ];
    for (strategy, wanted) in cases {
        let fit = NodeResourcesFit::new(strategy, [("cpu", 1), ("memory", 1)]);
        assert_eq!(place(&framework().with(fit, 10), nodes(), others(), pod()), wanted);
    }
    assert!(Shape::try_new(vec![]).is_err());
    assert!(Shape::try_new(vec![(50, 1), (50, 2)]).is_err());
}

#[test]
fn init_containers_and_sidecars_count_as_they_run() {
    use k8s_openapi::api::core::v1::Container;
    let container = |cpu: &str, restart: Option<&str>| {
        let mut container: Container =
            serde_json::from_value(serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})).unwrap();
        container.restart_policy = restart.map(str::to_owned);
        container
    };
    let cases = [
        (vec![], 1000),
        (vec![container("3", None)], 3000),
        (vec![container("1", Some("Always"))], 2000),
        (vec![container("1", Some("Always")), container("3", None)], 4000),
        (vec![container("3", None), container("1", Some("Always"))], 3000),
    ];
    for (init, wanted) in cases {
        let pod = TestPod::new("p").asks("cpu", "1").with(|spec| spec.init_containers = Some(init));
        assert_eq!(pod.info().requests.milli_cpu, wanted);
    }
}

/// A plugin that does not say what it reads.
#[derive(Debug)]
pub(super) struct Opaque;

impl Plugin for Opaque {
    fn name(&self) -> &'static str {
        "Opaque"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl Filter for Opaque {
    fn prepare<'a>(&'a self, _: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        Prepared::Pass
    }
}

fn seen(scheduler: &Framework, cluster: &Snapshot) -> (usize, usize) {
    match scheduler.place(&TestPod::new("p").info(), cluster) {
        Placement::Node { evaluated, feasible, .. } => (evaluated, feasible),
        refused @ Placement::None(_) => panic!("there is room: {refused:?}"),
    }
}

#[test]
fn a_large_cluster_is_searched_in_part_and_in_turn_where_all_nodes_have_to_be_asked() {
    let nodes: Vec<_> = (0..500).map(|number| TestNode::new(&format!("n{number:03}"))).collect();
    let snapshot = cluster(nodes, []);
    let scheduler = framework().with(Opaque, 0);
    for _ in 0..3 {
        // 50% less one for each 125 nodes.
        assert_eq!(seen(&scheduler, &snapshot), (230, 230));
    }
    let all = framework().with(Opaque, 0).percentage_of_nodes_to_score(100);
    assert_eq!(seen(&all, &snapshot), (500, 500));
    assert_eq!(seen(&framework(), &snapshot), (500, 500), "what is known of a node is not asked again");
}

#[test]
fn a_cleared_node_is_kept_for_the_pod_that_it_was_cleared_for() {
    let nodes = vec![TestNode::new("a").has("cpu", "2")];
    let mut snapshot = cluster(nodes, []);
    let big = TestPod::new("big").asks("cpu", "2").priority(10);
    let big = big.with_status(|status| status.nominated_node_name = Some("a".to_owned())).info();
    snapshot.nominate(&big, "a");
    assert_eq!(framework().place(&TestPod::new("small").asks("cpu", "1").info(), &snapshot).node(), None);
    assert_eq!(framework().place(&big, &snapshot).node(), Some("a"));
}

#[test]
fn an_explanation_has_every_verdict_and_every_score() {
    let nodes = [TestNode::new("a").cordoned().taint("x", "NoSchedule"), TestNode::new("b"), TestNode::new("c")];
    let snapshot = cluster(nodes, [TestPod::new("busy").asks("cpu", "2").asks("memory", "4Gi").on("c")]);
    let pod = TestPod::new("p").asks("cpu", "1").asks("memory", "2Gi").info();
    let explanation = framework().explain(&pod, &snapshot);
    let refused: Vec<_> = explanation.nodes["a"].refusals.iter().map(|(plugin, _)| *plugin).collect();
    assert_eq!(refused, ["NodeUnschedulable", "TaintToleration"]);
    assert_eq!(explanation.best(), ["b"]);
    let fit = explanation.nodes["b"].scores.iter().find(|scored| scored.plugin == "NodeResourcesFit").unwrap();
    assert_eq!((fit.weight, fit.score), (1, 75));
    assert!(explanation.to_string().contains("a: NodeUnschedulable: node(s) were unschedulable\n"));
}
