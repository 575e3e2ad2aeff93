//! An agent over a real server, in virtual time.

mod admission;
mod eviction;
mod images;
mod lifecycle;
mod probes;
mod resize;
mod restart;
mod static_pods;
mod stats;
mod streams;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Node, Pod, PodStatus};
use serde_json::{Value, json};

use super::{Agent, AgentConfig};
use crate::api::ListOptions;
use crate::client::{Client, Informers};
use crate::clock::Clock;
use crate::random::Random;
use crate::runtime::memory::{MemoryConfig, MemoryRuntime, Network, Registry, SimulatedNetwork};
use crate::server::{Server, ServerBuilder};
use crate::store::MemoryStore;

/// A server and the agent of node `n1`.
struct World {
    client: Client,
    informers: Informers,
    runtime: MemoryRuntime,
    agent: Option<Agent>,
    config: AgentConfig,
}

impl World {
    async fn new() -> Self {
        Self::with(|config| config).await
    }

    async fn with(configure: impl FnOnce(AgentConfig) -> AgentConfig) -> Self {
        Self::on_server(|server| server, configure).await
    }

    /// On a server that is built otherwise.
    async fn on_server(
        serve: impl FnOnce(ServerBuilder) -> ServerBuilder,
        configure: impl FnOnce(AgentConfig) -> AgentConfig,
    ) -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let random = Random::seeded(1);
        let server = Server::builder(Arc::new(MemoryStore::default()))
            .clock(clock)
            .random(random.fork("server"))
            .service_account_volumes(false);
        let client = Client::new(Arc::new(serve(server).start().await.unwrap()), clock, random.clone());
        let runtime = MemoryRuntime::new(MemoryConfig {
            node: "n1".into(),
            network: Network::simulated([10, 244, 1, 0].into(), SimulatedNetwork::default()),
            registry: Registry::default(),
            clock,
            random: random.fork("runtime"),
        });
        let informers = Informers::new(client.clone());
        let config = AgentConfig::new("n1", "172.16.0.1".parse().unwrap()).with_capacity("cpu", "2");
        let mut world = Self { client, informers, runtime, agent: None, config: configure(config) };
        world.start_agent();
        world.pass(1).await;
        world
    }

    fn start_agent(&mut self) {
        self.agent = Some(Agent::start(self.config.clone(), &self.informers, Arc::new(self.runtime.clone())));
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    /// Lets so many seconds pass, and everything happen that happens in them.
    async fn pass(&self, seconds: u64) {
        self.pass_millis(seconds * 1000).await;
    }

    async fn pass_millis(&self, millis: u64) {
        self.client.clock().sleep(Duration::from_millis(millis)).await;
    }

    /// Creates a pod of that spec on the node.
    async fn run(&self, name: &str, spec: Value) -> Arc<Pod> {
        let mut pod = json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": spec });
        pod["spec"]["nodeName"] = "n1".into();
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.client.api::<Pod>("default").create(pod).await.unwrap()
    }

    /// A pod with one container of that image and further fields.
    async fn run_image(&self, name: &str, image: &str, more: Value) -> Arc<Pod> {
        let mut container = json!({ "name": "main", "image": image });
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.run(name, json!({ "containers": [container] })).await
    }

    async fn pod(&self, name: &str) -> Option<Arc<Pod>> {
        self.client.api::<Pod>("default").get_opt(name).await.unwrap()
    }

    async fn status(&self, name: &str) -> PodStatus {
        self.pod(name).await.unwrap().status.clone().unwrap()
    }

    /// The phase, and the state of each container, in a word or two.
    async fn summary(&self, name: &str) -> String {
        let status = self.status(name).await;
        let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        let states: Vec<_> = lists.into_iter().flatten().flatten().map(state_of).collect();
        format!("{}: {}", status.phase.unwrap_or_default(), states.join(", "))
    }

    /// The events about an object, oldest first: `reason: message`.
    async fn events(&self, about: &str) -> Vec<String> {
        let mut events = self.client.all::<Event>().list(&ListOptions::default()).await.unwrap().items;
        events.retain(|event| event.involved_object.name.as_deref() == Some(about));
        events.sort_by_key(|event| event.metadata.resource_version.as_ref().map(|text| text.parse::<u64>().unwrap()));
        let text = |event: &Arc<Event>| {
            let count = event.count.filter(|count| *count > 1).map(|count| format!(" x{count}")).unwrap_or_default();
            format!("{}: {}{count}", event.reason.as_deref().unwrap(), event.message.as_deref().unwrap())
        };
        events.iter().map(text).collect()
    }

    async fn condition(&self, name: &str, type_: &str) -> (String, Option<String>, Option<String>) {
        let status = self.status(name).await;
        let found = status.conditions.into_iter().flatten().find(|condition| condition.type_ == type_).unwrap();
        (found.status, found.reason, found.message)
    }
}

fn state_of(status: &ContainerStatus) -> String {
    let state = status.state.clone().unwrap_or_default();
    let what = match (state.running, state.waiting, state.terminated) {
        (Some(_), _, _) if status.ready => "ready".to_owned(),
        (Some(_), _, _) => "running".to_owned(),
        (_, Some(waiting), _) => waiting.reason.unwrap_or_default(),
        (_, _, Some(terminated)) => format!("{}({})", terminated.reason.unwrap_or_default(), terminated.exit_code),
        _ => "nothing".to_owned(),
    };
    if status.restart_count > 0 {
        format!("{} {what} #{}", status.name, status.restart_count)
    } else {
        format!("{} {what}", status.name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_registers_and_says_that_it_is_alive() {
    let world = World::new().await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let status = node.status.clone().unwrap();
    assert_eq!(node.metadata.labels.as_ref().unwrap()["kubernetes.io/hostname"], "n1");
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!((&ready.status[..], ready.message.as_deref()), ("True", Some("kubelet is posting ready status")));
    assert_eq!(status.capacity.as_ref().unwrap()["cpu"].0, "2");
    assert_eq!(status.node_info.unwrap().kubelet_version, "v1.36.0");

    let leases = world.client.api::<k8s_openapi::api::coordination::v1::Lease>("kube-node-lease");
    let first = leases.get("n1").await.unwrap().spec.clone().unwrap().renew_time;
    world.pass(25).await;
    let later = leases.get("n1").await.unwrap().spec.clone().unwrap().renew_time;
    assert!(later > first);
    // A status that says nothing new is written every five minutes only.
    let version = |node: &Node| node.metadata.resource_version.clone();
    let before = version(&world.client.all::<Node>().get("n1").await.unwrap());
    world.pass(120).await;
    assert_eq!(version(&world.client.all::<Node>().get("n1").await.unwrap()), before);
    world.pass(200).await;
    assert_ne!(version(&world.client.all::<Node>().get("n1").await.unwrap()), before);
}
