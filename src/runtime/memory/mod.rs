//! A runtime in this process: simulated containers, and functions that run as containers.

mod container;
mod context;
mod events;
mod health;
mod log;
mod machine;
mod network;
mod operations;
mod script;
mod serve;
mod shell;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;

use self::events::Events;
use super::{ContainerId, FileTree, Image, SandboxConfig, SandboxId, SandboxStatus};
use crate::clock::Clock;
use crate::random::Random;

pub use super::address::PodRange;
pub use context::{ContainerContext, Program};
pub use machine::{Load, SimulatedMachine};
pub use network::{Listener, Network, SimulatedNetwork};
pub use script::{Registry, Script, SimulatedImage};
pub use view::Files;

/// What a [`MemoryRuntime`] is made from.
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// The name of the node, which containers tell.
    pub node: String,
    /// How pods reach each other.
    pub network: Network,
    /// The images that there are.
    pub registry: Registry,
    /// The time.
    pub clock: Clock,
    /// Randomness: IDs.
    pub random: Random,
}

/// Runs containers in this process. Clones are the same runtime; dropping the last one ends all containers.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// use orchestrion::clock::Clock;
/// use orchestrion::random::Random;
/// use orchestrion::runtime::memory::{ContainerContext, MemoryConfig, MemoryRuntime, Network, Registry, SimulatedNetwork};
/// use orchestrion::runtime::{ContainerConfig, Runtime, SandboxConfig};
///
/// let registry = Registry::default();
/// registry.add_function("hello", |context: ContainerContext| async move {
///     context.print(format!("hello from {}", context.pod()));
///     0
/// });
/// let runtime = MemoryRuntime::new(MemoryConfig {
///     node: "node-1".into(),
///     network: Network::simulated([10, 244, 0, 0].into(), SimulatedNetwork::default()),
///     registry,
///     clock: Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()),
///     random: Random::seeded(1),
/// });
/// let sandbox = runtime.run_sandbox(&SandboxConfig { name: "web".into(), ..Default::default() }).await?;
/// runtime.pull_image("hello", &[]).await?;
/// let config = ContainerConfig { name: "main".into(), image: "hello".into(), ..Default::default() };
/// let container = runtime.create_container(&sandbox.id, &config).await?;
/// runtime.start_container(&container).await?;
/// # Ok::<(), orchestrion::runtime::RuntimeError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryRuntime(Arc<Inner>);

struct Inner {
    config: MemoryConfig,
    tables: Mutex<Tables>,
    /// The files of the simulated node, for `hostPath`.
    host: FileTree,
    machine: machine::Machine,
    events: Events,
}

#[derive(Default)]
struct Tables {
    /// Neither is walked through where order matters.
    sandboxes: HashMap<SandboxId, Sandbox>,
    containers: HashMap<ContainerId, Arc<container::Container>>,
    images: BTreeMap<String, Image>,
    /// Numbers things in the order in which they were made.
    made: u64,
}

struct Sandbox {
    config: Arc<SandboxConfig>,
    status: SandboxStatus,
    number: u64,
    /// Kept while the sandbox runs.
    place: Option<Arc<context::Place>>,
    address: Option<super::address::Address>,
    /// In the order in which they were made.
    containers: Vec<ContainerId>,
}

impl fmt::Debug for MemoryRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryRuntime({})", self.0.config.node)
    }
}

impl MemoryRuntime {
    /// A runtime without pods.
    pub fn new(config: MemoryConfig) -> Self {
        Self(Arc::new(Inner {
            machine: machine::Machine::new(&config.clock),
            config,
            tables: Mutex::default(),
            host: FileTree::default(),
            events: Events::default(),
        }))
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The images that it can fetch.
    pub fn registry(&self) -> &Registry {
        &self.0.config.registry
    }

    /// Its network.
    pub fn network(&self) -> &Network {
        &self.0.config.network
    }

    /// The files of the simulated node, which `hostPath` volumes show.
    pub fn host_files(&self) -> &FileTree {
        &self.0.host
    }

    /// The ready sandbox of the pod of that UID, with its address.
    pub fn sandbox_of(&self, pod_uid: &str) -> Option<(SandboxId, IpAddr)> {
        let tables = self.tables();
        let ready = tables.sandboxes.values().filter(|sandbox| sandbox.status.ready && sandbox.config.uid == pod_uid);
        let sandbox = ready.min_by_key(|sandbox| sandbox.number)?;
        Some((sandbox.status.id.clone(), *sandbox.status.ips.first()?))
    }

    /// Ends a pod's running container from outside, as a crash would: with that exit code and reason (`Error`,
    /// `OOMKilled`, …). Whether there was one.
    pub fn crash(&self, pod_uid: &str, container: &str, code: i32, reason: &str) -> bool {
        let found = self.running(pod_uid, container);
        found.inspect(|container| container.finish(code, reason, String::new())).is_some()
    }

    /// A pod's running container of that name.
    fn running(&self, pod_uid: &str, container: &str) -> Option<Arc<container::Container>> {
        let tables = self.tables();
        let mut of_pod: Vec<_> = tables.sandboxes.values().filter(|sandbox| sandbox.config.uid == pod_uid).collect();
        of_pod.sort_by_key(|sandbox| sandbox.number);
        let mut candidates = of_pod.into_iter().flat_map(|sandbox| &sandbox.containers);
        candidates.find_map(|id| {
            let candidate = tables.containers.get(id)?;
            let wanted = candidate.started_at().is_some() && candidate.status().name == container;
            wanted.then(|| Arc::clone(candidate))
        })
    }
}

#[cfg(test)]
mod tests;
