//! Who has to go.

use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::super::testkit::{TestNode, TestPod, cluster};
use super::super::{Framework, Nomination, Placement, Scheduler};
use crate::random::Random;

fn preempt(nodes: Vec<TestNode>, others: Vec<TestPod>, pod: TestPod, budgets: &[&str]) -> Option<(String, String)> {
    let mut snapshot = cluster(nodes, others);
    let budget = |allowed: &&str| -> Arc<PodDisruptionBudget> {
        let (app, allowed) = allowed.split_once('=').unwrap();
        let budget = serde_json::json!({
            "metadata": {"name": app, "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": app}}},
            "status": {"disruptionsAllowed": allowed.parse::<i32>().unwrap(), "currentHealthy": 1, "desiredHealthy": 1,
                       "expectedPods": 1},
        });
        Arc::new(serde_json::from_value(budget).unwrap())
    };
    snapshot.budgets = Arc::new(budgets.iter().map(budget).collect());
    let Placement::None(why) = Framework::new(Random::seeded(1)).place(&pod.info(), &snapshot) else {
        panic!("there is room")
    };
    match why.nomination {
        Nomination::Node { name, victims } => {
            assert!(!why.message.contains("preemption"), "{}", why.message);
            Some((name, victims.iter().map(|pod| pod.key.name.clone()).collect::<Vec<_>>().join(" ")))
        }
        _ => None,
    }
}

fn pod(name: &str, node: &str, cpu: &str, priority: i32) -> TestPod {
    TestPod::new(name).label("app", name).asks("cpu", cpu).priority(priority).on(node)
}

#[test]
fn victims_are_as_few_and_as_unimportant_as_will_do() {
    let nodes = || vec![TestNode::new("a"), TestNode::new("b")];
    let urgent = |cpu: &str| TestPod::new("urgent").asks("cpu", cpu).priority(100);
    let started = |pod: TestPod, at: &str| {
        let time = at.parse().unwrap();
        pod.with_status(|status| {
            status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time));
        })
    };
    let cases: Vec<(&str, Vec<TestPod>, TestPod, &[&str], Option<(&str, &str)>)> = vec![
        ("equals stay", vec![pod("x", "a", "4", 100), pod("y", "b", "4", 100)], urgent("1"), &[], None),
        ("the less important", vec![pod("x", "a", "4", 2), pod("y", "b", "4", 1)], urgent("1"), &[], Some(("b", "y"))),
        (
            "only as many as needed",
            vec![pod("x1", "a", "1", 1), pod("x2", "a", "1", 2), pod("x3", "a", "2", 3), pod("y", "b", "4", 99)],
            urgent("2"),
            &[],
            Some(("a", "x2 x1")),
        ),
        (
            "the smaller sum of priorities",
            vec![pod("x1", "a", "2", 5), pod("x2", "a", "2", 5), pod("y1", "b", "2", 5), pod("y2", "b", "2", 4)],
            urgent("4"),
            &[],
            Some(("b", "y1 y2")),
        ),
        ("the budget", vec![pod("x", "a", "4", 1), pod("y", "b", "4", 9)], urgent("1"), &["x=0"], Some(("b", "y"))),
        (
            "a budget with room",
            vec![pod("x", "a", "4", 1), pod("y", "b", "4", 9)],
            urgent("1"),
            &["x=1"],
            Some(("a", "x")),
        ),
        (
            "the budget broken",
            vec![pod("x", "a", "4", 1), pod("y", "b", "4", 100)],
            urgent("1"),
            &["x=0"],
            Some(("a", "x")),
        ),
        (
            "the younger",
            vec![
                started(pod("x", "a", "4", 1), "2026-01-01T00:00:00Z"),
                started(pod("y", "b", "4", 1), "2026-01-02T00:00:00Z"),
            ],
            urgent("1"),
            &[],
            Some(("b", "y")),
        ),
    ];
    for (why, others, pod, budgets, wanted) in cases {
        let wanted = wanted.map(|(node, victims)| (node.to_owned(), victims.to_owned()));
        assert_eq!(preempt(nodes(), others, pod, budgets), wanted, "{why}");
    }
}

#[test]
fn a_pod_whose_victims_are_leaving_takes_no_more() {
    let victim = pod("x", "a", "4", 1).with_status(|status| {
        status.conditions = serde_json::from_value(serde_json::json!([
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        ]))
        .unwrap();
    });
    let mut victim = victim.pod();
    victim.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-01-01T00:00:00Z".parse().unwrap()));
    let mut node = super::super::snapshot::NodeInfo::new(Arc::new(TestNode::new("a").node()));
    node.add(Arc::new(super::super::snapshot::PodInfo::new(Arc::new(victim))));
    let snapshot = super::super::snapshot::Snapshot::new([node]);
    let urgent = TestPod::new("urgent").asks("cpu", "1").priority(100);
    let urgent = urgent.with_status(|status| status.nominated_node_name = Some("a".to_owned()));
    let Placement::None(why) = Framework::new(Random::seeded(1)).place(&urgent.info(), &snapshot) else { panic!() };
    assert_eq!(
        why.message,
        "0/1 nodes are available: 1 Insufficient cpu. \
         preemption: not eligible due to a terminating pod on the nominated node."
    );
    assert_eq!(why.nomination, Nomination::Keep);
}
