//! A runtime of real containers: those of a Docker engine.
//!
//! A pod is a pause container that owns its namespaces, and the containers that join them. Everything carries labels
//! that tell whose it is, so that a runtime that is started anew finds it again, and no other container of the engine
//! is ever touched. The engine runs on this machine: volumes are directories that both see.
//!
//! ```no_run
//! # async fn run() -> orchestrion::runtime::Result<()> {
//! use orchestrion::clock::Clock;
//! use orchestrion::runtime::docker::{DockerCluster, DockerConfig, Engine, SOCKET};
//! use orchestrion::runtime::{ContainerConfig, Runtime, SandboxConfig};
//!
//! let engine = Engine::connect(SOCKET, Clock::system()).await?;
//! let cluster = DockerCluster::open(&engine, DockerConfig::new("dev")).await?;
//! let pods = cluster.pods(0).expect("room for one node");
//! let runtime = cluster.runtime("node-1", pods);
//! let sandbox = runtime.run_sandbox(&SandboxConfig { name: "web".into(), ..Default::default() }).await?;
//! runtime.pull_image("nginx", &[]).await?;
//! let config = ContainerConfig { name: "main".into(), image: "nginx".into(), ..Default::default() };
//! let container = runtime.create_container(&sandbox.id, &config).await?;
//! runtime.start_container(&container).await?;
//! cluster.remove().await?;
//! # Ok(()) }
//! ```

mod body;
mod cluster;
mod container;
mod dial;
mod disk;
mod engine;
mod error;
mod event;
mod image;
mod label;
mod log;
mod machine;
mod network;
mod operations;
mod pause;
mod pod_files;
mod resources;
mod route;
mod sandbox;
mod security;
mod session;
mod stats;
mod volume;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::address::Address;
use super::{ContainerId, ContainerStatus, PodRange, Result, RuntimeError, SandboxId};

pub use cluster::{DockerCluster, DockerConfig};
pub use engine::{Engine, SOCKET};

/// Runs the containers of one node on a Docker engine. Clones are the same runtime; dropping it leaves everything
/// running, for the next one of the same cluster and node.
#[derive(Clone)]
pub struct DockerRuntime(Arc<Inner>);

struct Inner {
    cluster: DockerCluster,
    node: String,
    pods: PodRange,
    tables: Mutex<Tables>,
    /// Set when the addresses of the pods that were there before are known.
    found: OnceCell<()>,
}

#[derive(Default)]
struct Tables {
    addresses: BTreeMap<SandboxId, Address>,
    /// Containers that have ended: what they are does not change any more.
    ended: BTreeMap<ContainerId, ContainerStatus>,
}

impl fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DockerRuntime({} of {:?})", self.0.node, self.0.cluster)
    }
}

impl DockerRuntime {
    fn new(cluster: DockerCluster, node: &str, pods: PodRange) -> Self {
        let node = node.to_owned();
        Self(Arc::new(Inner { cluster, node, pods, tables: Mutex::default(), found: OnceCell::new() }))
    }

    fn cluster(&self) -> &DockerCluster {
        &self.0.cluster
    }

    fn engine(&self) -> &Engine {
        self.0.cluster.engine()
    }

    fn docker(&self) -> &bollard::Docker {
        self.engine().docker()
    }

    fn now(&self) -> Timestamp {
        self.engine().clock().now()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labels of everything that is this runtime's.
    fn labels(&self, kind: &str) -> label::Labels {
        let cluster = &self.cluster().config().cluster;
        label::labels([(label::CLUSTER, cluster), (label::NODE, &self.0.node), (label::KIND, kind)])
    }

    fn pod_files(&self, uid: &str) -> pod_files::PodFiles {
        pod_files::PodFiles::new(self.cluster(), &self.0.node, uid)
    }
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(RuntimeError::State(format!("a task has ended before its time: {error}"))))
}

fn not_found(what: &'static str, id: &str) -> RuntimeError {
    RuntimeError::NotFound { what, id: id.to_owned() }
}
