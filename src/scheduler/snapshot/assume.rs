//! The cluster as it will be: what the API server says, and what the scheduler has decided but not yet been
//! told of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use super::{NodeInfo, PodInfo, Snapshot};

struct Placed {
    pod: Arc<PodInfo>,
    node: String,
    /// Decided here, not yet seen from the API server.
    assumed: bool,
}

/// The current cluster, from which snapshots are taken. A pod counts on its node from the moment it was decided
/// ([`Cache::assume`]), so that the next decision knows of it.
#[derive(Default)]
pub struct Cache {
    snapshot: Snapshot,
    /// By UID.
    pods: BTreeMap<String, Placed>,
    /// UIDs by node; also of nodes that are not known (yet, or any more).
    by_node: BTreeMap<String, BTreeSet<String>>,
    disordered: bool,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (nodes, pods) = (self.snapshot.nodes.len(), self.pods.len());
        f.debug_struct("Cache").field("nodes", &nodes).field("pods", &pods).finish_non_exhaustive()
    }
}

impl Cache {
    /// The cluster now.
    pub fn snapshot(&mut self) -> Snapshot {
        if std::mem::take(&mut self.disordered) {
            self.snapshot.reorder();
        }
        self.snapshot.clone()
    }

    /// What snapshots say beside nodes and pods, to change.
    pub fn surroundings(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// A node appeared or changed.
    pub fn set_node(&mut self, node: &Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        if let Some(known) = self.snapshot.node(&name) {
            self.disordered |= known.node.metadata.labels != node.metadata.labels;
            self.snapshot.change(&name, |info| info.set_node(Arc::clone(node)));
            return;
        }
        let mut info = NodeInfo::new(Arc::clone(node));
        for uid in self.by_node.get(&name).into_iter().flatten() {
            info.add(Arc::clone(&self.pods[uid].pod));
        }
        self.snapshot.insert(Arc::new(info));
        self.disordered = true;
    }

    /// A node went. Its pods are remembered until they go too.
    pub fn remove_node(&mut self, name: &str) {
        self.snapshot.remove(name);
        self.disordered = true;
    }

    /// The API server has `pod` on its node.
    pub fn set_pod(&mut self, pod: &Arc<PodInfo>) {
        match pod.node() {
            Some(node) => self.place(pod, node, false),
            None => self.remove_pod(pod.uid()),
        }
    }

    /// It was decided that `pod` goes to `node`.
    pub fn assume(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.place(pod, node, true);
    }

    /// A decision did not come true. What the API server has said since stays.
    pub fn forget(&mut self, uid: &str) {
        if self.pods.get(uid).is_some_and(|placed| placed.assumed) {
            self.remove_pod(uid);
        }
    }

    /// The pod of that UID, where it has a node, be it only decided; and whether it is only decided.
    pub fn pod(&self, uid: &str) -> Option<(&Arc<PodInfo>, bool)> {
        self.pods.get(uid).map(|placed| (&placed.pod, placed.assumed))
    }

    /// A pod went, or ended.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some(placed) = self.pods.remove(uid) else { return };
        if let Some(uids) = self.by_node.get_mut(&placed.node) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_node.remove(&placed.node);
            }
        }
        self.snapshot.change(&placed.node, |info| {
            info.remove(uid);
        });
    }

    fn place(&mut self, pod: &Arc<PodInfo>, node: &str, assumed: bool) {
        self.remove_pod(pod.uid());
        self.snapshot.change(node, |info| info.add(Arc::clone(pod)));
        self.by_node.entry(node.to_owned()).or_default().insert(pod.uid().to_owned());
        self.pods.insert(pod.uid().to_owned(), Placed { pod: Arc::clone(pod), node: node.to_owned(), assumed });
    }
}
