//! What the scheduler decides on: the nodes with their pods, as they are at one moment.

mod assume;
mod changes;
mod node_info;
mod pod_info;
mod resources;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub use self::assume::Cache;
use self::changes::Changes;
pub use self::changes::Moment;
pub use self::node_info::NodeInfo;
pub use self::pod_info::{Facts, HostPort, Namespaces, PodInfo, Term};
pub use self::resources::{DEFAULT_MEMORY, DEFAULT_MILLI_CPU, Resources};
use crate::api::rules::label::selector_matches;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// The cluster at one moment. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: Arc<Vec<Arc<NodeInfo>>>,
    by_name: Arc<HashMap<String, usize>>,
    /// The order in which nodes are tried, made when it is asked for.
    turns: Arc<OnceLock<Vec<usize>>>,
    changes: Arc<Changes>,
    /// On how many nodes each image is.
    images: Arc<BTreeMap<String, usize>>,
    /// On how many nodes each hostname is, and how many hostnames are on more than one.
    hostnames: Arc<HashMap<String, usize>>,
    shared_hostnames: usize,
    /// On how many nodes there are pods with affinity of any kind, and with required anti-affinity.
    affine: (usize, usize),
    /// Pods for which a node is being cleared, by the node's name; and the node's name by the pod's UID.
    nominated: Arc<HashMap<String, Vec<Arc<PodInfo>>>>,
    nominees: Arc<HashMap<String, String>>,
    /// The labels of each namespace.
    pub namespaces: Arc<Namespaces>,
    /// The disruption budgets.
    pub budgets: Arc<Vec<Arc<PodDisruptionBudget>>>,
    /// What services select, by namespace and name.
    pub services: Arc<BTreeMap<(String, String), LabelSelector>>,
    /// What workloads that own pods select, by UID.
    pub workloads: Arc<BTreeMap<String, LabelSelector>>,
}

impl Snapshot {
    /// A snapshot of these nodes (with the pods on them), and nothing else.
    pub fn new(nodes: impl IntoIterator<Item = NodeInfo>) -> Self {
        let mut snapshot = Self::default();
        for node in nodes {
            snapshot.insert(Arc::new(node));
        }
        snapshot
    }

    /// The nodes, in no order that means anything.
    pub fn nodes(&self) -> &[Arc<NodeInfo>] {
        &self.nodes
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.nodes.get(*self.by_name.get(name)?)
    }

    /// Where among [`Snapshot::nodes`] the node of that name is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The positions of the nodes in the order in which they are tried: by zone and name, then one of each zone in
    /// turn, so that a search which stops early has seen all zones.
    pub fn in_turn(&self) -> &[usize] {
        self.turns.get_or_init(|| {
            let mut zones: BTreeMap<(&str, &str), Vec<(&str, usize)>> = BTreeMap::new();
            for (position, node) in self.nodes.iter().enumerate() {
                let label = |key| node.label(key).unwrap_or_default();
                let zone = (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
                zones.entry(zone).or_default().push((node.name(), position));
            }
            zones.values_mut().for_each(|nodes| nodes.sort_unstable());
            let longest = zones.values().map(Vec::len).max().unwrap_or_default();
            let turns = (0..longest).flat_map(|turn| zones.values().filter_map(move |zone| zone.get(turn)));
            turns.map(|(_, position)| *position).collect()
        })
    }

    /// When this is.
    pub fn moment(&self) -> Moment {
        self.changes.now()
    }

    /// The positions of the nodes that have appeared, changed or moved since `then`, some of them perhaps more than
    /// once or beyond the last node. `None` where that is not known.
    pub fn changed_since(&self, then: &Moment) -> Option<impl Iterator<Item = usize> + '_> {
        self.changes.since(then)
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or_default()
    }

    /// Whether any pod has affinity or anti-affinity, of any strength.
    pub fn has_affinity(&self) -> bool {
        self.affine.0 > 0
    }

    /// Whether any pod has required anti-affinity.
    pub fn has_anti_affinity(&self) -> bool {
        self.affine.1 > 0
    }

    /// Whether the domains of a topology key are single nodes.
    pub fn is_node_key(&self, topology_key: &str) -> bool {
        topology_key == HOSTNAME && self.shared_hostnames == 0
    }

