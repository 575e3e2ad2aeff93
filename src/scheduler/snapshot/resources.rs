//! Amounts of resources, as the scheduler adds them up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};

use crate::api::Quantity;
use crate::api::rules::resources::Amounts;

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
    pub fn of(list: Option<&Amounts>) -> Self {
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
    /// containers need at their turn; its own requests before that of its containers; and its overhead. While it is being
    /// resized, the most of what it asks for, what its node has granted it and what its containers have; what it asks
    /// for does not count once its node has said that it will never have it.
    pub fn requested_by(pod: &Pod) -> Self {
        Self::requests(pod, Self::of)
    }

    /// As [`Resources::requested_by`], with defaults for containers that ask for no CPU or no memory: what nodes
    /// are compared by, so that pods which ask for nothing spread too.
    pub fn estimated_for(pod: &Pod) -> Self {
        Self::requests(pod, |list| {
            let mut requests = Self::of(list);
            if !has(list, "cpu") {
                requests.milli_cpu = DEFAULT_MILLI_CPU;
            }
            if !has(list, "memory") {
                requests.memory = DEFAULT_MEMORY;
            }
            requests
        })
    }

    /// [`Resources::requested_by`] and [`Resources::estimated_for`], which differ only for a pod with a container that
    /// does not ask for both.
    pub(super) fn requested_and_estimated(pod: &Pod) -> (Self, Self) {
        let requested = Self::requested_by(pod);
        let asks_for_both = |container| ["cpu", "memory"].iter().all(|name| has(asked(container), name));
        let estimated = if containers(pod).all(asks_for_both) && !is_being_resized(pod) {
            requested.clone()
        } else {
            Self::estimated_for(pod)
        };
        (requested, estimated)
    }

    fn requests<'a>(pod: &'a Pod, of: impl Fn(Option<&'a Amounts>) -> Self) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let mut total = Self::default();
        let resized = is_being_resized(pod);
        let refused = resized && is_refused(pod);
        if !refused {
            total = Self::of_containers(spec, |container| of(asked(container)));
        }
        if resized {
            let otherwise = |container| asked(container).filter(|_| !refused);
            let granted = |container: &'a Container| status_of(pod, container).and_then(granted);
            let had = |container: &'a Container| status_of(pod, container).and_then(had);
            total.raise_to(&Self::of_containers(spec, |one| of(granted(one).or_else(|| otherwise(one)))));
            total.raise_to(&Self::of_containers(spec, |one| of(had(one).or(granted(one)).or_else(|| otherwise(one)))));
        }
        let own = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        for (name, amount) in own.into_iter().flatten().map(|(name, _)| (name, Self::of(own).get(name))) {
            *total.slot(name) = amount;
        }
        total.add(&Self::of(spec.overhead.as_ref()));
        total
    }

    /// What the containers need together, if each needs what `of` says.
    fn of_containers<'a>(spec: &'a PodSpec, of: impl Fn(&'a Container) -> Self) -> Self {
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
        total
    }
}

/// Whether a container has been granted something else than it asks for, or has something else.
pub(super) fn is_being_resized(pod: &Pod) -> bool {
    let differs = |status: &ContainerStatus| {
        let container = containers(pod).find(|container| container.name == status.name);
        let mut told = [granted(status), had(status)].into_iter().flatten().filter(|amounts| !amounts.is_empty());
        container.is_some_and(|container| told.any(|amounts| asked(container) != Some(amounts)))
    };
    statuses(pod).any(differs)
}

/// Whether its node has said that it will never have what it asks for.
fn is_refused(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut pending = conditions.filter(|condition| condition.type_ == "PodResizePending");
    pending.next().is_some_and(|condition| condition.reason.as_deref() == Some("Infeasible"))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let lists = pod.status.iter().flat_map(|status| [&status.container_statuses, &status.init_container_statuses]);
    lists.flatten().flatten()
}

fn status_of<'a>(pod: &'a Pod, container: &Container) -> Option<&'a ContainerStatus> {
    statuses(pod).find(|status| status.name == container.name)
}

fn asked(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.requests.as_ref()
}

fn granted(status: &ContainerStatus) -> Option<&Amounts> {
    status.allocated_resources.as_ref()
}

fn had(status: &ContainerStatus) -> Option<&Amounts> {
    status.resources.as_ref()?.requests.as_ref()
}

fn has(list: Option<&Amounts>, name: &str) -> bool {
    list.is_some_and(|list| list.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_pod_is_resized_the_most_of_it_counts() {
        // What the container asks for, is granted and has, why the resize is pending; what counts, and as an estimate.
        let cases = [
            ("cpu: 2", "", "", "", 2000, 2000),
            ("cpu: 2", "cpu: 2", "cpu: 2", "", 2000, 2000),
            ("cpu: 1", "cpu: 2", "cpu: 2", "", 2000, 2000),
            ("cpu: 1", "cpu: 1", "cpu: 2", "", 2000, 2000),
            ("cpu: 1", "cpu: 2", "", "", 2000, 2000),
            ("cpu: 3", "cpu: 1", "cpu: 2", "Deferred", 3000, 3000),
            ("cpu: 3", "cpu: 1", "cpu: 2", "Infeasible", 2000, 2000),
            ("memory: 2", "memory: 1", "memory: 1", "", 0, DEFAULT_MILLI_CPU),
            ("cpu: 1", "memory: 1", "", "Infeasible", 0, DEFAULT_MILLI_CPU),
        ];
        for (asked, granted, had, pending, counts, estimated) in cases {
            let list = |name: &str, amounts: &str| match amounts {
                "" => String::new(),
                amounts => format!("{name}: {{{amounts}}}, "),
            };
            let (asked_for, has) = (list("requests", asked), list("requests", had));
            let granted_it = list("allocatedResources", granted);
            let pod: Pod = serde_yaml::from_str(&format!(
                "
spec: {{containers: [{{name: a, resources: {{{asked_for}}}}}]}}
status:
  conditions: [{{type: PodResizePending, status: 'True', reason: '{pending}'}}]
  containerStatuses: [{{name: a, {granted_it}resources: {{{has}}}, image: '', imageID: '', ready: true, restartCount: 0}}]
"
            ))
            .unwrap();
            let (requested, estimate) = Resources::requested_and_estimated(&pod);
            assert_eq!(
                (requested.milli_cpu, estimate.milli_cpu),
                (counts, estimated),
                "{asked}, {granted}, {had}, {pending}"
            );
        }
    }
}
