//! A node, with what is on it added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use super::{HostPort, PodInfo, Resources};

/// A node and the pods on it, with their sums.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node.
    pub node: Arc<Node>,
    /// What it has for pods.
    pub allocatable: Resources,
    /// What its pods ask for.
    pub requested: Resources,
    /// What its pods are taken to use when nodes are compared.
    pub estimate: Resources,
    /// The ports that its pods have taken.
    pub ports: Vec<HostPort>,
    /// The images that it has, with their sizes in bytes.
    pub images: Arc<BTreeMap<String, i64>>,
    pods: Vec<Arc<PodInfo>>,
    /// One for each pod, rising: by these a pod is found again among many.
    tickets: Vec<u64>,
    kinds: Vec<Kind>,
    /// How many of the pods have affinity of any kind, and how many have required anti-affinity.
    affine: (usize, usize),
}

/// Pods on a node that selectors do not tell apart.
#[derive(Clone, Debug)]
struct Kind {
    /// One of them.
    one: Arc<PodInfo>,
    count: usize,
}

impl Kind {
    fn includes(&self, pod: &PodInfo) -> bool {
        self.one.key.namespace == pod.key.namespace
            && self.one.is_terminating() == pod.is_terminating()
            && self.one.labels() == pod.labels()
    }
}

impl NodeInfo {
    /// A node without pods.
    pub fn new(node: Arc<Node>) -> Self {
        let mut info = Self {
            allocatable: Resources::default(),
            requested: Resources::default(),
            estimate: Resources::default(),
            ports: Vec::new(),
            images: Arc::default(),
            pods: Vec::new(),
            tickets: Vec::new(),
            kinds: Vec::new(),
            affine: (0, 0),
            node: Arc::clone(&node),
        };
        info.set_node(node);
        info
    }

