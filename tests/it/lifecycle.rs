//! Clusters come and go, and leave nothing behind.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use orchestrion::api::{ListOptions, Patch};
use orchestrion::client::Client;
use orchestrion::client::remote::RemoteBackend;
use orchestrion::client::remote::kubeconfig::Kubeconfig;
use orchestrion::clock::Clock;
use orchestrion::cluster::Cluster;
use orchestrion::random::Random;
use serde_json::json;
use tokio::runtime::Handle;

const MINUTE: Duration = Duration::from_secs(60);

const POD: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: web, image: nginx}
";

#[tokio::test(start_paused = true)]
async fn a_hundred_clusters_leave_no_task_behind() {
    for number in 0..100 {
        let cluster = Cluster::builder().simulated(number).start().await.unwrap();
        use_it(&cluster).await;
        end(cluster, number % 2 == 0).await;
    }
}

#[test]
fn a_hundred_clusters_that_listen_leave_no_socket_and_no_memory_behind() {
    // In a process of its own: other tests open sockets and allocate all the time.
    let this = std::env::current_exe().unwrap();
    let alone = ["--ignored", "--exact", "lifecycle::in_a_process_of_its_own", "--test-threads=1", "--nocapture"];
    let done = Command::new(this).args(alone).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// What fifty clusters may leave behind: much less than one of them holds while it runs.
const SLACK: usize = 256 << 10;

#[tokio::test]
#[ignore = "the test above runs it"]
async fn in_a_process_of_its_own() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let held = || {
        let counts = crate::ALLOCATOR.stats();
        counts.bytes_allocated - counts.bytes_deallocated
    };
    let before = open();
    let (mut at_half, mut running) = (0, 0);
    for number in 0..100 {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let cluster = Cluster::builder().listen(any).start().await.unwrap();
        use_it(&cluster).await;
        roll_out(&cluster).await;
        assert!(open() > before, "the cluster listens");
        running = held();
        end(cluster, number % 2 == 0).await;
        assert_eq!(open(), before, "after cluster {number}");
        if number == 49 {
            at_half = held();
        }
    }
    let after = held();
    let told = format!("{at_half} bytes after 50 clusters, {after} after 100, {running} with one running");
    println!("{told}");
    assert!(running > after + SLACK, "the measure does not see a cluster: {told}");
    assert!(after < at_half + SLACK, "{told}");
}

/// A rollout, a new image, and a request over the socket.
async fn roll_out(cluster: &Cluster) {
    cluster.apply(include_str!("../fixtures/myapp.yaml")).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();
    let kubeconfig = Kubeconfig::from_yaml(cluster.kubeconfig().unwrap()).unwrap();
    let remote = RemoteBackend::of_kubeconfig(&kubeconfig).unwrap();
    let client = Client::new(Arc::new(remote), Clock::system(), Random::seeded(1));
    let image = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "hello-world", "image": "polarsquad/hello-world-app:v2" }
    ] } } } });
    client.api::<Deployment>("default").patch("myapp", Patch::Strategic(image)).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();
}

async fn use_it(cluster: &Cluster) {
    cluster.apply(POD).await.unwrap();
    let settings = cluster.client().api::<ConfigMap>("default").get("settings").await.unwrap();
    assert_eq!(settings.data.as_ref().unwrap()["greeting"], "hello");
    cluster.client().api::<Pod>("default").wait("web", MINUTE, |pod| pod.is_some_and(is_ready)).await.unwrap();
}

/// Stops the cluster or drops it, and waits until the tasks that this ended are gone.
async fn end(cluster: Cluster, in_order: bool) {
    match in_order {
        true => cluster.stop().await,
        false => drop(cluster),
    }
    let tasks = || Handle::current().metrics().num_alive_tasks();
    for _ in 0..10_000 {
        if tasks() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} tasks are left of a cluster that was {}", tasks(), if in_order { "stopped" } else { "dropped" });
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_pass_at_once_and_all_is_well() {
    let cluster = Cluster::builder().simulated(1).nodes(3).start().await.unwrap();
    use_it(&cluster).await;
    let began = cluster.clock().elapsed();
    cluster.clock().sleep(10 * MINUTE).await;
    assert!(cluster.clock().elapsed() - began >= 10 * MINUTE);

    let nodes = cluster.client().all::<Node>().list(&ListOptions::default()).await.unwrap().items;
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        let conditions = node.status.as_ref().unwrap().conditions.as_ref().unwrap();
        assert!(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
    }
    let pod = cluster.client().api::<Pod>("default").get("web").await.unwrap();
    assert!(is_ready(&pod));
    let containers = pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap();
    assert_eq!(containers[0].restart_count, 0);
    cluster.stop().await;
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
