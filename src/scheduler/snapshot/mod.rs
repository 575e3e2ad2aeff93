//! What the scheduler decides on: the nodes with their pods, as they are at one moment.

mod assume;
mod node_info;
mod pod_info;
mod resources;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub use self::assume::Cache;
pub use self::node_info::NodeInfo;
pub use self::pod_info::{HostPort, Namespaces, PodInfo, Term};
pub use self::resources::{DEFAULT_MEMORY, DEFAULT_MILLI_CPU, Resources};
use crate::api::rules::label::selector_matches;

/// The cluster at one moment. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Nodes in the order in which they are tried: one of each zone in turn.
    nodes: Arc<Vec<Arc<NodeInfo>>>,
    by_name: Arc<BTreeMap<String, usize>>,
    /// On how many nodes each image is.
    images: Arc<BTreeMap<String, usize>>,
    /// The labels of each namespace.
    pub namespaces: Arc<Namespaces>,
    /// The disruption budgets.
    pub budgets: Arc<Vec<Arc<PodDisruptionBudget>>>,
    /// Pods for which a node is being cleared, by the node's name.
    pub nominated: Arc<BTreeMap<String, Vec<Arc<PodInfo>>>>,
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
        snapshot.reorder();
        snapshot
    }

    /// The nodes, in the order in which they are tried.
    pub fn nodes(&self) -> &[Arc<NodeInfo>] {
        &self.nodes
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.nodes.get(*self.by_name.get(name)?)
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or_default()
    }

    /// The pods that are to be put on `node` once it has been cleared for them.
    pub fn nominated_to(&self, node: &str) -> &[Arc<PodInfo>] {
        self.nominated.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// What selects the pods that belong with `pod`: the requirements of its services and of its workload. Pods
    /// that ask for nothing else are spread with these.
    pub fn group_selectors<'a>(&'a self, pod: &PodInfo) -> Vec<&'a LabelSelector> {
        let namespace = &pod.key.namespace;
        let services = self.services.range((namespace.clone(), String::new())..);
        let services = services.take_while(|((other, _), _)| other == namespace).map(|(_, selector)| selector);
        let owner = pod.pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        services
            .filter(|selector| selector_matches(selector, pod.labels()))
            .chain(owner.and_then(|owner| self.workloads.get(&owner.uid)))
            .collect()
    }

    fn insert(&mut self, node: Arc<NodeInfo>) {
        self.count_images(&node.images, true);
        let position = self.nodes.len();
        Arc::make_mut(&mut self.by_name).insert(node.name().to_owned(), position);
        Arc::make_mut(&mut self.nodes).push(node);
    }

    fn remove(&mut self, name: &str) {
        let Some(position) = Arc::make_mut(&mut self.by_name).remove(name) else { return };
        let gone = Arc::make_mut(&mut self.nodes).swap_remove(position);
        self.count_images(&gone.images, false);
        if let Some(moved) = self.nodes.get(position) {
            Arc::make_mut(&mut self.by_name).insert(moved.name().to_owned(), position);
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut NodeInfo)) {
        let Some(position) = self.by_name.get(name) else { return };
        let Some(node) = Arc::make_mut(&mut self.nodes).get_mut(*position) else { return };
        let before = Arc::clone(&node.images);
        change(Arc::make_mut(node));
        let after = Arc::clone(&node.images);
        if !Arc::ptr_eq(&before, &after) {
            self.count_images(&before, false);
            self.count_images(&after, true);
        }
    }

    fn count_images(&mut self, images: &BTreeMap<String, i64>, here: bool) {
        if images.is_empty() {
            return;
        }
        let counts = Arc::make_mut(&mut self.images);
        for name in images.keys() {
            let count = counts.entry(name.clone()).or_default();
            *count = if here { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                counts.remove(name);
            }
        }
    }

    /// Orders the nodes: by zone and name, then one of each zone in turn, so that a search which stops early has
    /// seen all zones.
    fn reorder(&mut self) {
        let mut zones: BTreeMap<(String, String), Vec<Arc<NodeInfo>>> = BTreeMap::new();
        for position in self.by_name.values() {
            let node = &self.nodes[*position];
            let label = |key| node.label(key).unwrap_or_default().to_owned();
            let zone = (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
            zones.entry(zone).or_default().push(Arc::clone(node));
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or_default();
        let turns = (0..longest).flat_map(|turn| zones.values().filter_map(move |zone| zone.get(turn)));
        self.nodes = Arc::new(turns.cloned().collect());
        let names = self.nodes.iter().enumerate().map(|(position, node)| (node.name().to_owned(), position));
        self.by_name = Arc::new(names.collect());
    }
}
