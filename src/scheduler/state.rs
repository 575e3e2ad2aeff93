//! What the loop knows of the cluster and of the pods that wait. Nobody else touches it, so it needs no lock, and no
//! snapshot is held when it changes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::Unplaced;
use super::follow::{News, World};
use super::framework::{ClusterEvent, Nomination};
use super::queue::{Queue, Waits};
use super::snapshot::{Cache, PodInfo};
use crate::api::kinds::core::pod::is_terminal;

#[derive(Debug)]
pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) queue: Queue,
}

impl State {
    pub(super) fn new(waits: Waits) -> Self {
        Self { cache: Cache::default(), queue: Queue::new(waits) }
    }

    pub(super) fn hear(&mut self, news: News, world: &World) {
        match news {
            News::Pod { pod, exists, nominated_before } => {
                self.pod_changed(pod, exists, nominated_before.as_deref(), world);
            }
            News::Node { old, new } => self.node_changed(old, new, world),
            News::Service { key, selector } => {
                let services = Arc::make_mut(&mut self.cache.surroundings().services);
                match selector {
                    Some(selector) => services.insert(key, selector),
                    None => services.remove(&key),
                };
            }
            News::Workload { uid, selector } => {
                let workloads = Arc::make_mut(&mut self.cache.surroundings().workloads);
                match selector {
                    Some(selector) => workloads.insert(uid, selector),
                    None => workloads.remove(&uid),
                };
            }
            News::Namespace { name, labels } => {
                let namespaces = Arc::make_mut(&mut self.cache.surroundings().namespaces);
                match labels {
                    Some(labels) => namespaces.insert(name, labels),
                    None => namespaces.remove(&name),
                };
                self.happened(&ClusterEvent::Other, world);
            }
            News::Budgets(budgets) => self.cache.surroundings().budgets = Arc::new(budgets),
            News::Cleared { pod, refused_by } => {
                self.queue.refuse(pod.uid(), refused_by, world.now(), world);
            }
            News::NotBound(pod) => {
                self.cache.forget(pod.uid());
                self.queue.back_off(pod.uid(), world.now());
                self.happened(&ClusterEvent::Pod { old: Some(pod), new: None }, world);
            }
        }
    }

    /// Tells the waiting pods of an event.
    fn happened(&mut self, event: &ClusterEvent, world: &World) {
        self.queue.event(event, world.now(), world);
    }

    fn pod_changed(&mut self, pod: Arc<Pod>, exists: bool, nominated_before: Option<&str>, world: &World) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let known = self.cache.pod(uid).map(|(pod, assumed)| (Arc::clone(pod), assumed));
        if !exists || is_terminal(&pod) {
            self.queue.remove(uid);
            self.cache.surroundings().withdraw(uid);
            if let Some((old, _)) = known {
                self.cache.remove_pod(uid);
                self.happened(&ClusterEvent::Pod { old: Some(old), new: None }, world);
            }
            return;
        }
        let pod = Arc::new(match &known {
            Some((known, _)) => known.with_version(pod),
            None => PodInfo::new(pod),
        });
        if pod.node().is_some() {
            self.queue.remove(pod.uid());
            self.cache.surroundings().withdraw(pod.uid());
            self.cache.set_pod(&pod);
            let old = known.filter(|(_, assumed)| !assumed).map(|(pod, _)| pod);
            if old.as_ref().is_none_or(|old| matters(old, &pod)) {
                self.happened(&ClusterEvent::Pod { old, new: Some(pod) }, world);
            }
        } else if known.is_none()
            && let Some(scheduler) = world.scheduler_of(&pod)
        {
            if pod.nominated_node() != nominated_before {
                match pod.nominated_node() {
                    Some(node) => self.cache.surroundings().nominate(&pod, node),
                    None => self.cache.surroundings().withdraw(pod.uid()),
                }
            }
            let (rank, gated) = (scheduler.rank(&pod), scheduler.gate(&pod).is_err());
            self.queue.set(pod, rank, gated, world.now(), world);
        }
    }

    fn node_changed(&mut self, old: Option<Arc<Node>>, new: Option<Arc<Node>>, world: &World) {
        match (&old, &new) {
            (_, Some(node)) => self.cache.set_node(node),
            (Some(node), None) => self.cache.remove_node(node.metadata.name.as_deref().unwrap_or_default()),
            (None, None) => {}
        }
        if old.as_deref().map(what_matters) != new.as_deref().map(what_matters) {
            self.happened(&ClusterEvent::Node { old, new }, world);
        }
    }

    /// Notes that a pod goes nowhere. Gives the less important pods that have lost the node which they waited for. A
    /// pod for which a node is cleared stays in flight until that is done.
    pub(super) fn refuse(&mut self, pod: &Arc<PodInfo>, why: &Unplaced, world: &World) -> Vec<Arc<PodInfo>> {
        let surroundings = self.cache.surroundings();
        let mut losers = Vec::new();
        match &why.nomination {
            Nomination::Keep => {}
            Nomination::Clear => surroundings.withdraw(pod.uid()),
            Nomination::Node { name, .. } => {
                let waiting = surroundings.nominated_to(name).iter();
                losers.extend(waiting.filter(|other| other.priority() < pod.priority()).cloned());
                losers.iter().for_each(|loser| surroundings.withdraw(loser.uid()));
                surroundings.nominate(pod, name);
                return losers;
            }
        }
        self.queue.refuse(pod.uid(), why.refused_by.clone(), world.now(), world);
        losers
    }
}

/// What of a node can matter to pods that wait.
fn what_matters(node: &Node) -> impl PartialEq + '_ {
    let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
    (
        &node.metadata.labels,
        spec.map(|spec| (&spec.taints, spec.unschedulable)),
        status.map(|status| &status.allocatable),
    )
}

/// Whether a change of a pod that has a node can matter to others.
fn matters(old: &PodInfo, new: &PodInfo) -> bool {
    old.labels() != new.labels() || old.requests != new.requests || old.is_terminating() != new.is_terminating()
}
