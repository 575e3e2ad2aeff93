//! The API `metrics.k8s.io`: what nodes and pods use, in virtual time.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::ListOptions;
use orchestrion::api::kinds::metrics::{NodeMetrics, PodMetrics};
use orchestrion::cluster::Cluster;
use orchestrion::runtime::memory::{Script, SimulatedImage};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {app: busy}}
spec:
  containers:
  - {name: main, image: busy}
  initContainers:
  - {name: side, image: side, restartPolicy: Always}
---
apiVersion: v1
kind: Pod
metadata: {name: idle, labels: {app: idle}}
spec:
  containers: [{name: main, image: idle}]
---
apiVersion: v1
kind: Pod
metadata: {name: done, labels: {app: done}}
spec:
  restartPolicy: Never
  containers: [{name: main, image: done}]
";

async fn pass(cluster: &Cluster, seconds: u64) {
    cluster.clock().sleep(Duration::from_secs(seconds)).await;
}

fn used(pod: &PodMetrics) -> Vec<String> {
    let text = |name: &str, usage: &orchestrion::api::kinds::metrics::Usage| {
        format!("{name} {} {}", usage["cpu"].0, usage["memory"].0)
    };
    pod.containers.iter().map(|container| text(&container.name, &container.usage)).collect()
}

#[tokio::test(start_paused = true)]
async fn metrics_are_rates_between_two_looks() {
    let working = Script::new().wait(Duration::from_secs(60)).using(1500, 256 << 20);
    let cluster = Cluster::builder()
        .simulated(1)
        .nodes(2)
        .image("busy", SimulatedImage::new(working).with_usage(250, 100 << 20))
        .image("side", SimulatedImage::server().with_usage(10, 4 << 20))
        .image("done", SimulatedImage::new(|_| async { 0 }))
        .start()
        .await
        .unwrap();
    cluster.apply(PODS).await.unwrap();
    let (all, pods) = (cluster.client().all::<PodMetrics>(), cluster.client().api::<PodMetrics>("default"));
    pass(&cluster, 5).await;
    let error = pods.get("busy").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (404, "podmetrics.metrics.k8s.io \"default/busy\" not found"));
    assert!(
        all.list(&ListOptions::default()).await.unwrap().items.is_empty(),
        "nothing has been there for long enough"
    );
    assert_eq!(pods.get("none").await.unwrap_err().message(), "pods \"none\" not found");

    pass(&cluster, 25).await;
    let busy = pods.get("busy").await.unwrap();
    assert_eq!(used(&busy), ["side 10m 4Mi", "main 250m 100Mi"]);
    assert_eq!(busy.metadata.labels.as_ref().unwrap()["app"], "busy");
    assert_eq!(busy.timestamp.0, cluster.clock().now());
    assert!((15..=30).contains(&busy.window.0.as_secs()), "{:?}", busy.window);
    let names = async |options: &ListOptions| {
        let list = pods.list(options).await.unwrap();
        list.items.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&ListOptions::default()).await, ["busy", "idle"], "what has ended uses nothing");
    let labels = "app!=busy".parse().unwrap();
    assert_eq!(names(&ListOptions { labels, ..ListOptions::default() }).await, ["idle"]);
    let fields = "metadata.name=busy".parse().unwrap();
    assert_eq!(names(&ListOptions { fields, ..ListOptions::default() }).await, ["busy"]);

    pass(&cluster, 60).await;
    drop(pods.get("busy").await.unwrap());
    pass(&cluster, 20).await;
    let busy = pods.get("busy").await.unwrap();
    assert_eq!(used(&busy)[1], "main 1500m 256Mi");
    assert_eq!(busy.window.to_string(), "20s");

    let nodes = cluster.client().all::<NodeMetrics>();
    let list = nodes.list(&ListOptions::default()).await.unwrap().items;
    let on = cluster.client().api::<Pod>("default").get("busy").await.unwrap().spec.clone().unwrap().node_name;
    let busiest = list.iter().find(|node| node.metadata.name == on).unwrap();
    let cpu = busiest.usage["cpu"].0.strip_suffix('m').unwrap().parse::<u64>().unwrap();
    assert!((1530..1540).contains(&cpu), "{cpu}m: of its pods, and the node's own 20m");
    assert_eq!(list.len(), 2);
    let error = nodes.get("none").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (404, "nodes \"none\" not found"));

    // A node that cannot be reached is not told of, nor are its pods.
    cluster.crash_node(on.as_deref().unwrap());
    assert_eq!(nodes.list(&ListOptions::default()).await.unwrap().items.len(), 1);
    let error = nodes.get(on.as_deref().unwrap()).await.unwrap_err();
    assert_eq!(error.message(), format!("nodemetrics.metrics.k8s.io \"{}\" not found", on.unwrap()));
    assert!(pods.get("busy").await.is_err());
    cluster.stop().await;
}
