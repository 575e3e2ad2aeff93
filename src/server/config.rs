//! How a server is made.

use std::sync::Arc;

use super::Server;
use super::admission::{self, Chain};
use super::authz::{Authorizer, Masters};
use super::pipeline::Inner;
use super::subresource::TokenIssuer;
use crate::api::{Admission, ApiError, Kinds, NodeDirectory};
use crate::clock::Clock;
use crate::random::Random;
use crate::store::Store;

/// Makes a [`Server`]: a store, and what else it is to work with.
#[derive(Debug)]
#[must_use = "call `start` or `build`"]
pub struct ServerBuilder {
    store: Arc<dyn Store>,
    kinds: Kinds,
    clock: Option<Clock>,
    random: Option<Random>,
    authorizer: Arc<dyn Authorizer>,
    builtin_admission: bool,
    admission: Vec<Arc<dyn Admission>>,
    service_account_volumes: bool,
    nodes: Option<Arc<dyn NodeDirectory>>,
    tokens: Option<Arc<dyn TokenIssuer>>,
    loopback_network: bool,
}

impl ServerBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kinds: Kinds::builtin(),
            clock: None,
            random: None,
            authorizer: Arc::new(Masters),
            builtin_admission: true,
            admission: Vec::new(),
            service_account_volumes: false,
            nodes: None,
            tokens: None,
            loopback_network: false,
        }
    }

    /// The kinds that it serves: the built-in ones unless told otherwise. Clones share one table, so kinds can be
    /// added while it runs.
    pub fn kinds(mut self, kinds: Kinds) -> Self {
        self.kinds = kinds;
        self
    }

    /// Where it reads the time; the machine's unless told otherwise.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where it draws UIDs and suffixes of names; seeded by the operating system unless told otherwise.
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// Who may do what; [`Masters`] unless told otherwise.
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// One more step of admission, behind the built-in ones.
    pub fn admission(mut self, step: Arc<dyn Admission>) -> Self {
        self.admission.push(step);
        self
    }

    /// Leaves the built-in steps of admission out.
    pub fn without_builtin_admission(mut self) -> Self {
        self.builtin_admission = false;
        self
    }

    /// Demands that service accounts of pods exist, and mounts a volume with their token, the cluster's certificate
    /// and the namespace into every container (`kube-api-access-…`). Needs somebody who creates the accounts
    /// (the service account controller) and somebody who issues tokens.
    pub fn service_account_volumes(mut self, yes: bool) -> Self {
        self.service_account_volumes = yes;
        self
    }

    /// Where to find node agents, for logs, exec, attach and port-forward.
    pub fn nodes(mut self, nodes: Arc<dyn NodeDirectory>) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Who signs the tokens of service accounts.
    pub fn tokens(mut self, tokens: Arc<dyn TokenIssuer>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Whether pods live on loopback addresses (see [`Surroundings`](crate::api::Surroundings)).
    pub fn loopback_network(mut self, yes: bool) -> Self {
        self.loopback_network = yes;
        self
    }

    /// The server, over a store that is left as it is.
    pub fn build(self) -> Server {
        let random = self.random.unwrap_or_else(Random::from_entropy);
        let clock = self.clock.unwrap_or_else(Clock::system);
        let mut steps = Vec::new();
        if self.builtin_admission {
            steps.extend(admission::builtin(&self.store, &random, self.service_account_volumes));
        }
        steps.extend(self.admission);
        Server(Arc::new(Inner {
            store: self.store,
            kinds: self.kinds,
            clock,
            random,
            authorizer: self.authorizer,
            admission: Chain::new(steps),
            nodes: self.nodes,
            tokens: self.tokens,
            loopback_network: self.loopback_network,
        }))
    }

    /// The server, over a store in which everything is that a cluster begins with: the namespaces `default`,
    /// `kube-system`, `kube-public` and `kube-node-lease`, and the priority classes of the system.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn start(self) -> Result<Server, ApiError> {
        let server = self.build();
        super::bootstrap::bootstrap(&server).await?;
        Ok(server)
    }
}