    /// The pods that are to be put on `node` once it has been cleared for them.
    pub fn nominated_to(&self, node: &str) -> &[Arc<PodInfo>] {
        self.nominated.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether any node is being cleared for a pod.
    pub fn has_nominated(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// Notes that `node` is being cleared for `pod`.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.withdraw(pod.uid());
        let nominated = Arc::make_mut(&mut self.nominated);
        nominated.entry(node.to_owned()).or_default().push(Arc::clone(pod));
        Arc::make_mut(&mut self.nominees).insert(pod.uid().to_owned(), node.to_owned());
        self.note_nomination(node);
    }

    /// No node is being cleared any more for the pod of that UID.
    pub fn withdraw(&mut self, uid: &str) {
        if !self.nominees.contains_key(uid) {
            return;
        }
        let Some(name) = Arc::make_mut(&mut self.nominees).remove(uid) else { return };
        let nominated = Arc::make_mut(&mut self.nominated);
        if let Some(pods) = nominated.get_mut(&name) {
            pods.retain(|other| other.uid() != uid);
            if pods.is_empty() {
                nominated.remove(&name);
            }
        }
        self.note_nomination(&name);
    }

    fn note_nomination(&mut self, node: &str) {
        if let Some(position) = self.position(node) {
            self.note(position);
        }
    }

    /// What selects the pods that belong with `pod`: the requirements of its services and of its workload. Pods
    /// that ask for nothing else are spread with these.
    pub fn group_selectors<'a>(&'a self, pod: &PodInfo) -> Vec<&'a LabelSelector> {
        let owner = pod.controller().and_then(|uid| self.workloads.get(uid));
        if self.services.is_empty() {
            return owner.into_iter().collect();
        }
        let namespace = &pod.key.namespace;
        let services = self.services.range((namespace.clone(), String::new())..);
        let services = services.take_while(|((other, _), _)| other == namespace).map(|(_, selector)| selector);
        services.filter(|selector| selector_matches(selector, pod.labels())).chain(owner).collect()
    }

    /// This without the nodes: what is around them.
    pub(in crate::scheduler) fn surroundings(&self) -> Self {
        Self {
            shared_hostnames: self.shared_hostnames,
            affine: self.affine,
            namespaces: Arc::clone(&self.namespaces),
            services: Arc::clone(&self.services),
            workloads: Arc::clone(&self.workloads),
            ..Self::default()
        }
    }

    /// Whether the same is around the nodes of `other`.
    pub(in crate::scheduler) fn has_surroundings_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.namespaces, &other.namespaces)
            && Arc::ptr_eq(&self.services, &other.services)
            && Arc::ptr_eq(&self.workloads, &other.workloads)
            && self.counts_like(other)
    }

    /// Whether affinity between pods matters in both, and hostnames are single nodes in both, or in neither.
    pub(in crate::scheduler) fn counts_like(&self, other: &Self) -> bool {
        self.has_affinity() == other.has_affinity() && (self.shared_hostnames == 0) == (other.shared_hostnames == 0)
    }

    fn note(&mut self, position: usize) {
        Arc::make_mut(&mut self.changes).note(position, self.nodes.len());
    }

    fn insert(&mut self, node: Arc<NodeInfo>) {
        self.count(&node, true);
        let position = self.nodes.len();
        Arc::make_mut(&mut self.by_name).insert(node.name().to_owned(), position);
        Arc::make_mut(&mut self.nodes).push(node);
        self.turns = Arc::default();
        self.note(position);
    }

    fn remove(&mut self, name: &str) {
        let Some(position) = Arc::make_mut(&mut self.by_name).remove(name) else { return };
        let gone = Arc::make_mut(&mut self.nodes).swap_remove(position);
        self.count(&gone, false);
        if let Some(moved) = self.nodes.get(position) {
            Arc::make_mut(&mut self.by_name).insert(moved.name().to_owned(), position);
        }
        self.turns = Arc::default();
        self.note(position);
        self.note(self.nodes.len());
    }

    /// Sets another version of the node at `position`.
    fn set_node(&mut self, position: usize, node: Arc<k8s_openapi::api::core::v1::Node>) {
        let alike = self.nodes[position].is_like(&node);
        let before = Arc::clone(&self.nodes[position]);
        self.count(&before, false);
        if before.node.metadata.labels != node.metadata.labels {
            self.turns = Arc::default();
        }
        drop(before);
        Arc::make_mut(&mut Arc::make_mut(&mut self.nodes)[position]).set_node(node);
        let after = Arc::clone(&self.nodes[position]);
        self.count(&after, true);
        if !alike {
            self.note(position);
        }
    }

    /// Changes the pods on the node of that name; `matters`: in a way that decisions depend on.
    fn change_pods<T>(&mut self, name: &str, matters: bool, change: impl FnOnce(&mut NodeInfo) -> T) -> Option<T> {
        let position = *self.by_name.get(name)?;
        let node = Arc::make_mut(Arc::make_mut(&mut self.nodes).get_mut(position)?);
        let before = (node.has_affinity(), node.has_anti_affinity());
        let result = change(node);
        self.affine.0 = self.affine.0 + usize::from(node.has_affinity()) - usize::from(before.0);
        self.affine.1 = self.affine.1 + usize::from(node.has_anti_affinity()) - usize::from(before.1);
        if matters {
            self.note(position);
        }
        Some(result)
    }

    /// Counts a node in or out.
    fn count(&mut self, node: &NodeInfo, here: bool) {
        let change = |count: &mut usize| *count = if here { *count + 1 } else { count.saturating_sub(1) };
        if node.has_affinity() {
            change(&mut self.affine.0);
        }
        if node.has_anti_affinity() {
            change(&mut self.affine.1);
        }
        if let Some(hostname) = node.label(HOSTNAME) {
            let hostnames = Arc::make_mut(&mut self.hostnames);
            let count = hostnames.entry(hostname.to_owned()).or_default();
            let shared = *count > 1;
            change(count);
            self.shared_hostnames = self.shared_hostnames + usize::from(*count > 1) - usize::from(shared);
            if *count == 0 {
                hostnames.remove(hostname);
            }
        }
        if node.images.is_empty() {
            return;
        }
        let images = Arc::make_mut(&mut self.images);
        for name in node.images.keys() {
            let count = images.entry(name.clone()).or_default();
            change(count);
            if *count == 0 {
                images.remove(name);
            }
        }
    }
}
