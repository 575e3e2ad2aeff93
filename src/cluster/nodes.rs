//! The nodes of a cluster: their runtimes and agents, and how the API server finds them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ClusterError;
use super::builder::{AgentSettings, NodeSeat, RuntimeFactory};
use crate::api::{NodeDirectory, NodeEndpoint};
use crate::client::Informers;
use crate::node::{Agent, AgentConfig};
use crate::random::Random;
use crate::runtime::Runtime;
use crate::runtime::memory::{self, PodRange, Registry, SimulatedNetwork};
use crate::service::loopback::AddressPlan;

/// The agents that can be reached, by the name of their node.
#[derive(Debug, Default)]
struct Directory(Mutex<BTreeMap<String, Arc<dyn NodeEndpoint>>>);

impl NodeDirectory for Directory {
    fn endpoint(&self, node: &str) -> Option<Arc<dyn NodeEndpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned()
    }
}

struct Node {
    agent: Option<Agent>,
    runtime: Arc<dyn Runtime>,
    index: u32,
}

/// The nodes of a cluster.
pub struct Nodes {
    plan: AddressPlan,
    simulated: SimulatedNetwork,
    registry: Registry,
    factory: RuntimeFactory,
    settings: AgentSettings,
    directory: Arc<Directory>,
    nodes: Mutex<BTreeMap<String, Node>>,
}

impl Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.nodes().keys()).finish()
    }
}

impl Nodes {
    pub(super) fn new(
        plan: AddressPlan,
        simulated: SimulatedNetwork,
        registry: Registry,
        factory: RuntimeFactory,
        settings: AgentSettings,
    ) -> Self {
        Self { plan, simulated, registry, factory, settings, directory: Arc::default(), nodes: Mutex::default() }
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory(&self) -> Arc<dyn NodeDirectory> {
        Arc::<Directory>::clone(&self.directory)
    }

    /// The names of the nodes whose runtimes exist, running or stopped.
    pub fn names(&self) -> Vec<String> {
        self.nodes().keys().cloned().collect()
    }

    /// The runtime of a node.
    pub fn runtime(&self, name: &str) -> Option<Arc<dyn Runtime>> {
        self.nodes().get(name).map(|node| Arc::clone(&node.runtime))
    }

    /// Makes a node's runtime and starts its agent; a stopped node starts again over the runtime it had.
    pub(super) fn start(&self, name: &str, informers: &Informers, random: &Random) -> Result<(), ClusterError> {
        let mut nodes = self.nodes();
        if nodes.get(name).is_some_and(|node| node.agent.is_some()) {
            return Err(ClusterError::NodeExists(name.to_owned()));
        }
        // The first seat that nobody has: mostly the one after all others.
        let next = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let is_free = |index: &u32| nodes.values().all(|node| node.index != *index);
        let index = nodes.get(name).map(|node| node.index).or_else(|| (0..=next).rev().find(is_free)).unwrap_or(next);
        let no_addresses = || ClusterError::NoAddresses(name.to_owned());
        let address = self.plan.node(index).ok_or_else(no_addresses)?;
        let node = match nodes.remove(name) {
            Some(node) => node,
            None => {
                let first = self.plan.node_pods(index).and_then(|subnet| subnet.nth(0)).ok_or_else(no_addresses)?;
                let pods = PodRange::with_prefix(first, self.plan.node_prefix);
                let seat = NodeSeat {
                    name: name.to_owned(),
                    index,
                    network: if self.plan.loopback {
                        memory::Network::Loopback(pods)
                    } else {
                        memory::Network::Simulated(pods, self.simulated.clone())
                    },
                    registry: self.registry.clone(),
                    clock: *informers.client().clock(),
                    random: random.fork(name),
                };
                Node { agent: None, runtime: (self.factory)(&seat), index }
            }
        };
        let runtime = Arc::clone(&node.runtime);
        let mut config = AgentConfig::new(name, address.into());
        config.pod_cidr = self.plan.node_pods(index).map(|subnet| subnet.to_string());
        config.cluster_dns = vec![self.plan.dns().into()];
        let agent = Agent::start((self.settings)(config), informers, runtime);
        self.directory.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), agent.endpoint());
        nodes.insert(name.to_owned(), Node { agent: Some(agent), ..node });
        Ok(())
    }

    /// Takes the agent of a node away. Its runtime and what runs there stay.
    pub(super) fn take_agent(&self, name: &str) -> Option<Agent> {
        self.directory.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.nodes().get_mut(name)?.agent.take()
    }

    /// Takes a node's runtime away, and with it everything that runs there.
    pub(super) fn forget(&self, name: &str) {
        self.nodes().remove(name);
    }
}
