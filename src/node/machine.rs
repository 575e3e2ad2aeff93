//! What all parts of one agent share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use tokio::sync::Notify;

use super::AgentConfig;
use super::env::Facts;
use super::pod_worker::state::{Role, containers};
use super::service_links::ServiceLinks;
use super::static_pod::Mirrors;
use super::stats::Samples;
use crate::api::rules::resources::Amounts;
use crate::client::{Client, EventRecorder, EventType, Informers, reference};
use crate::clock::Clock;
use crate::runtime::{Runtime, SandboxStatus};

/// What all parts of one agent share.
pub(super) struct Machine {
    pub(super) config: AgentConfig,
    /// The node's address, as statuses show it.
    pub(super) host: Arc<str>,
    pub(super) client: Client,
    pub(super) runtime: Arc<dyn Runtime>,
    /// What the runtime is called, as the IDs of its containers begin.
    pub(super) runtime_name: String,
    pub(super) events: EventRecorder,
    pub(super) services: ServiceLinks,
    /// What was measured last.
    pub(super) samples: Samples,
    /// The Node as it was last seen.
    node: Mutex<Option<Arc<Node>>>,
    /// What the API shows of the node's static pods.
    pub(super) mirrors: Mirrors,
    /// What pods may use of the node.
    pub(super) allocatable: Amounts,
    /// Told when a pod has ended: whoever waits for what it took looks again.
    pub(super) ended: Notify,
    /// How often that was told.
    endings: AtomicU64,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({})", self.config.name)
    }
}

impl Machine {
    pub(super) fn new(config: AgentConfig, informers: &Informers, runtime: Arc<dyn Runtime>) -> Self {
        let client = informers.client().clone().named("kubelet");
        Self {
            host: config.address.to_string().into(),
            events: EventRecorder::new(client.clone()).on_host(&config.name),
            services: ServiceLinks::new(informers.of()),
            samples: Samples::default(),
            node: Mutex::default(),
            mirrors: Mirrors::default(),
            allocatable: config.allocatable(),
            ended: Notify::new(),
            endings: AtomicU64::new(0),
            client,
            config,
            runtime_name: runtime.info().name,
            runtime,
        }
    }

    /// The Node as it was last seen; `None` before it has registered.
    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_node(&self, node: Arc<Node>) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }

    /// Tells that a pod has ended, or takes less.
    pub(super) fn make_room(&self) {
        self.endings.fetch_add(1, Ordering::Relaxed);
        self.ended.notify_waiters();
    }

    /// How often there was more room than before.
    pub(super) fn endings(&self) -> u64 {
        self.endings.load(Ordering::Relaxed)
    }

    pub(super) fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// Records an event about a pod.
    pub(super) fn event(&self, pod: &Pod, kind: EventType, reason: &str, message: impl Into<String>) {
        self.events.record(reference(pod), kind, reason, message.into());
    }

    /// Records an event about a container of a pod.
    pub(super) fn container_event(
        &self,
        pod: &Pod,
        container: &str,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let role = pod.spec.as_ref().and_then(|spec| containers(spec).find(|(_, found)| found.name == container));
        let list = match role {
            Some((Role::Init | Role::Sidecar, _)) => "spec.initContainers",
            Some((Role::Ephemeral, _)) => "spec.ephemeralContainers",
            _ => "spec.containers",
        };
        let field_path = Some([list, "{", container, "}"].concat());
        self.events.record(ObjectReference { field_path, ..reference(pod) }, kind, reason, message.into());
    }

    /// What a pod's containers can ask about it.
    pub(super) fn facts<'a>(&'a self, pod: &'a Pod, sandbox: Option<&'a SandboxStatus>) -> Facts<'a> {
        let pod_ips = sandbox.map(|sandbox| sandbox.ips.as_slice()).unwrap_or_default();
        Facts { pod, pod_ips, host_ip: self.config.address, allocatable: &self.allocatable }
    }
}
