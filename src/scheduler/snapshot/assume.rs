//! The cluster as it will be: what the API server says, and what the scheduler has decided but not yet been
//! told of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use k8s_openapi::api::core::v1::Node;

use super::{NodeInfo, PodInfo, Snapshot};

struct Placed {
    pod: Arc<PodInfo>,
    node: String,
    /// Where it is among the pods of its node; `None` while the node is not known.
    ticket: Option<u64>,
    /// Decided here, not yet seen from the API server.
    assumed: bool,
}

/// The current cluster, from which snapshots are taken. A pod counts on its node from the moment it was decided
/// ([`Cache::assume`]), so that the next decision knows of it.
#[derive(Default)]
pub struct Cache {
    snapshot: Snapshot,
    /// By UID.
    pods: HashMap<String, Placed>,
    /// UIDs of pods on nodes that are not known (yet, or any more), by node.
    elsewhere: BTreeMap<String, BTreeSet<String>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (nodes, pods) = (self.snapshot.nodes.len(), self.pods.len());
        f.debug_struct("Cache").field("nodes", &nodes).field("pods", &pods).finish_non_exhaustive()
    }
}

impl Cache {
    /// The cluster now. Changes are cheap while no snapshot is held.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// What snapshots say beside nodes and pods, to change.
    pub fn surroundings(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// A node appeared or changed.
    pub fn set_node(&mut self, node: &Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        if let Some(position) = self.snapshot.position(&name) {
            return self.snapshot.set_node(position, Arc::clone(node));
        }
        let mut info = NodeInfo::new(Arc::clone(node));
        for uid in self.elsewhere.remove(&name).into_iter().flatten() {
            if let Some(placed) = self.pods.get_mut(&uid) {
                placed.ticket = Some(info.add(Arc::clone(&placed.pod)));
            }
        }
        self.snapshot.insert(Arc::new(info));
    }

    /// A node went. Its pods are remembered until they go too.
    pub fn remove_node(&mut self, name: &str) {
        let Some(node) = self.snapshot.node(name) else { return };
        let uids: BTreeSet<String> = node.pods().iter().map(|pod| pod.uid().to_owned()).collect();
        self.snapshot.remove(name);
        for uid in &uids {
            if let Some(placed) = self.pods.get_mut(uid) {
                placed.ticket = None;
            }
        }
        if !uids.is_empty() {
            self.elsewhere.insert(name.to_owned(), uids);
        }
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
        if let Some(ticket) = placed.ticket {
            self.snapshot.change_pods(&placed.node, true, |info| info.take(ticket));
        } else if let Some(uids) = self.elsewhere.get_mut(&placed.node) {
            uids.remove(uid);
            if uids.is_empty() {
                self.elsewhere.remove(&placed.node);
            }
        }
    }

    fn place(&mut self, pod: &Arc<PodInfo>, node: &str, assumed: bool) {
        if let Some(placed) = self.pods.get_mut(pod.uid())
            && placed.node == node
            && let Some(ticket) = placed.ticket
            && placed.pod.takes_the_same(pod)
        {
            // As a rule this is a decision come true: nothing changes for anybody else.
            let matters = !placed.pod.looks_the_same(pod);
            (placed.pod, placed.assumed) = (Arc::clone(pod), assumed);
            self.snapshot.change_pods(node, matters, |info| info.replace(ticket, pod));
            return;
        }
        self.remove_pod(pod.uid());
        let ticket = self.snapshot.change_pods(node, true, |info| info.add(Arc::clone(pod)));
        if ticket.is_none() {
            self.elsewhere.entry(node.to_owned()).or_default().insert(pod.uid().to_owned());
        }
        let placed = Placed { pod: Arc::clone(pod), node: node.to_owned(), ticket, assumed };
        self.pods.insert(pod.uid().to_owned(), placed);
    }
}
