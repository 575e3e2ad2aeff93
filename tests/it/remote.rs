//! Scheduler, controllers and node agents as programs of their own would run them: over HTTPS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::ListOptions;
use orchestrion::client::remote::RemoteBackend;
use orchestrion::client::remote::kubeconfig::Kubeconfig;
use orchestrion::client::{Client, Informers};
use orchestrion::clock::Clock;
use orchestrion::cluster::{Cluster, Part};
use orchestrion::node::{Agent, AgentConfig};
use orchestrion::random::Random;
use orchestrion::reconcile::{Context, controllers};
use orchestrion::runtime::memory::{MemoryConfig, MemoryRuntime, Network, Registry};
use orchestrion::scheduler;
use tokio_util::sync::CancellationToken;

/// A client with a connection of its own.
fn remote(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(cluster.kubeconfig().unwrap()).unwrap();
    let backend = RemoteBackend::of_kubeconfig(&kubeconfig).unwrap();
    Client::new(Arc::new(backend), Clock::system(), Random::from_entropy())
}

#[tokio::test]
async fn a_rollout_succeeds_where_every_part_is_remote() {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let parts = [Part::Scheduler, Part::Controllers, Part::Nodes];
    let builder = parts.into_iter().fold(Cluster::builder().listen(any), orchestrion::cluster::Builder::without);
    let cluster = builder.start().await.unwrap();

    let cancel = CancellationToken::new();
    let informers = Informers::new(remote(&cluster));
    let scheduling = tokio::spawn(scheduler::run(informers, scheduler::Config::default(), cancel.clone()));
    let context = Context::new(remote(&cluster));
    let controllers = controllers::start(&context, &controllers::Settings::default(), |_| true);
    let plan = cluster.addresses();
    let agents: Vec<Agent> = (0..2)
        .map(|index| {
            let name = format!("far-{index}");
            let runtime = MemoryRuntime::new(MemoryConfig {
                node: name.clone(),
                network: Network::loopback(plan.node_pods(index).and_then(|pods| pods.nth(0)).unwrap()),
                registry: Registry::default(),
                clock: Clock::system(),
                random: Random::from_entropy(),
            });
            let config = AgentConfig::new(name, plan.node(index).unwrap().into());
            Agent::start(config, &Informers::new(remote(&cluster)), Arc::new(runtime))
        })
        .collect();

    cluster.apply(include_str!("../fixtures/myapp.yaml")).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();
    let pods = cluster.client().api::<Pod>("default").list(&ListOptions::default()).await.unwrap().items;
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert!(pod.spec.as_ref().unwrap().node_name.as_ref().unwrap().starts_with("far-"));
    }

    for agent in agents {
        agent.stop().await.unwrap();
    }
    cancel.cancel();
    scheduling.await.unwrap();
    controllers.stop().await;
    cluster.stop().await;
}
