//! Changing what a running pod may use, without starting it anew.
//!
//! Source: [KEP-1287](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/1287-in-place-update-pod-resources).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use serde_json::{Map, Value, json};

use super::admit::Lack;
use super::pod_worker::state::{Role, role_of_init};
use crate::api::{Format, Quantity};
use crate::runtime::Limits;

/// What of a pod's resources is not as its spec wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resize {
    /// What the containers have instead of what the spec says, by name; nothing where the spec is granted.
    pub(super) allocated: BTreeMap<String, ResourceRequirements>,
    /// Why the spec is not granted.
    pub(super) pending: Option<Pending>,
    /// What was granted and is not done yet.
    pub(super) under_way: Option<UnderWay>,
}

/// A resize that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// `Deferred` (there may be room later) or `Infeasible` (there never will).
    pub(super) reason: &'static str,
    /// What the event calls it.
    pub(super) cause: String,
    pub(super) message: String,
    pub(super) generation: Option<i64>,
}

/// A resize that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) generation: Option<i64>,
    /// Why the runtime has not done it.
    pub(super) error: Option<String>,
}

impl Resize {
    pub(super) fn is_over(&self) -> bool {
        *self == Self::default()
    }
}

impl Pending {
    /// There is no room now.
    pub(super) fn deferred(lack: &Lack, generation: Option<i64>) -> Self {
        let (cause, message) = (format!("OutOf{}", lack.resource), lack.message());
        Self { reason: "Deferred", cause, message, generation }
    }

    /// The node is too small, or the pod is not to be resized.
    pub(super) fn infeasible(message: String, generation: Option<i64>) -> Self {
        Self { reason: "Infeasible", cause: "Infeasible".to_owned(), message, generation }
    }
}

/// Why a pod that requests so much will never fit on its node.
pub(super) fn beyond(requests: &BTreeMap<String, Quantity>, capacity: impl Fn(&str) -> Quantity) -> Option<String> {
    ["memory", "cpu"].into_iter().find_map(|name| {
        let (requested, capacity) = (requests.get(name).copied().unwrap_or(Quantity::ZERO), capacity(name));
        let unit = |amount| Lack::unit(name, amount);
        (requested > capacity).then(|| {
            let (requested, capacity) = (unit(requested), unit(capacity));
            format!("Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}")
        })
    })
}

/// The containers whose resources may change: the main ones and sidecars.
fn resizable(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let sidecars = spec.init_containers.iter().flatten().filter(|init| role_of_init(init) == Role::Sidecar);
    sidecars.chain(&spec.containers)
}

/// CPU and memory of a container's requests and limits: what a resize can change.
fn sizes(resources: Option<&ResourceRequirements>) -> [Option<Quantity>; 4] {
    let of = |name, amounts| crate::api::rules::resources::amount_of(amounts, name);
    let (requests, limits) =
        (resources.and_then(|found| found.requests.as_ref()), resources.and_then(|found| found.limits.as_ref()));
    [of("cpu", requests), of("memory", requests), of("cpu", limits), of("memory", limits)]
}

/// What the containers of `old` have where `new` wants it otherwise.
pub(super) fn kept(old: &Pod, new: &Pod) -> BTreeMap<String, ResourceRequirements> {
    let (Some(old), Some(new)) = (&old.spec, &new.spec) else { return BTreeMap::new() };
    let pairs = resizable(new).filter_map(|new| Some((resizable(old).find(|old| old.name == new.name)?, new)));
    let changed = pairs.filter(|(old, new)| sizes(old.resources.as_ref()) != sizes(new.resources.as_ref()));
    changed.map(|(old, _)| (old.name.clone(), old.resources.clone().unwrap_or_default())).collect()
}

/// What the containers of a pod had when its status was written, where its spec wants it otherwise: an agent that begins
/// anew knows no other record of it.
pub(super) fn recorded(pod: &Pod) -> BTreeMap<String, ResourceRequirements> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let status = pod.status.as_ref();
    let found = resizable(spec).filter_map(|container| {
        let lists = status.map(|status| [&status.init_container_statuses, &status.container_statuses]);
        let mut all = lists.into_iter().flatten().flatten().flatten();
        let known = all.find(|known| known.name == container.name)?;
        let mut had = known.resources.clone()?;
        had.requests.clone_from(&known.allocated_resources);
        let changed = sizes(Some(&had)) != sizes(container.resources.as_ref());
        changed.then(|| (container.name.clone(), had))
    });
    found.collect()
}

