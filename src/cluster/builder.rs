//! [`Builder`]: which parts a cluster has, and the order in which they come up.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
#[cfg(feature = "http")]
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::nodes::Nodes;
use super::{Cluster, ClusterError, Part, kubernetes};
#[cfg(feature = "http")]
use crate::api::User;
use crate::api::{Admission, Backend, Kind};
use crate::client::Client;
use crate::clock::Clock;
use crate::node::AgentConfig;
use crate::random::Random;
use crate::reconcile::{Context, Running, controllers};
use crate::runtime::Runtime;
use crate::runtime::memory::{MemoryConfig, MemoryRuntime, Registry, SimulatedImage, SimulatedNetwork};
use crate::scheduler;
use crate::server::Server;
use crate::server::authz::Authorizer;
use crate::service::allocate::{NODE_PORTS, ServiceAllocator};
use crate::service::loopback::AddressPlan;
use crate::service::proxy::ServiceProxy;
use crate::service::proxy::userspace::UserspaceProxy;
use crate::store::{MemoryStore, Range, Scope, Store};

/// How pods and Services of an embedded cluster reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Real sockets on loopback addresses of the cluster's own (Linux).
    #[default]
    Loopback,
    /// Addresses that exist only in the cluster, and no sockets: for virtual time, and for thousands of nodes.
    Simulated,
}

/// Where a runtime is to sit: what it may want to know of its node.
#[derive(Clone, Debug)]
pub struct NodeSeat {
    /// The node's name.
    pub name: String,
    /// Its number in the cluster, from 0.
    pub index: u32,
    /// The network its pods live on.
    pub network: crate::runtime::memory::Network,
    /// The images that there are.
    pub registry: Registry,
    /// The time.
    pub clock: Clock,
    /// Randomness of its own.
    pub random: Random,
}

impl NodeSeat {
    /// The default: a runtime in memory.
    pub fn memory_runtime(&self) -> MemoryRuntime {
        MemoryRuntime::new(MemoryConfig {
            node: self.name.clone(),
            network: self.network.clone(),
            registry: self.registry.clone(),
            clock: self.clock,
            random: self.random.clone(),
        })
    }
}

/// Makes the runtime of a node.
pub type RuntimeFactory = Arc<dyn Fn(&NodeSeat) -> Arc<dyn Runtime> + Send + Sync>;

/// Changes the usual configuration of a node agent.
pub(super) type AgentSettings = Arc<dyn Fn(AgentConfig) -> AgentConfig + Send + Sync>;

/// Wraps the backend that every part's client calls.
type Interposer = Box<dyn FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend> + Send>;
/// Starts something over the cluster's context.
type Starter = Box<dyn FnOnce(&Context) -> Running + Send>;

/// Makes a [`Cluster`]. Every part has a default, and every part can be replaced or left out.
#[must_use = "nothing runs until `start`"]
pub struct Builder {
    nodes: usize,
    network: Network,
    plan: Option<AddressPlan>,
    clock: Option<Clock>,
    random: Option<Random>,
    store: Option<Arc<dyn Store>>,
    admission: Vec<Arc<dyn Admission>>,
    authorizer: Option<Box<dyn FnOnce(crate::server::ServerBuilder) -> crate::server::ServerBuilder + Send>>,
    interposer: Option<Interposer>,
    scheduler: scheduler::Config,
    starters: Vec<Starter>,
    registry: Registry,
    runtime: RuntimeFactory,
    agent: AgentSettings,
    without: BTreeSet<Part>,
    #[cfg(feature = "http")]
    listen: Option<SocketAddr>,
    #[cfg(feature = "http")]
    tokens: Vec<(String, User)>,
}

impl Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("nodes", &self.nodes)
            .field("network", &self.network)
            .field("without", &self.without)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: 1,
            network: Network::default(),
            plan: None,
            clock: None,
            random: None,
            store: None,
            admission: Vec::new(),
            authorizer: None,
            interposer: None,
            scheduler: scheduler::Config::default(),
            starters: Vec::new(),
            registry: Registry::default(),
            runtime: Arc::new(|seat| Arc::new(seat.memory_runtime())),
            agent: Arc::new(|agent| agent),
            without: BTreeSet::new(),
            #[cfg(feature = "http")]
            listen: None,
            #[cfg(feature = "http")]
            tokens: Vec::new(),
        }
    }
}

