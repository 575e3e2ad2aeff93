//! Whether a node takes a pod that was bound to it.
//!
//! Source: the kubelet's `lifecycle.PredicateAdmitHandler`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};

use super::eviction::local_storage;
use super::pod_worker::state::{Role, role_of_init};
use super::static_pod;
use crate::api::kinds::core::pod::{qos_class, requests};
use crate::api::rules::placement::{is_selected, tolerates};
use crate::api::rules::resources::{Amounts, amount_of};
use crate::api::{Format, Quantity};

/// Reason and message of a refusal, as they stand in the pod's status.
pub(super) type Refusal = (String, String);

/// Pods of this priority and above are critical (`system-cluster-critical`).
const CRITICAL: i32 = 2_000_000_000;

/// A port of the node: its protocol, address (empty: all) and number.
type HostPort = (String, String, i32);

/// What a pod takes of its node, and how much it matters.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) requests: BTreeMap<String, Quantity>,
    host_ports: Vec<HostPort>,
    priority: Option<i32>,
    pub(super) is_static: bool,
    pub(super) qos_class: &'static str,
    /// Whether what it keeps on the node's disk is limited.
    pub(super) limited: bool,
}

impl Demand {
    pub(super) fn of(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        Self {
            requests: requests::of_pod(spec),
            host_ports: host_ports(spec).collect(),
            priority: spec.priority,
            is_static: static_pod::is_static(pod),
            qos_class: qos_class(spec),
            limited: local_storage::is_limited(spec),
        }
    }

    /// How much of a resource the pod requests.
    pub(super) fn request(&self, resource: &str) -> Quantity {
        match resource {
            "pods" => Quantity::ONE,
            name => self.requests.get(name).copied().unwrap_or(Quantity::ZERO),
        }
    }

    /// In which order pods are given more: by priority, then by what they were promised.
    pub(super) fn rank(&self) -> (std::cmp::Reverse<i32>, u8) {
        let class = match self.qos_class {
            "Guaranteed" => 0,
            "Burstable" => 1,
            _ => 2,
        };
        (std::cmp::Reverse(self.priority.unwrap_or(0)), class)
    }

    /// Whether others may have to go for it.
    fn is_critical(&self) -> bool {
        self.is_static || self.priority.is_some_and(|priority| priority >= CRITICAL)
    }

    /// Whether `other` may have to go for it.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        let higher = matches!((self.priority, other.priority), (Some(own), Some(other)) if own > other);
        self.is_critical() && !other.is_critical() || higher
    }
}

/// What the pods of a node take together.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pods: i64,
    requests: BTreeMap<String, Quantity>,
    host_ports: Vec<HostPort>,
}

impl Taken {
    /// Counts one more pod.
    pub(super) fn add(&mut self, demand: &Demand) {
        self.pods += 1;
        for (name, amount) in &demand.requests {
            match self.requests.get_mut(name) {
                Some(total) => *total += *amount,
                None => drop(self.requests.insert(name.clone(), *amount)),
            }
        }
        self.host_ports.extend_from_slice(&demand.host_ports);
    }
}

impl<'a> FromIterator<&'a Demand> for Taken {
    fn from_iter<I: IntoIterator<Item = &'a Demand>>(demands: I) -> Self {
        demands.into_iter().fold(Self::default(), |mut taken, demand| {
            taken.add(demand);
            taken
        })
    }
}

/// So much of a resource is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) resource: String,
    requested: Quantity,
    used: Quantity,
    capacity: Quantity,
}

impl Lack {
    /// How much others must give back.
    pub(super) fn missing(&self) -> Quantity {
        self.requested + self.used - self.capacity
    }

    /// An amount in the unit in which messages have it.
    pub(super) fn unit(resource: &str, amount: Quantity) -> i64 {
        if resource == "cpu" { amount.milli_value() } else { amount.value() }
    }

