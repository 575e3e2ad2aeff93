//! Amounts of resources, as the scheduler adds them up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::api::Quantity;

/// What a container without a CPU request is taken to use when nodes are compared, in thousandths.
pub const DEFAULT_MILLI_CPU: i64 = 100;
/// What a container without a memory request is taken to use when nodes are compared.
pub const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources: what a pod asks for, what a node has, what is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU time in thousandths.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Local disk in bytes.
    pub ephemeral_storage: i64,
    /// A number of pods.
    pub pods: i64,
    /// Everything else: huge pages, devices.
    pub scalar: BTreeMap<String, i64>,
}

impl Resources {
    /// The amounts of a resource list. What is no quantity counts as nothing.
    pub fn of(list: Option<&BTreeMap<String, Text>>) -> Self {
        let mut resources = Self::default();
        for (name, text) in list.into_iter().flatten() {
            let quantity = Quantity::try_from(text).unwrap_or_default();
            let amount = if name == "cpu" { quantity.milli_value() } else { quantity.value() };
            *resources.slot(name) = amount;
        }
        resources
    }

    fn slot(&mut self, name: &str) -> &mut i64 {
        match name {
            "cpu" => &mut self.milli_cpu,
            "memory" => &mut self.memory,
            "ephemeral-storage" => &mut self.ephemeral_storage,
            "pods" => &mut self.pods,
            _ => self.scalar.entry(name.to_owned()).or_default(),
        }
    }

    /// The amount of the resource `name`.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            "pods" => self.pods,
            _ => self.scalar.get(name).copied().unwrap_or_default(),
        }
    }

    /// All resources but pods, with their amounts, in the order in which shortages are reported.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        [("cpu", self.milli_cpu), ("memory", self.memory), ("ephemeral-storage", self.ephemeral_storage)]
            .into_iter()
            .chain(self.scalar.iter().map(|(name, amount)| (name.as_str(), *amount)))
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = combine(self.milli_cpu, other.milli_cpu);
        self.memory = combine(self.memory, other.memory);
        self.ephemeral_storage = combine(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let mine = self.scalar.entry(name.clone()).or_default();
            *mine = combine(*mine, *amount);
        }
    }

    /// Adds `other`, pods aside.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes `other` away, pods aside.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Raises each amount to that of `other` where that is more.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// What `pod` asks for: the sum over its containers and sidecars, or (where that is more) what its init
    /// containers need at their turn; its own requests before that of its containers; and its overhead.
    pub fn requested_by(pod: &Pod) -> Self {
        Self::requests(pod, container_requests)
    }

    /// As [`Resources::requested_by`], with defaults for containers that ask for no CPU or no memory: what nodes
    /// are compared by, so that pods which ask for nothing spread too.
    pub fn estimated_for(pod: &Pod) -> Self {
        Self::requests(pod, |container| {
            let mut requests = container_requests(container);
            if !asks(container, "cpu") {
                requests.milli_cpu = DEFAULT_MILLI_CPU;
            }
            if !asks(container, "memory") {
                requests.memory = DEFAULT_MEMORY;
            }
            requests
        })
    }

    /// [`Resources::requested_by`] and [`Resources::estimated_for`], which differ only for a pod with a container that
    /// does not ask for both.
    pub(super) fn requested_and_estimated(pod: &Pod) -> (Self, Self) {
        let requested = Self::requested_by(pod);
        let mut containers =
            pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let estimated = if containers.all(|container| asks(container, "cpu") && asks(container, "memory")) {
            requested.clone()
        } else {
            Self::estimated_for(pod)
        };
        (requested, estimated)
    }

    fn requests<'a>(pod: &'a Pod, of: impl Fn(&'a Container) -> Self) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let mut total = Self::default();
        for container in &spec.containers {
            total.add(&of(container));
        }
        let mut sidecars = Self::default();
        let mut starting = Self::default();
        for container in spec.init_containers.iter().flatten() {
            let mut needed = of(container);
            if container.restart_policy.as_deref() == Some("Always") {
                total.add(&needed);
                sidecars.add(&needed);
                needed = sidecars.clone();
            } else {
                needed.add(&sidecars);
            }
            starting.raise_to(&needed);
        }
        total.raise_to(&starting);
        let own = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        for (name, amount) in own.into_iter().flatten().map(|(name, _)| (name, Self::of(own).get(name))) {
            *total.slot(name) = amount;
        }
        total.add(&Self::of(spec.overhead.as_ref()));
        total
    }
}

fn asks(container: &Container, name: &str) -> bool {
    container.resources.iter().flat_map(|resources| &resources.requests).any(|list| list.contains_key(name))
}

fn container_requests(container: &Container) -> Resources {
    Resources::of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}