impl Builder {
    /// How many nodes it starts with: `node-1`, `node-2`, … One unless told otherwise.
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// How pods and Services reach each other.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Where Services, nodes and pods live, instead of where [`Builder::network`] says.
    pub fn addresses(mut self, plan: AddressPlan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// Makes the cluster reproducible: names, UIDs and choices are drawn from `seed`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Some(Random::seeded(seed));
        self
    }

    /// The time that its clock shows at first; the machine's unless told otherwise.
    pub fn starting_at(mut self, time: Timestamp) -> Self {
        self.clock = Some(Clock::starting_at(time));
        self
    }

    /// Everything for a test under virtual time: a seed, a fixed date, no sockets. The runtime must be paused
    /// (`#[tokio::test(start_paused = true)]`).
    pub fn simulated(self, seed: u64) -> Self {
        let new_year = Timestamp::new(1_767_225_600, 0).unwrap_or_default(); // 2026-01-01T00:00:00Z
        self.seed(seed).starting_at(new_year).network(Network::Simulated)
    }

    /// The store; one in memory unless told otherwise.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// One more step of admission.
    pub fn admission(mut self, step: Arc<dyn Admission>) -> Self {
        self.admission.push(step);
        self
    }

    /// Who may do what.
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Some(Box::new(|server| server.authorizer(authorizer)));
        self
    }

    /// Puts something between the parts and the server: to count, to delay, to fail calls.
    pub fn interpose(mut self, wrap: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + 'static) -> Self {
        self.interposer = Some(Box::new(wrap));
        self
    }

    /// How the scheduler schedules: its profiles and plugins.
    pub fn scheduler(mut self, config: scheduler::Config) -> Self {
        self.scheduler = config;
        self
    }

    /// Starts one more controller with the cluster, over the informers that its own controllers use.
    pub fn controller(mut self, start: impl FnOnce(&Context) -> Running + Send + 'static) -> Self {
        self.starters.push(Box::new(start));
        self
    }

    /// Adds a simulated image that nodes can pull.
    pub fn image(self, name: &str, image: SimulatedImage) -> Self {
        self.registry.add(name, image);
        self
    }

    /// The images that nodes can pull, and what an unknown one does.
    pub fn images(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// What runs the containers of each node; a [`MemoryRuntime`] unless told otherwise.
    pub fn runtime(mut self, make: impl Fn(&NodeSeat) -> Arc<dyn Runtime> + Send + Sync + 'static) -> Self {
        self.runtime = Arc::new(make);
        self
    }

    /// What each node's agent is told, where it is not the usual: `change` gets the usual configuration, as far as it was
    /// not changed before.
    ///
    /// ```
    /// let builder = orchestrion::cluster::Cluster::builder().agent(|agent| agent.with_capacity("pods", "500"));
    /// ```
    pub fn agent(mut self, change: impl Fn(AgentConfig) -> AgentConfig + Send + Sync + 'static) -> Self {
        let before = self.agent;
        self.agent = Arc::new(move |agent| change(before(agent)));
        self
    }

    /// Leaves a part out.
    pub fn without(mut self, part: Part) -> Self {
        self.without.insert(part);
        self
    }

    /// Serves the API over HTTPS at `address` (port 0: any), for kubectl and other programs.
    #[cfg(feature = "http")]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Lets `user` in over HTTPS with a bearer token.
    #[cfg(feature = "http")]
    pub fn token(mut self, token: impl Into<String>, user: User) -> Self {
        self.tokens.push((token.into(), user));
        self
    }

    /// Starts the cluster. When it returns, the API serves; nodes and controllers come up at their own pace.
    ///
    /// # Errors
    /// Where a part cannot be had: addresses, a port, the store.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let clock = self.clock.unwrap_or_else(Clock::system);
        let random = self.random.unwrap_or_else(Random::from_entropy);
        let plan = match (self.plan, self.network) {
            (Some(plan), _) => plan,
            (None, Network::Loopback) => AddressPlan::loopback().map_err(ClusterError::Addresses)?,
            (None, Network::Simulated) => AddressPlan::simulated(),
        };
        let usual = (self.agent)(AgentConfig::new("", std::net::Ipv4Addr::UNSPECIFIED.into()));
        let pods = usual.capacity.get("pods").and_then(|pods| pods.0.parse().ok());
        let plan = plan.with_pods_per_node(pods.unwrap_or_default());
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        let nodes = Nodes::new(plan.clone(), SimulatedNetwork::default(), self.registry, self.runtime, self.agent);

        let kind = Kind::of::<k8s_openapi::api::core::v1::Service>();
        let stored = store.list(&Scope::all(kind.stored().clone()), &Range::default()).await?;
        let services = stored.items.iter().filter_map(|object| object.as_typed());
        let allocator = ServiceAllocator::new(plan.services, NODE_PORTS, &random, services);

        #[cfg(feature = "http")]
        let issuer = super::wire::issuer(Arc::clone(&store), clock, &random)?;
        // Who issues tokens, and who makes accounts: without either, pods would wait for what never comes.
        let accounts = cfg!(feature = "http") && !self.without.contains(&Part::Controllers);
        let mut server = Server::builder(store)
            .service_account_volumes(accounts)
            .clock(clock)
            .random(random.fork("apiserver"))
            .admission(Arc::new(allocator))
            .nodes(nodes.directory())
            .loopback_network(plan.loopback);
        for step in self.admission {
            server = server.admission(step);
        }
        if let Some(authorizer) = self.authorizer {
            server = authorizer(server);
        }
        #[cfg(feature = "http")]
        {
            server = server.tokens(Arc::clone(&issuer));
        }
        let server = server.start().await?;

        let mut backend: Arc<dyn Backend> = Arc::new(server.clone());
        if let Some(interpose) = self.interposer {
            backend = interpose(backend);
        }
        let client = Client::new(Arc::clone(&backend), clock, random.clone());
        #[cfg(feature = "http")]
        let front = super::wire::front(backend, &client, self.tokens, issuer, server.authorizer());
        #[cfg(feature = "http")]
        let wire = match self.listen {
            Some(address) => Some(super::wire::Wire::listen(&front, &plan, address).await?),
            None => None,
        };
        #[cfg(feature = "http")]
        let listening = wire.as_ref().map(super::wire::Wire::address);
        #[cfg(not(feature = "http"))]
        let listening = None;
        kubernetes::publish(&client, &plan, listening).await?;

        let context = Context::new(client.clone());
        let runs = |part| !self.without.contains(&part);
        let mut running = Running::default();
        if runs(Part::Controllers) {
            #[cfg(feature = "http")]
            // Pods mount it whether or not there is something that it is needed for.
            let root_certificate =
                Some(wire.as_ref().map(|wire| wire.authority().certificate().to_owned()).unwrap_or_default());
            #[cfg(not(feature = "http"))]
            let root_certificate = None;
            let settings = controllers::Settings { root_certificate, ..controllers::Settings::default() };
            running = running.and(controllers::start(&context, &settings, |_| true));
        }
        for start in self.starters {
            running = running.and(start(&context));
        }
        if runs(Part::Scheduler) {
            let informers = context.informers().clone();
            let scheduling = scheduler::run(informers, self.scheduler, CancellationToken::new());
            running = running.and(Running::of(tokio::spawn(scheduling)));
        }
        let mut cluster = Cluster {
            server,
            client,
            context,
            plan,
            nodes,
            running,
            proxy: None,
            #[cfg(feature = "dns")]
            dns: None,
            #[cfg(feature = "http")]
            front,
            #[cfg(feature = "http")]
            wire,
        };
        if runs(Part::Proxy) && cluster.plan.loopback {
            let proxy = Arc::new(UserspaceProxy::new(clock));
            cluster.proxy = Some(ServiceProxy::start(cluster.context.informers(), proxy));
            #[cfg(feature = "dns")]
            {
                cluster.dns = Some(start_dns(&cluster).await?);
            }
        }
        if runs(Part::Nodes) {
            for number in 1..=self.nodes {
                cluster.add_node(&format!("node-{number}")).await?;
            }
        }
        Ok(cluster)
    }
}

/// Serves cluster DNS at its Service's address: on port 53 where this process may, else on 5353.
#[cfg(feature = "dns")]
async fn start_dns(cluster: &Cluster) -> Result<crate::service::dns::DnsServer, ClusterError> {
    use crate::service::dns::{DnsServer, Zone};
    let zone = Zone::new(cluster.context.informers());
    DnsServer::start(zone, cluster.plan.dns(), &[53, 5353]).await.map_err(ClusterError::Dns)
}