/// The pod with what its containers have.
pub(super) fn granted(pod: &Arc<Pod>, allocated: &BTreeMap<String, ResourceRequirements>) -> Arc<Pod> {
    if allocated.is_empty() {
        return Arc::clone(pod);
    }
    let mut pod = Pod::clone(pod);
    let spec = pod.spec.get_or_insert_default();
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if let Some(had) = allocated.get(&container.name) {
            container.resources = Some(had.clone());
        }
    }
    Arc::new(pod)
}

/// Whether a container that has `now` must begin anew to have `wanted`.
pub(super) fn needs_restart(container: &Container, now: Limits, wanted: Limits) -> bool {
    let anew = |resource: &str| {
        let mut policies = container.resize_policy.iter().flatten();
        policies.any(|policy| policy.resource_name == resource && policy.restart_policy == "RestartContainer")
    };
    let cpu = (now.cpu_shares, now.cpu_quota) != (wanted.cpu_shares, wanted.cpu_quota);
    cpu && anew("cpu") || now.memory != wanted.memory && anew("memory")
}

/// The resources that a container has, as far as its runtime tells; `allocated` says how they are written.
pub(super) fn actual(allocated: &ResourceRequirements, now: Limits) -> ResourceRequirements {
    let wanted = Limits::of(allocated);
    let mut told = allocated.clone();
    let mut set = |is_limit: bool, name: &str, amount: Quantity| {
        let amounts = if is_limit { &mut told.limits } else { &mut told.requests };
        amounts.get_or_insert_default().insert(name.to_owned(), amount.into());
    };
    if now.cpu_shares != wanted.cpu_shares {
        set(false, "cpu", Quantity::from_milli((now.cpu_shares * 1000 + 1023) / 1024));
    }
    if let Some(quota) = now.cpu_quota.filter(|quota| Some(*quota) != wanted.cpu_quota) {
        set(true, "cpu", Quantity::from_milli(quota * 1000 / Limits::CPU_PERIOD));
    }
    if let Some(memory) = now.memory.filter(|memory| Some(*memory) != wanted.memory) {
        set(true, "memory", Quantity::new(memory, Format::BinarySi));
    }
    told
}

/// What events say of a resize: what is wanted, of which generation, and what stands in its way.
pub(super) fn told(pod: &Pod, generation: Option<i64>, error: Option<&str>) -> String {
    let spec = pod.spec.as_ref();
    let list = |containers: Vec<&Container>| -> Vec<Value> {
        let entry = |container: &Container| {
            let mut entry = Map::from_iter([("name".to_owned(), json!(container.name))]);
            let resources = container.resources.as_ref();
            let mut sizes = Map::new();
            for (kind, amounts) in [
                ("limits", resources.and_then(|resources| resources.limits.as_ref())),
                ("requests", resources.and_then(|resources| resources.requests.as_ref())),
            ] {
                if let Some(amounts) = amounts.filter(|amounts| !amounts.is_empty()) {
                    sizes.insert(kind.to_owned(), json!(amounts));
                }
            }
            entry.insert("resources".to_owned(), sizes.into());
            entry.into()
        };
        containers.into_iter().map(entry).collect()
    };
    let sidecars = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars: Vec<_> = sidecars.filter(|init| role_of_init(init) == Role::Sidecar).collect();
    let mut whole = Map::new();
    if !sidecars.is_empty() {
        whole.insert("initContainers".to_owned(), list(sidecars).into());
    }
    whole.insert("containers".to_owned(), list(spec.iter().flat_map(|spec| &spec.containers).collect()).into());
    whole.insert("generation".to_owned(), json!(generation.unwrap_or_default()));
    if let Some(error) = error {
        whole.insert("error".to_owned(), json!(error));
    }
    Value::Object(whole).to_string()
}
