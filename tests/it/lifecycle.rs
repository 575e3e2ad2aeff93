//! Clusters come and go, and leave nothing behind.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use orchestrion::api::ListOptions;
use orchestrion::cluster::Cluster;
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
fn clusters_that_listen_leave_no_socket_behind() {
    // In a process of its own: other tests open and close sockets all the time.
    let this = std::env::current_exe().unwrap();
    let alone = ["--ignored", "--exact", "lifecycle::in_a_process_of_its_own", "--test-threads=1", "--nocapture"];
    let done = Command::new(this).args(alone).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test]
#[ignore = "the test above runs it"]
async fn in_a_process_of_its_own() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for number in 0..10 {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let cluster = Cluster::builder().listen(any).start().await.unwrap();
        use_it(&cluster).await;
        assert!(open() > before, "the cluster listens");
        end(cluster, number % 2 == 0).await;
        assert_eq!(open(), before, "after cluster {number}");
    }
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
    for _ in 0..1000 {
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
