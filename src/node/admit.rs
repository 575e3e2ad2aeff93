//! Whether a node takes a pod that was bound to it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Node, PodSpec};

use super::AgentConfig;
use super::pod_worker::state::{Role, role_of_init};
use crate::api::Quantity;
use crate::api::rules::resources::{amount, amount_of};

/// Reason and message of a refusal, as they stand in the pod's status.
pub(super) type Refusal = (String, String);

/// What a pod takes of its node.
#[derive(Debug, Default)]
pub(super) struct Demand {
    requests: BTreeMap<String, Quantity>,
    host_ports: Vec<(String, i32)>,
}

impl Demand {
    pub(super) fn of(spec: &PodSpec) -> Self {
        Self { requests: requests(spec), host_ports: host_ports(spec).collect() }
    }
}

/// What the pods of a node take together.
#[derive(Debug, Default)]
pub(super) struct Taken<'a> {
    pods: i64,
    requests: BTreeMap<&'a str, Quantity>,
    host_ports: BTreeSet<&'a (String, i32)>,
}

impl<'a> FromIterator<&'a Demand> for Taken<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Demand>>(demands: I) -> Self {
        demands.into_iter().fold(Self::default(), |mut taken, demand| {
            taken.pods += 1;
            for (name, amount) in &demand.requests {
                let total = taken.requests.entry(name).or_insert(Quantity::ZERO);
                *total += *amount;
            }
            taken.host_ports.extend(&demand.host_ports);
            taken
        })
    }
}

/// Whether the node takes a pod of that spec and demand beside what is `taken`.
pub(super) fn admit(
    config: &AgentConfig,
    node: &Node,
    spec: &PodSpec,
    demand: &Demand,
    taken: &Taken<'_>,
) -> Result<(), Refusal> {
    let refuse = |reason: &str, why: String| Err((reason.to_owned(), format!("Pod was rejected: {why}")));
    let predicate = |name: &str, why: &str| refuse(name, format!("Predicate {name} failed: {why}"));
    fits(config, demand, taken).or_else(|(reason, why)| refuse(&reason, why))?;
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selector = spec.node_selector.iter().flatten();
    if selector.into_iter().any(|(name, value)| labels.get(name) != Some(value)) {
        return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
    }
    if demand.host_ports.iter().any(|port| taken.host_ports.contains(port)) {
        return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
    }
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    for taint in taints.filter(|taint| taint.effect == "NoExecute") {
        let tolerated = spec.tolerations.iter().flatten().any(|toleration| {
            let effect = toleration.effect.as_deref().unwrap_or_default();
            let key = toleration.key.as_deref().unwrap_or_default();
            let exists = toleration.operator.as_deref() == Some("Exists");
            (effect.is_empty() || effect == taint.effect)
                && (key == taint.key || (key.is_empty() && exists))
                && (exists
                    || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default())
        });
        if !tolerated {
            return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
        }
    }
    Ok(())
}

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = (String, i32)> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| {
        let host = port.host_port.filter(|port| *port > 0)?;
        Some((port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), host))
    })
}

/// Whether the node has what the pod requests.
fn fits(config: &AgentConfig, demand: &Demand, taken: &Taken<'_>) -> Result<(), Refusal> {
    let allocatable = config.allocatable();
    let pods = amount_of(Some(&allocatable), "pods").map_or(i64::MAX, Quantity::value);
    let lacking = |name: &str, requested: i64, used: i64, capacity: i64| {
        let why = format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        Err((format!("OutOf{name}"), why))
    };
    if taken.pods >= pods {
        return lacking("pods", 1, taken.pods, pods);
    }
    for (name, &requested) in demand.requests.iter().filter(|(_, requested)| !requested.is_zero()) {
        let used = taken.requests.get(name.as_str()).copied().unwrap_or(Quantity::ZERO);
        let capacity = amount_of(Some(&allocatable), name).unwrap_or(Quantity::ZERO);
        if used + requested > capacity {
            let unit = if name == "cpu" { Quantity::milli_value } else { Quantity::value };
            return lacking(name, unit(requested), unit(used), unit(capacity));
        }
    }
    Ok(())
}

/// What a pod requests: its containers and sidecars together, or the init container that needs more than they do.
fn requests(spec: &PodSpec) -> BTreeMap<String, Quantity> {
    let of = |container: &Container| -> BTreeMap<String, Quantity> {
        let requests = container.resources.iter().flat_map(|resources| resources.requests.iter().flatten());
        requests.map(|(name, text)| (name.clone(), amount(text))).collect()
    };
    let add = |sum: &mut BTreeMap<String, Quantity>, more: BTreeMap<String, Quantity>| {
        for (name, amount) in more {
            let total = sum.get(&name).map_or(amount, |known| *known + amount);
            sum.insert(name, total);
        }
    };
    let mut total = BTreeMap::new();
    spec.containers.iter().for_each(|container| add(&mut total, of(container)));
    let (mut sidecars, mut peak) = (BTreeMap::new(), BTreeMap::<String, Quantity>::new());
    for init in spec.init_containers.iter().flatten() {
        let mut now = sidecars.clone();
        add(&mut now, of(init));
        for (name, amount) in &now {
            let known = peak.entry(name.clone()).or_insert(*amount);
            *known = (*known).max(*amount);
        }
        if role_of_init(init) == Role::Sidecar {
            sidecars = now;
        }
    }
    add(&mut total, sidecars);
    for (name, amount) in peak {
        let known = total.entry(name).or_insert(amount);
        *known = (*known).max(amount);
    }
    add(&mut total, spec.overhead.iter().flatten().map(|(name, text)| (name.clone(), amount(text))).collect());
    if let Some(whole) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        total.extend(whole.iter().map(|(name, text)| (name.clone(), amount(text))));
    }
    total
}
