//! How many pods the scheduler places per second: `cargo bench --bench scheduler`. One JSON object a line.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use orchestrion::random::Random;
use orchestrion::scheduler::snapshot::Cache;
use orchestrion::scheduler::testkit::{TestNode, TestPod};
use orchestrion::scheduler::{Framework, Scheduler};

const PODS: usize = 2_000;

/// A cluster of so many nodes in three zones.
fn nodes(count: usize) -> Cache {
    let mut cache = Cache::default();
    for number in 0..count {
        let node = TestNode::new(&format!("node-{number}")).zone(&format!("zone-{}", number % 3));
        cache.set_node(&Arc::new(node.has("cpu", "64").has("memory", "256Gi").node()));
    }
    cache
}

fn measure(name: &str, count: usize, pod: impl Fn(usize) -> TestPod) {
    let mut cache = nodes(count);
    let scheduler = Framework::new(Random::seeded(1));
    let pods: Vec<_> = (0..PODS).map(|number| pod(number).asks("cpu", "100m").asks("memory", "128Mi").info()).collect();
    let start = Instant::now();
    for pod in &pods {
        let snapshot = cache.snapshot();
        let placement = scheduler.place(pod, &snapshot);
        drop(snapshot);
        cache.assume(pod, placement.node().expect("there is room"));
    }
    let value = PODS as f64 / start.elapsed().as_secs_f64();
    println!(r#"{{"name":"scheduler/{name}-{count}-nodes","value":{value:.0},"unit":"pods/s"}}"#);
}

fn main() {
    let pod = |number: usize| TestPod::new(&format!("pod-{number}")).label("app", "web");
    for count in [100, 1_000, 5_000] {
        measure("plain", count, pod);
        measure("spread-over-zones", count, |number| {
            pod(number).spread("topology.kubernetes.io/zone", 1, "DoNotSchedule", &[("app", "web")])
        });
        measure("preferring-few-neighbours", count, |number| {
            pod(number).spread("kubernetes.io/hostname", 1, "ScheduleAnyway", &[("app", "web")])
        });
    }
}