    /// As the kubelet tells it.
    pub(super) fn message(&self) -> String {
        let name = &self.resource;
        let [requested, used, capacity] =
            [self.requested, self.used, self.capacity].map(|amount| Self::unit(name, amount));
        format!("Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}")
    }
}

/// What came of looking at a pod.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The node takes it.
    Admitted,
    /// The node does not.
    Refused(Refusal),
    /// The node takes it, critical as it is, once others have made room.
    Lacking(Vec<Lack>),
}

/// Whether the node takes a pod of that spec and demand beside what is `taken`.
pub(super) fn admit(allocatable: &Amounts, node: &Node, spec: &PodSpec, demand: &Demand, taken: &Taken) -> Verdict {
    let refuse = |reason: &str, why: &str| Verdict::Refused((reason.to_owned(), why.to_owned()));
    let predicate = |name: &str, why: &str| refuse(name, &format!("Predicate {name} failed: {why}"));
    let os = spec.node_selector.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    if os.is_some_and(|os| os != "linux") {
        let why = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return refuse("PodOSSelectorNodeLabelDoesNotMatch", why);
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return refuse("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
    }
    // Of several reasons the first is told; a critical pod is refused only for what nobody can make room for.
    let lacks = lacks(allocatable, demand, taken);
    if let Some(first) = lacks.first().filter(|_| !demand.is_critical()) {
        return refuse(&format!("OutOf{}", first.resource), &first.message());
    }
    if !is_selected(spec, node) {
        return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
    }
    if demand.host_ports.iter().any(|port| taken.host_ports.iter().any(|other| conflict(port, other))) {
        return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
    }
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    if !demand.is_static && taints.any(|taint| taint.effect == "NoExecute" && !tolerates(tolerations, taint)) {
        return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
    }
    if lacks.is_empty() { Verdict::Admitted } else { Verdict::Lacking(lacks) }
}

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = HostPort> {
    let init = spec.init_containers.iter().flatten().filter(|init| role_of_init(init) == Role::Sidecar);
    let ports = spec.containers.iter().chain(init).flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| {
        let host = port.host_port.filter(|port| *port > 0)?;
        let ip = port.host_ip.clone().filter(|ip| ip != "0.0.0.0").unwrap_or_default();
        Some((port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), ip, host))
    })
}

fn conflict((protocol, ip, port): &HostPort, other: &HostPort) -> bool {
    let same_address = ip.is_empty() || other.1.is_empty() || *ip == other.1;
    same_address && (protocol, port) == (&other.0, &other.2)
}

/// What the node lacks of what the pod requests, in the order in which it is told.
pub(super) fn lacks(allocatable: &Amounts, demand: &Demand, taken: &Taken) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let pods = amount_of(Some(allocatable), "pods").filter(|pods| taken.pods >= pods.value());
    let pod = |capacity| Lack {
        resource: "pods".to_owned(),
        requested: Quantity::ONE,
        used: Quantity::new(taken.pods, Format::DecimalSi),
        capacity,
    };
    lacks.extend(pods.map(pod));
    let rank = |name: &str| match name {
        "cpu" => 0,
        "memory" => 1,
        "ephemeral-storage" => 2,
        _ => 3,
    };
    let mut requests: Vec<_> = demand.requests.iter().filter(|(_, requested)| !requested.is_zero()).collect();
    requests.sort_by_key(|(name, _)| rank(name));
    for (name, &requested) in requests {
        let capacity = amount_of(Some(allocatable), name);
        // What the node has never heard of somebody else has promised: a device plugin, an extender.
        if capacity.is_none() && name.contains('/') {
            continue;
        }
        let capacity = capacity.unwrap_or(Quantity::ZERO);
        let used = taken.requests.get(name.as_str()).copied().unwrap_or(Quantity::ZERO);
        if used + requested > capacity {
            lacks.push(Lack { resource: name.clone(), requested, used, capacity });
        }
    }
    lacks
}
