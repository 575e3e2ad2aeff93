//! A pod, with what the scheduler reads of it worked out once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Resources;
use super::resources::is_being_resized;
use crate::api::kinds::core::pod::is_terminal;
use crate::api::rules::label::selector_matches;
use crate::client::ObjectRef;

/// A port of the node that a pod wants for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `0.0.0.0` for all.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The port.
    pub port: i32,
}

/// A term of a pod's affinity (or anti-affinity) to other pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Term {
    /// Which pods; `None` matches nothing.
    pub selector: Option<LabelSelector>,
    /// In which namespaces.
    pub namespaces: BTreeSet<String>,
    /// And in namespaces with such labels.
    pub namespace_selector: Option<LabelSelector>,
    /// The node label whose values are the domains.
    pub topology_key: String,
}

/// The labels of each namespace.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// One version of a pod, with what the scheduler reads of it worked out once ([`Facts`], to which it dereferences).
/// Cheap to share, never changed.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod.
    pub pod: Arc<Pod>,
    facts: Arc<Facts>,
}

/// What the scheduler reads of a pod's name, labels and spec. Versions that differ in none of these share it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The pod's namespace and name.
    pub key: ObjectRef,
    /// What it asks for.
    pub requests: Resources,
    /// What it is taken to use when nodes are compared.
    pub estimate: Resources,
    /// The ports of the node that it wants.
    pub ports: Vec<HostPort>,
    /// Terms that must hold.
    pub affinity: Vec<Term>,
    /// Terms that must not hold.
    pub anti_affinity: Vec<Term>,
    /// Terms that should hold (positive weight) or should not (negative).
    pub preferences: Vec<(i64, Term)>,
    /// A number that all pods of its class share, and others hardly do.
    class: u64,
}

/// FNV-1a over what tells classes of pods apart most often.
fn class_of(pod: &Pod) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    add(pod.metadata.namespace.as_deref().unwrap_or_default());
    pod.metadata.labels.iter().flatten().for_each(|(key, value)| {
        add(key);
        add(value);
    });
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        add(container.image.as_deref().unwrap_or_default());
        let requests = container.resources.iter().filter_map(|resources| resources.requests.as_ref()).flatten();
        requests.for_each(|(name, amount)| {
            add(name);
            add(&amount.0);
        });
    }
    hash
}

impl HostPort {
    fn conflicts(&self, other: &Self) -> bool {
        let any = "0.0.0.0";
        (self.port, &self.protocol) == (other.port, &other.protocol)
            && (self.ip == other.ip || self.ip == any || other.ip == any)
    }

    /// Whether a pod with the ports `wanted` has to keep off a node where `taken` are in use.
    pub fn any_conflict(wanted: &[Self], taken: &[Self]) -> bool {
        wanted.iter().any(|port| taken.iter().any(|other| port.conflicts(other)))
    }
}

