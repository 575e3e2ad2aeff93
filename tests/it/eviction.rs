//! What a cluster does when one of its nodes runs short of memory, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orchestrion::api::ListOptions;
use orchestrion::cluster::Cluster;
use orchestrion::runtime::memory::{MemoryRuntime, SimulatedImage};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: web}]
";

async fn pods(cluster: &Cluster) -> Vec<(String, String)> {
    let pods = cluster.client().api::<Pod>("default").list(&ListOptions::default()).await.unwrap().items;
    let mut told: Vec<_> = pods
        .iter()
        .map(|pod| {
            let status = pod.status.clone().unwrap();
            let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap_or_default();
            (node, status.reason.or(status.phase).unwrap_or_default())
        })
        .collect();
    told.sort();
    told
}

#[tokio::test(start_paused = true)]
async fn pods_move_away_from_a_node_that_is_short_of_memory() {
    let runtimes = Arc::new(Mutex::new(Vec::<MemoryRuntime>::new()));
    let kept = Arc::clone(&runtimes);
    let cluster = Cluster::builder()
        .simulated(1)
        .nodes(2)
        .image("web", SimulatedImage::server().with_usage(10, 200 << 20))
        .runtime(move |seat| {
            let runtime = seat.memory_runtime();
            kept.lock().unwrap().push(runtime.clone());
            Arc::new(runtime)
        })
        .start()
        .await
        .unwrap();
    cluster.apply(DEPLOYMENT).await.unwrap();
    cluster.rolled_out("default", "web").await.unwrap();
    let running = |node: &str| (node.to_owned(), "Running".to_owned());
    assert_eq!(pods(&cluster).await, [running("node-1"), running("node-2")]);

    let first = runtimes.lock().unwrap()[0].clone();
    first.change_machine(|machine| machine.others.memory_bytes = machine.memory_bytes - (250 << 20));
    cluster.clock().sleep(Duration::from_secs(30)).await;
    let evicted = ("node-1".to_owned(), "Evicted".to_owned());
    assert_eq!(pods(&cluster).await, [evicted.clone(), running("node-2"), running("node-2")]);
    let taints = async || {
        let node = cluster.client().all::<Node>().get("node-1").await.unwrap();
        let taints = node.spec.clone().unwrap().taints.unwrap_or_default();
        taints.into_iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect::<Vec<_>>()
    };
    assert_eq!(taints().await, ["node.kubernetes.io/memory-pressure:NoSchedule"]);

    first.change_machine(|machine| machine.others.memory_bytes = 0);
    cluster.clock().sleep(Duration::from_secs(320)).await;
    assert!(taints().await.is_empty(), "five minutes after it had memory again");
    assert_eq!(pods(&cluster).await, [evicted, running("node-2"), running("node-2")]);
    cluster.stop().await;
}
