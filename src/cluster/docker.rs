//! A cluster whose pods run on a Docker engine.

use std::sync::Arc;

use super::Builder;
use crate::runtime::docker::DockerCluster;
use crate::service::loopback::AddressPlan;

impl Builder {
    /// Runs the pods of every node on a Docker engine, and puts Services, nodes and pods on the network that the cluster
    /// has there: pods, the machine and this process reach all of them.
    ///
    /// Every node is told to have all of the machine, and to leave the machine's disk alone: it removes no images and ends
    /// no pods because that is nearly full ([`Builder::agent`] after this says otherwise).
    ///
    /// Containers stay when the cluster is stopped: the next one of the same name finds nodes of the same names with
    /// all that runs on them. [`DockerCluster::remove`] takes everything away.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use orchestrion::clock::Clock;
    /// use orchestrion::cluster::Cluster;
    /// use orchestrion::runtime::docker::{DockerCluster, DockerConfig, Engine, SOCKET};
    /// let engine = Engine::connect(SOCKET, Clock::system()).await?;
    /// let docker = DockerCluster::open(&engine, DockerConfig::new("dev")).await?;
    /// let cluster = Cluster::builder().docker(&docker).start().await?;
    /// cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}").await?;
    /// cluster.stop().await;
    /// docker.remove().await?;
    /// # Ok(()) }
    /// ```
    pub fn docker(self, docker: &DockerCluster) -> Self {
        let (first, _) = docker.addresses();
        let (cpus, memory) = docker.machine();
        let docker = docker.clone();
        self.addresses(AddressPlan::bridge(first))
            .agent(move |agent| {
                let memory = format!("{}Ki", memory / 1024);
                let mut agent = agent.with_capacity("cpu", &cpus.to_string()).with_capacity("memory", &memory);
                agent.eviction = agent.eviction.without_disks();
                agent.image_gc = agent.image_gc.disabled();
                agent
            })
            .runtime(move |seat| Arc::new(docker.runtime(&seat.name, seat.network.pods().clone())))
    }
}
