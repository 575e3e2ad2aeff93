//! The scheduler at work, over an API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Node, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::snapshot::{PodInfo, Snapshot};
use super::super::testkit::{TestNode, TestPod};
use super::super::{Config, Placement, Scheduler, explain, run};
use crate::api::{ListOptions, Patch, WriteOptions};
use crate::client::{Client, Informers};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::Server;
use crate::store::MemoryStore;

/// A server with a scheduler at work.
struct Running {
    client: Client,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(config: Config) -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let random = Random::seeded(1);
        let store = Arc::new(MemoryStore::builder().progress(None).build());
        let server = Server::builder(store).clock(clock).random(random.clone()).start().await.unwrap();
        let client = Client::new(Arc::new(server), clock, random);
        let account = serde_json::from_value(serde_json::json!({"metadata": {"name": "default"}})).unwrap();
        let accounts = client.api::<k8s_openapi::api::core::v1::ServiceAccount>("default");
        accounts.create(Arc::<k8s_openapi::api::core::v1::ServiceAccount>::new(account)).await.unwrap();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(Informers::new(client.clone()), config, cancel.clone()));
        Self { client, cancel, task }
    }

    async fn node(&self, node: TestNode) {
        let node = node.node();
        let name = node.metadata.name.clone().unwrap();
        let nodes = self.client.all::<Node>();
        nodes.create(node.clone()).await.unwrap();
        nodes.modify_status(&name, |created| created.status.clone_from(&node.status)).await.unwrap();
        // What the node lifecycle controller does once the node is ready.
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone());
        nodes.modify(&name, |created| created.spec.get_or_insert_default().taints.clone_from(&taints)).await.unwrap();
    }

    async fn pod(&self, pod: TestPod) {
        let mut pod = pod.pod();
        pod.metadata.uid = None;
        for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            container.image.get_or_insert_with(|| "nginx".to_owned());
        }
        self.client.api::<Pod>("default").create(pod).await.unwrap();
    }

    async fn get(&self, name: &str) -> Arc<Pod> {
        self.client.api::<Pod>("default").get(name).await.unwrap()
    }

    /// Lets everything that can happen without more than a moment passing happen.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    async fn node_of(&self, name: &str) -> Option<String> {
        self.get(name).await.spec.as_ref().and_then(|spec| spec.node_name.clone())
    }

    async fn condition(&self, name: &str) -> (String, String, String) {
        let pod = self.get(name).await;
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let condition = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled").cloned();
        let condition = condition.unwrap_or_default();
        (condition.status, condition.reason.unwrap_or_default(), condition.message.unwrap_or_default())
    }

    async fn events(&self, about: &str) -> Vec<String> {
        let events = self.client.api::<Event>("default").list(&ListOptions::default()).await.unwrap().items;
        let about = events.iter().filter(|event| event.involved_object.name.as_deref() == Some(about));
        let text = |event: &Arc<Event>| {
            let source = event.source.as_ref().and_then(|source| source.component.clone()).unwrap_or_default();
            let (kind, reason) = (event.type_.clone().unwrap_or_default(), event.reason.clone().unwrap_or_default());
            format!("{source} {kind} {reason} {}", event.message.clone().unwrap_or_default())
        };
        about.map(text).collect()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_and_its_user_told() {
    let cluster = Running::start(Config::default()).await;
    cluster.node(TestNode::new("node-1")).await;
    cluster.pod(TestPod::new("web-0")).await;
    cluster.settle().await;
    assert_eq!(cluster.node_of("web-0").await.as_deref(), Some("node-1"));
    assert_eq!(cluster.condition("web-0").await.0, "True");
    let scheduled = "default-scheduler Normal Scheduled Successfully assigned default/web-0 to node-1";
    assert_eq!(cluster.events("web-0").await, [scheduled]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_waits_until_it_does() {
    let cluster = Running::start(Config::default()).await;
    cluster.node(TestNode::new("a").has("cpu", "1")).await;
    cluster.pod(TestPod::new("big").asks("cpu", "2")).await;
    cluster.settle().await;
    let message = "0/1 nodes are available: 1 Insufficient cpu. \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let told = ("False".to_owned(), "Unschedulable".to_owned(), message.to_owned());
    assert_eq!(cluster.condition("big").await, told);
    assert_eq!(cluster.events("big").await, [format!("default-scheduler Warning FailedScheduling {message}")]);
    let version = cluster.get("big").await.metadata.resource_version.clone();
    // A node that does not help changes nothing.
    cluster.node(TestNode::new("b").has("cpu", "1")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.get("big").await.metadata.resource_version, version);
    cluster.node(TestNode::new("c").has("cpu", "4")).await;
    cluster.settle().await;
    assert_eq!(cluster.node_of("big").await.as_deref(), Some("c"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn room_that_a_pod_leaves_goes_to_the_next() {
    let cluster = Running::start(Config::default()).await;
    cluster.node(TestNode::new("a").has("cpu", "1")).await;
    cluster.pod(TestPod::new("first").asks("cpu", "1")).await;
    cluster.settle().await;
    cluster.pod(TestPod::new("second").asks("cpu", "1")).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.node_of("second").await, None);
    let at_once = crate::api::DeleteOptions { grace_period: Some(0), ..Default::default() };
    cluster.client.api::<Pod>("default").delete_with("first", &at_once).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.node_of("second").await.as_deref(), Some("a"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_shrinks_keeps_its_room_until_its_node_has_made_it_smaller() {
    let cluster = Running::start(Config::default()).await;
    cluster.node(TestNode::new("a").has("cpu", "2")).await;
    cluster.pod(TestPod::new("first").asks("cpu", "2")).await;
    cluster.settle().await;
    let pods = cluster.client.api::<Pod>("default");
    let report = async |cpu: &str| {
        let requests: BTreeMap<_, _> = [("cpu".to_owned(), Quantity(cpu.to_owned()))].into();
        let change = |pod: &mut Pod| {
            let resources = ResourceRequirements { requests: Some(requests.clone()), ..Default::default() };
            pod.status.get_or_insert_default().container_statuses = Some(vec![ContainerStatus {
                name: pod.spec.as_ref().unwrap().containers[0].name.clone(),
                allocated_resources: Some(requests.clone()),
                resources: Some(resources),
                ..ContainerStatus::default()
            }]);
        };
        pods.modify_status("first", change).await.unwrap();
    };
    report("2").await;
    let name = cluster.get("first").await.spec.as_ref().unwrap().containers[0].name.clone();
    let smaller = json!({"spec": {"containers": [{"name": name, "resources": {"requests": {"cpu": "1"}}}]}});
    let options = WriteOptions::default();
    pods.dynamic().patch("first", "resize", Patch::Strategic(smaller), &options).await.unwrap();
    cluster.pod(TestPod::new("second").asks("cpu", "1")).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.node_of("second").await, None);
    report("1").await;
    cluster.settle().await;
    assert_eq!(cluster.node_of("second").await.as_deref(), Some("a"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gated_pod_is_left_alone_until_its_gates_are_gone() {
    let cluster = Running::start(Config::default()).await;
    cluster.node(TestNode::new("a")).await;
    let gates = serde_json::from_value(serde_json::json!([{"name": "example.com/quota"}])).unwrap();
    cluster.pod(TestPod::new("gated").with(|spec| spec.scheduling_gates = gates)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.node_of("gated").await, None);
    assert_eq!(cluster.events("gated").await, [""; 0]);
    assert_eq!(cluster.condition("gated").await.1, "SchedulingGated");
    let open = Patch::Merge(serde_json::json!({"spec": {"schedulingGates": null}}));
    cluster.client.api::<Pod>("default").patch("gated", open).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.node_of("gated").await.as_deref(), Some("a"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_important_pod_takes_the_place_of_another() {
    let cluster = Running::start(Config::default()).await;
    for (name, value) in [("low", 1), ("high", 1000)] {
        let class = serde_json::json!({"metadata": {"name": name}, "value": value});
        let class: k8s_openapi::api::scheduling::v1::PriorityClass = serde_json::from_value(class).unwrap();
        cluster.client.all().create(class).await.unwrap();
    }
    let class = |name: &'static str| {
        move |spec: &mut k8s_openapi::api::core::v1::PodSpec| spec.priority_class_name = Some(name.to_owned())
    };
    cluster.node(TestNode::new("a").has("cpu", "1")).await;
    cluster.pod(TestPod::new("cheap").asks("cpu", "1").with(class("low"))).await;
    cluster.settle().await;
    assert_eq!(cluster.node_of("cheap").await.as_deref(), Some("a"));
    cluster.pod(TestPod::new("urgent").asks("cpu", "1").with(class("high"))).await;
    cluster.settle().await;

    let urgent = cluster.get("urgent").await;
    assert_eq!(urgent.status.as_ref().unwrap().nominated_node_name.as_deref(), Some("a"));
    let cheap = cluster.get("cheap").await;
    assert!(cheap.metadata.deletion_timestamp.is_some());
    let conditions = cheap.status.as_ref().unwrap().conditions.clone().unwrap_or_default();
    let target = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
    assert_eq!(target.message.as_deref(), Some("default-scheduler: preempting to accommodate a higher priority pod"));
    let uid = urgent.metadata.uid.as_deref().unwrap();
    let preempted = format!("default-scheduler Normal Preempted Preempted by pod {uid} on node a");
    assert!(cluster.events("cheap").await.contains(&preempted));

    // The node agent's part: the victim has ended.
    let at_once = crate::api::DeleteOptions { grace_period: Some(0), ..Default::default() };
    cluster.client.api::<Pod>("default").delete_with("cheap", &at_once).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.node_of("urgent").await.as_deref(), Some("a"));
    cluster.stop().await;
}

/// The last node in the alphabet.
#[derive(Debug)]
struct Last;

impl Scheduler for Last {
    fn place(&self, _: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        let last = cluster.nodes().iter().map(|node| node.name()).max();
        last.map_or_else(|| Placement::none("no nodes"), Placement::on)
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_scheduled_by_the_scheduler_that_they_name() {
    let cluster = Running::start(Config::default().profile("last", Last)).await;
    cluster.node(TestNode::new("a")).await;
    cluster.node(TestNode::new("b")).await;
    for name in ["x", "y"] {
        cluster.pod(TestPod::new(name).with(|spec| spec.scheduler_name = Some("last".to_owned()))).await;
    }
    cluster.pod(TestPod::new("other").with(|spec| spec.scheduler_name = Some("nobody".to_owned()))).await;
    cluster.settle().await;
    assert_eq!(cluster.node_of("x").await.as_deref(), Some("b"));
    assert_eq!(cluster.node_of("y").await.as_deref(), Some("b"));
    assert_eq!(cluster.node_of("other").await, None);
    assert_eq!(cluster.events("x").await, ["last Normal Scheduled Successfully assigned default/x to b"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_pods_are_spread_and_never_overcommit() {
    let cluster = Running::start(Config::default()).await;
    for name in ["a", "b", "c"] {
        cluster.node(TestNode::new(name).has("cpu", "2")).await;
    }
    for number in 0..8 {
        cluster.pod(TestPod::new(&format!("p{number}")).asks("cpu", "1")).await;
    }
    cluster.settle().await;
    let mut per_node = std::collections::BTreeMap::<Option<String>, usize>::new();
    for number in 0..8 {
        *per_node.entry(cluster.node_of(&format!("p{number}")).await).or_default() += 1;
    }
    assert_eq!(per_node.into_values().collect::<Vec<_>>(), [2, 2, 2, 2], "two on each node, two without");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_can_be_explained_over_any_client() {
    let cluster = Running::start(Config::new(Last)).await;
    cluster.node(TestNode::new("a").cordoned()).await;
    cluster.pod(TestPod::new("p").with(|spec| spec.scheduler_name = Some("nobody".to_owned()))).await;
    let framework = super::super::Framework::new(Random::seeded(1));
    let explanation = explain(&cluster.client, &framework, "default", "p").await.unwrap();
    assert!(explanation.to_string().contains("a: NodeUnschedulable: node(s) were unschedulable"), "{explanation}");
    cluster.stop().await;
}