    /// Sets a new version of the node; its pods stay.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let status = node.status.as_ref();
        self.allocatable = Resources::of(status.and_then(|status| status.allocatable.as_ref()));
        let images = status.and_then(|status| status.images.as_ref()).into_iter().flatten();
        let named = images.flat_map(|image| {
            let size = image.size_bytes.unwrap_or_default();
            image.names.iter().flatten().map(move |name| (name.clone(), size))
        });
        let images: BTreeMap<String, i64> = named.collect();
        if *self.images != images {
            self.images = Arc::new(images);
        }
        self.node = node;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.node.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its labels.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.node.metadata.labels.as_ref()
    }

    /// The value of one of its labels.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key).map(String::as_str)
    }

    /// Its taints.
    pub fn taints(&self) -> &[Taint] {
        self.node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }

    /// Whether it is closed for new pods.
    pub fn is_unschedulable(&self) -> bool {
        self.node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
    }

    /// The pods on it.
    pub fn pods(&self) -> &[Arc<PodInfo>] {
        &self.pods
    }

    /// How many of its pods `counts` holds for, which looks at nothing but the namespace, the labels, and whether the pod
    /// is being deleted.
    pub fn count(&self, counts: impl Fn(&PodInfo) -> bool) -> usize {
        self.kinds.iter().filter(|kind| counts(&kind.one)).map(|kind| kind.count).sum()
    }

    /// Whether `other` differs in nothing that decisions depend on: heartbeats, say, do not count.
    pub(super) fn is_like(&self, other: &Node) -> bool {
        fn read(node: &Node) -> impl PartialEq + '_ {
            let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
            (
                (&node.metadata.labels, &node.metadata.uid),
                spec.map(|spec| (&spec.taints, spec.unschedulable)),
                status.map(|status| (&status.allocatable, &status.images)),
            )
        }
        read(&self.node) == read(other)
    }

    /// Whether any of its pods has affinity or anti-affinity.
    pub fn has_affinity(&self) -> bool {
        self.affine.0 > 0
    }

    /// Whether any of its pods has required anti-affinity.
    pub fn has_anti_affinity(&self) -> bool {
        self.affine.1 > 0
    }

    /// Puts a pod on it. The ticket finds the pod again, for as long as it is there.
    pub fn add(&mut self, pod: Arc<PodInfo>) -> u64 {
        self.requested.add(&pod.requests);
        self.estimate.add(&pod.estimate);
        self.ports.extend(pod.ports.iter().cloned());
        self.affine.0 += usize::from(pod.has_affinity());
        self.affine.1 += usize::from(!pod.anti_affinity.is_empty());
        self.join(&pod);
        self.pods.push(pod);
        let ticket = self.tickets.last().map_or(0, |last| last + 1);
        self.tickets.push(ticket);
        ticket
    }

    /// Another version of a pod in place of the one with that ticket, which asks for the same.
    pub(super) fn replace(&mut self, ticket: u64, pod: &Arc<PodInfo>) {
        if let Ok(position) = self.tickets.binary_search(&ticket) {
            let old = std::mem::replace(&mut self.pods[position], Arc::clone(pod));
            self.leave(&old);
            self.join(pod);
        }
    }

    /// Counts a pod to those of its kind, and lets it stand for them: no older version of a pod is to be kept for that.
    fn join(&mut self, pod: &Arc<PodInfo>) {
        match self.kinds.iter_mut().find(|kind| kind.includes(pod)) {
            Some(kind) => {
                kind.one = Arc::clone(pod);
                kind.count += 1;
            }
            None => self.kinds.push(Kind { one: Arc::clone(pod), count: 1 }),
        }
    }

    /// The opposite, of a pod that is not on the node any more.
    fn leave(&mut self, pod: &Arc<PodInfo>) {
        let Some(at) = self.kinds.iter().position(|kind| kind.includes(pod)) else { return };
        let kind = &mut self.kinds[at];
        kind.count -= 1;
        if kind.count == 0 {
            self.kinds.remove(at);
        } else if Arc::ptr_eq(&kind.one, pod)
            // From the end: those that came first mostly go first.
            && let Some(other) = self.pods.iter().rev().find(|other| kind.includes(other))
        {
            kind.one = Arc::clone(other);
        }
    }

    /// Takes the pod with that ticket off it.
    pub(super) fn take(&mut self, ticket: u64) -> Option<Arc<PodInfo>> {
        self.tickets.binary_search(&ticket).ok().map(|position| self.remove_at(position))
    }

    /// Takes the pod of that UID off it.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        self.pods.iter().position(|pod| pod.uid() == uid).map(|position| self.remove_at(position))
    }

    fn remove_at(&mut self, position: usize) -> Arc<PodInfo> {
        let pod = self.pods.remove(position);
        self.tickets.remove(position);
        self.requested.subtract(&pod.requests);
        self.estimate.subtract(&pod.estimate);
        for port in &pod.ports {
            if let Some(taken) = self.ports.iter().position(|other| other == port) {
                self.ports.remove(taken);
            }
        }
        self.affine.0 -= usize::from(pod.has_affinity());
        self.affine.1 -= usize::from(!pod.anti_affinity.is_empty());
        self.leave(&pod);
        pod
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pod(namespace: u8, label: u8, terminating: bool) -> Arc<PodInfo> {
        let deleted = terminating.then_some("2026-01-01T00:00:00Z");
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "namespace": namespace.to_string(), "labels": {"app": label.to_string()}, "deletionTimestamp": deleted
        }}))
        .unwrap();
        Arc::new(PodInfo::new(Arc::new(pod)))
    }

    fn any_pod() -> impl Strategy<Value = Arc<PodInfo>> {
        (0..2_u8, 0..3_u8, any::<bool>()).prop_map(|(namespace, label, terminating)| pod(namespace, label, terminating))
    }

    proptest! {
        /// What is counted by kind is what counting the pods gives, whatever came and went before.
        #[test]
        fn counting_by_kind_is_counting(steps in prop::collection::vec((0..3_u8, any_pod(), any::<prop::sample::Index>()), 1..60)) {
            let mut node = NodeInfo::new(Arc::default());
            let mut tickets = Vec::new();
            for (step, pod, at) in steps {
                match step {
                    0 => tickets.push(node.add(pod)),
                    _ if tickets.is_empty() => {}
                    1 => node.replace(*at.get(&tickets), &pod),
                    _ => drop(node.take(tickets.remove(at.index(tickets.len())))),
                }
                for other in (0..2).flat_map(|namespace| (0..3).map(move |label| self::pod(namespace, label, false))) {
                    let counts = |pod: &PodInfo| {
                        pod.key == other.key && pod.labels() == other.labels() && !pod.is_terminating()
                    };
                    prop_assert_eq!(node.count(counts), node.pods().iter().filter(|pod| counts(pod)).count());
                }
                for kind in &node.kinds {
                    prop_assert!(node.pods.iter().any(|pod| Arc::ptr_eq(pod, &kind.one)), "a pod that has gone is kept");
                }
            }
        }
    }
}
