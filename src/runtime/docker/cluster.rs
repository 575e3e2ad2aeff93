//! What the nodes of one cluster have in common on an engine.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::engine::Engine;
use super::error::{failed, unless_under_way};
use super::network::PodNetwork;
use super::pod_files::{self, MEMORY};
use super::sandbox::{AT_ONCE, by_force};
use super::{DockerRuntime, blocking, label, network, route};
use crate::runtime::{PodRange, Result, RuntimeError};

/// What a [`DockerCluster`] is made from.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The cluster's name: what carries another one on the same engine is another cluster's.
    pub cluster: String,
    /// The directory that volumes and other files of pods go to, as this process and the engine see it.
    pub root: PathBuf,
    /// The image of pause containers, whose own program is run; one that the runtime makes itself where there is none.
    pub pause_image: Option<String>,
}

impl DockerConfig {
    /// The usual settings: files go to `$XDG_RUNTIME_DIR`, or to the directory for temporary files.
    pub fn new(cluster: impl Into<String>) -> Self {
        let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        Self { cluster: cluster.into(), root: base.join("orchestrion"), pause_image: None }
    }
}

/// The part of an engine that one cluster has: a network for its pods, and the runtimes of its nodes. Clones are the
/// same; dropping it leaves everything as it is, for the next one of the same name.
#[derive(Clone)]
pub struct DockerCluster(Arc<Inner>);

struct Inner {
    engine: Engine,
    config: DockerConfig,
    network: PodNetwork,
    /// What is being made, whether or not anybody waits for it.
    making: TaskTracker,
    /// Whether everything is being removed: nothing more is made.
    closed: AtomicBool,
    /// The names under which images were fetched that were not there before: the cluster's own, to keep or to remove.
    fetched: Mutex<BTreeSet<String>>,
    /// How many connections were made from within pods.
    connections: AtomicU64,
}

impl fmt::Debug for DockerCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DockerCluster({})", self.0.config.cluster)
    }
}

impl DockerCluster {
    /// Makes the cluster's part of the engine, or takes over what an earlier run has left of it. Its addresses are
    /// this machine's own afterwards (those of Services and nodes; the pods' are those of the bridge).
    ///
    /// # Errors
    /// Where no addresses are free, or the engine does not do what it is asked for.
    pub async fn open(engine: &Engine, config: DockerConfig) -> Result<Self> {
        let network = PodNetwork::of(engine, &config.cluster).await?;
        let cluster = Self(Arc::new(Inner {
            engine: engine.clone(),
            config,
            network,
            making: TaskTracker::new(),
            closed: AtomicBool::new(false),
            fetched: Mutex::default(),
            connections: AtomicU64::new(0),
        }));
        route::ensure(&cluster).await?;
        Ok(cluster)
    }

    /// The first address of the cluster's network, and how many leading bits all of its addresses have in common. It
    /// is divided as clusters on loopback divide theirs: Services, pods, nodes.
    pub fn addresses(&self) -> (Ipv4Addr, u8) {
        self.0.network.addresses()
    }

    /// What the engine's machine has: processors, and bytes of memory.
    pub fn machine(&self) -> (u32, u64) {
        self.engine().machine()
    }

    /// The usual addresses for the pods of the `index`-th node; `None` where there is no room for so many nodes.
    pub fn pods(&self, index: u32) -> Option<PodRange> {
        self.0.network.pods(index)
    }

    /// The runtime of a node, whose pods have addresses of `pods`. One of the same name takes over what an earlier one
    /// has left.
    pub fn runtime(&self, node: &str, pods: PodRange) -> DockerRuntime {
        DockerRuntime::new(self.clone(), node, pods)
    }

    /// Removes everything: the cluster's containers, their files, the network. Its runtimes make nothing more
    /// afterwards; [`DockerCluster::open`] begins anew.
    ///
    /// # Errors
    /// Where the engine or the file system does not do so.
    ///
    /// # Cancel safety
    /// What is left can be removed by another call.
    pub async fn remove(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.making.close();
        self.0.making.wait().await;
        let docker = self.engine().docker();
        let filter = label::filter(&label::labels([(label::CLUSTER, &self.config().cluster)]));
        let remove = |id: String| async move {
            unless_under_way(docker.remove_container(&id, by_force()).await, "remove a container")
        };
        // What the engine was still busy making is found by the next look.
        loop {
            let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
            let found = docker.list_containers(Some(options)).await;
            let found = found.map_err(|error| failed("list the containers of a cluster", error))?;
            if found.is_empty() {
                break;
            }
            let ids = stream::iter(found.into_iter().filter_map(|one| one.id));
            ids.map(remove).buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
        let networks = docker.list_networks(Some(options)).await;
        for network in networks.map_err(|error| failed("list the networks of a cluster", error))? {
            network::remove(self.engine(), &network.id.unwrap_or_default()).await?;
        }
        let directories = [self.directory(), Path::new(MEMORY).join("orchestrion").join(self.part())];
        blocking(move || {
            for directory in directories {
                match fs::remove_dir_all(&directory) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(pod_files::file_error(&directory)(error));
                    }
                    _ => {}
                }
                // The root, unless another cluster has something there.
                let _ = directory.parent().map(fs::remove_dir);
            }
            Ok(())
        })
        .await
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn config(&self) -> &DockerConfig {
        &self.0.config
    }

    fn fetched(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An image was fetched that was not there before under that name.
    pub(super) fn note_fetched(&self, name: &str) {
        self.fetched().insert(name.to_owned());
    }

    /// Whether an image of that name was fetched for this cluster, since this process has it.
    pub(super) fn has_fetched(&self, name: &str) -> bool {
        self.fetched().contains(name)
    }

    /// A number that no other connection has.
    pub(super) fn next_connection(&self) -> u64 {
        self.0.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// For whoever makes something, to be held until it is made: [`DockerCluster::remove`] waits for it.
    ///
    /// # Errors
    /// Where everything is being removed.
    pub(super) fn making(&self) -> Result<TaskTrackerToken> {
        // In this order: what is not waited for sees that it comes too late.
        let token = self.0.making.token();
        if self.0.closed.load(Ordering::SeqCst) {
            let name = &self.config().cluster;
            return Err(RuntimeError::State(format!("the containers of cluster {name} are being removed")));
        }
        Ok(token)
    }

    pub(super) fn network(&self) -> &PodNetwork {
        &self.0.network
    }

    /// Its name as a part of a path.
    pub(super) fn part(&self) -> String {
        pod_files::part(&self.config().cluster)
    }

    /// Where its files are.
    pub(super) fn directory(&self) -> PathBuf {
        self.config().root.join(self.part())
    }
}