impl Term {
    fn of(term: &PodAffinityTerm, namespace: &str) -> Self {
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().flatten().cloned().collect();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        Self {
            selector: term.label_selector.clone(),
            namespaces,
            namespace_selector: term.namespace_selector.clone(),
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether `pod` is one of the pods that the term is about.
    pub fn matches(&self, pod: &PodInfo, namespaces: &Namespaces) -> bool {
        let namespace = &pod.key.namespace;
        let here = self.namespaces.contains(namespace)
            || self.namespace_selector.as_ref().is_some_and(|s| selector_matches(s, namespaces.get(namespace)));
        here && self.selector.as_ref().is_some_and(|selector| selector_matches(selector, pod.labels()))
    }
}

impl Deref for PodInfo {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Facts {
    fn of(pod: &Pod) -> Self {
        let key = ObjectRef::of(&pod.metadata);
        let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
        let toward = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
        let away = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let terms = |terms: Option<&Vec<PodAffinityTerm>>| {
            terms.into_iter().flatten().map(|term| Term::of(term, &key.namespace)).collect::<Vec<_>>()
        };
        let preferred = |terms: &Option<Vec<k8s_openapi::api::core::v1::WeightedPodAffinityTerm>>, sign: i64| {
            let terms = terms.iter().flatten();
            terms
                .map(|term| (sign * i64::from(term.weight), Term::of(&term.pod_affinity_term, &key.namespace)))
                .collect::<Vec<_>>()
        };
        let mut preferences =
            toward.map(|a| preferred(&a.preferred_during_scheduling_ignored_during_execution, 1)).unwrap_or_default();
        preferences.extend(
            away.map(|a| preferred(&a.preferred_during_scheduling_ignored_during_execution, -1)).unwrap_or_default(),
        );
        let (requests, estimate) = Resources::requested_and_estimated(pod);
        Self {
            requests,
            estimate,
            ports: host_ports(pod),
            affinity: terms(toward.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            anti_affinity: terms(away.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            preferences,
            class: class_of(pod),
            key,
        }
    }
}

impl PodInfo {
    /// Works out what the scheduler reads of `pod`.
    pub fn new(pod: Arc<Pod>) -> Self {
        let facts = Arc::new(Facts::of(&pod));
        Self { pod, facts }
    }

    /// As [`PodInfo::new`], for `pod` that may be another version of this one: what is known is not worked out again
    /// where the generation tells that the spec is the same, the labels are, and neither is being resized. (A binding
    /// changes nothing of that: nothing here depends on the node.)
    #[must_use]
    pub fn with_version(&self, pod: Arc<Pod>) -> Self {
        let (old, new) = (&self.pod.metadata, &pod.metadata);
        let same = new.generation.is_some_and(|generation| generation > 0)
            && (&old.uid, old.generation, &old.labels) == (&new.uid, new.generation, &new.labels)
            && ![&self.pod, &pod].into_iter().any(|version| is_being_resized(version));
        if same { Self { pod, facts: Arc::clone(&self.facts) } } else { Self::new(pod) }
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its labels.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.pod.metadata.labels.as_ref()
    }

    /// Its spec; `None` only for a pod that no server has seen.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// Its priority.
    pub fn priority(&self) -> i32 {
        self.spec().and_then(|spec| spec.priority).unwrap_or_default()
    }

    /// Its tolerations.
    pub fn tolerations(&self) -> &[Toleration] {
        self.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
    }

    /// The node that it is on; `None` while it waits for one.
    pub fn node(&self) -> Option<&str> {
        self.spec().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
    }

    /// The node that was cleared for it by preemption.
    pub fn nominated_node(&self) -> Option<&str> {
        let status = self.pod.status.as_ref()?;
        status.nominated_node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// The UID of the controller that it belongs to.
    pub fn controller(&self) -> Option<&str> {
        let owners = self.pod.metadata.owner_references.iter().flatten();
        owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
    }

    /// When it was started.
    pub fn start_time(&self) -> Option<jiff::Timestamp> {
        Some(self.pod.status.as_ref()?.start_time.as_ref()?.0)
    }

    /// Whether `other`, another version of it, takes the same of its node.
    pub(super) fn takes_the_same(&self, other: &Self) -> bool {
        fn rules(facts: &Facts) -> impl PartialEq + '_ {
            (&facts.affinity, &facts.anti_affinity, &facts.preferences)
        }
        Arc::ptr_eq(&self.facts, &other.facts)
            || ((&self.requests, &self.estimate, &self.ports) == (&other.requests, &other.estimate, &other.ports)
                && rules(self) == rules(other))
    }

    /// Whether `other`, another version of it, is the same to other pods.
    pub(super) fn looks_the_same(&self, other: &Self) -> bool {
        self.labels() == other.labels()
            && self.is_terminating() == other.is_terminating()
            && self.priority() == other.priority()
            && self.start_time() == other.start_time()
    }

    /// Whether no plugin that says what it reads ([`Reads`](crate::scheduler::framework::Reads)) can tell it from
    /// `other`: they are of one namespace and one controller, and have the same labels, requests, ports, images,
    /// priority and rules about where they go.
    pub fn is_of_the_class_of(&self, other: &Self) -> bool {
        fn rules(spec: &PodSpec) -> impl PartialEq + '_ {
            (
                (&spec.node_selector, &spec.affinity, &spec.tolerations, &spec.topology_spread_constraints),
                (&spec.priority, &spec.preemption_policy, &spec.node_name),
            )
        }
        fn images(spec: &PodSpec) -> impl Iterator<Item = Option<&String>> {
            let init = spec.init_containers.iter().flatten();
            init.chain(&spec.containers).map(|container| container.image.as_ref())
        }
        let same_spec = || match (self.spec(), other.spec()) {
            (Some(one), Some(other)) => rules(one) == rules(other) && images(one).eq(images(other)),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.class == other.class
            && self.key.namespace == other.key.namespace
            && self.labels() == other.labels()
            && self.controller() == other.controller()
            && (&self.requests, &self.estimate, &self.ports) == (&other.requests, &other.estimate, &other.ports)
            && same_spec()
    }

    /// Whether it has affinity or anti-affinity to other pods, of any strength.
    pub fn has_affinity(&self) -> bool {
        !(self.affinity.is_empty() && self.anti_affinity.is_empty() && self.preferences.is_empty())
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has run to its end: it then takes no room any more.
    pub fn has_ended(&self) -> bool {
        is_terminal(&self.pod)
    }
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            Some(HostPort { ip, protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port: number })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn version(generation: Option<i64>, label: &str, cpu: &str) -> Arc<Pod> {
        let resources = json!({"requests": {"cpu": cpu}});
        let pod: Value = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "1", "generation": generation, "labels": {"app": label}},
            "spec": {"containers": [{"name": "web", "image": "web", "resources": resources}]}
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn an_estimate_is_what_is_asked_for_and_defaults_for_the_rest() {
        let containers = ["{cpu: 1, memory: 1Gi}", "{cpu: 1}", "{memory: 1Gi}", "{}"];
        let spec = |asked: &[&str], starting: &[&str]| {
            let list = |all: &[&str]| {
                let one =
                    |(at, requests): (usize, &&str)| format!("{{name: c{at}, resources: {{requests: {requests}}}}}");
                all.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
            };
            format!("{{spec: {{containers: [{}], initContainers: [{}]}}}}", list(asked), list(starting))
        };
        let both = containers[0];
        let each = containers.iter().flat_map(|one| [spec(&[both, one], &[both]), spec(&[both], &[one, both])]);
        for text in each {
            let pod: Arc<Pod> = Arc::new(serde_yaml::from_str(&text).unwrap());
            let known = PodInfo::new(Arc::clone(&pod));
            let apart = (Resources::requested_by(&pod), Resources::estimated_for(&pod));
            assert_eq!((&known.requests, &known.estimate), (&apart.0, &apart.1), "{text}");
        }
    }

    #[test]
    fn what_is_known_of_a_version_is_that_of_the_next_where_generation_and_labels_are() {
        let shares = |old: Arc<Pod>, new: Arc<Pod>| {
            let (old, anew) = (PodInfo::new(old), PodInfo::new(Arc::clone(&new)));
            let new = old.with_version(new);
            assert_eq!((&new.requests, new.class, &new.key), (&anew.requests, anew.class, &anew.key));
            Arc::ptr_eq(&old.facts, &new.facts)
        };
        assert!(shares(version(Some(1), "web", "1"), version(Some(1), "web", "1")));
        assert!(!shares(version(Some(1), "web", "1"), version(Some(2), "web", "2")), "a resize");
        assert!(!shares(version(Some(1), "web", "1"), version(Some(1), "other", "1")), "other labels");
        assert!(!shares(version(None, "web", "1"), version(None, "web", "2")), "a server that does not count");
    }
}
