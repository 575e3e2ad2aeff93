//! The Docker engine that examples run pods on.

use orchestrion::clock::Clock;
use orchestrion::runtime::RuntimeError;
use orchestrion::runtime::docker::{DockerCluster, DockerConfig, Engine, SOCKET};

/// A cluster's part of the engine at `$DOCKER_HOST`, or at the usual socket.
pub(crate) async fn open(cluster: &str) -> Result<DockerCluster, RuntimeError> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| SOCKET.to_owned());
    let engine = Engine::connect(&host, Clock::system()).await?;
    DockerCluster::open(&engine, DockerConfig::new(cluster)).await
}
