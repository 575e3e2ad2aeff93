//! Follows the cluster: keeps the cache and the queue what the API server says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ReplicationController, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tokio::sync::Notify;

use super::Scheduler;
use super::config::DEFAULT_SCHEDULER;
use super::framework::ClusterEvent;
use super::queue::{Queue, Waits};
use super::snapshot::{Cache, PodInfo};
use crate::api::ApiType;
use crate::client::{Change, Client, Informers, Subscription};
use crate::clock::Clock;

/// What the scheduler knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) queue: Queue,
}

/// What the scheduler knows, and what keeps it current.
#[derive(Debug)]
pub(super) struct World {
    state: Mutex<State>,
    /// Somebody may have to be scheduled.
    pub(super) news: Notify,
    pub(super) profiles: BTreeMap<String, Arc<dyn Scheduler>>,
    clock: Clock,
}

impl World {
    pub(super) fn new(profiles: BTreeMap<String, Arc<dyn Scheduler>>, waits: Waits, clock: Clock) -> Self {
        let state = State { cache: Cache::default(), queue: Queue::new(waits) };
        Self { state: Mutex::new(state), news: Notify::new(), profiles, clock }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> std::time::Duration {
        self.clock.elapsed()
    }

    /// The scheduler that `pod` is left to, where it is one of ours.
    pub(super) fn scheduler_of(&self, pod: &PodInfo) -> Option<&Arc<dyn Scheduler>> {
        self.profiles.get(scheduler_name(pod))
    }

    pub(super) fn may_help(&self, pod: &PodInfo, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        self.scheduler_of(pod).is_some_and(|scheduler| scheduler.may_help(pod, refused_by, event))
    }

    /// Tells the waiting pods of an event.
    pub(super) fn happened(&self, state: &mut State, event: &ClusterEvent) {
        state.queue.event(event, self.now(), &|pod, refused_by, event| self.may_help(pod, refused_by, event));
        self.news.notify_one();
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let info = Arc::new(PodInfo::new(Arc::clone(change.object())));
        let mut state = self.state();
        let known = state.cache.pod(info.uid()).map(|(pod, assumed)| (Arc::clone(pod), assumed));
        if change.new.is_none() || info.has_ended() {
            state.queue.remove(info.uid());
            nominate(&mut state.cache, &info, None);
            if let Some((old, _)) = known {
                state.cache.remove_pod(info.uid());
                self.happened(&mut state, &ClusterEvent::Pod { old: Some(old), new: None });
            }
        } else if info.node().is_some() {
            state.queue.remove(info.uid());
            nominate(&mut state.cache, &info, None);
            state.cache.set_pod(&info);
            let old = known.filter(|(_, assumed)| !assumed).map(|(pod, _)| pod);
            if old.as_ref().is_none_or(|old| matters(old, &info)) {
                self.happened(&mut state, &ClusterEvent::Pod { old, new: Some(info) });
            }
        } else if known.is_none()
            && let Some(scheduler) = self.scheduler_of(&info)
        {
            let was = change.old.as_ref().and_then(|old| old.status.as_ref()?.nominated_node_name.clone());
            if info.nominated_node() != was.as_deref() {
                nominate(&mut state.cache, &info, info.nominated_node());
            }
            let (rank, gated) = (scheduler.rank(&info), scheduler.gate(&info).is_err());
            state.queue.set(info, rank, gated, self.now(), &|pod, by, event| self.may_help(pod, by, event));
            self.news.notify_one();
        }
    }

    fn node_changed(&self, change: &Change<Node>) {
        let mut state = self.state();
        match &change.new {
            Some(node) => state.cache.set_node(node),
            None => state.cache.remove_node(change.object().metadata.name.as_deref().unwrap_or_default()),
        }
        let what_matters = |node: &Arc<Node>| {
            let spec = node.spec.clone().unwrap_or_default();
            let allocatable = node.status.as_ref().and_then(|status| status.allocatable.clone());
            (node.metadata.labels.clone(), spec.taints, spec.unschedulable, allocatable)
        };
        if change.old.as_ref().map(what_matters) != change.new.as_ref().map(what_matters) {
            let event = ClusterEvent::Node { old: change.old.clone(), new: change.new.clone() };
            self.happened(&mut state, &event);
        }
    }

    fn service_changed(&self, change: &Change<Service>) {
        let meta = &change.object().metadata;
        let key = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let selector = change.new.as_ref().and_then(|service| service.spec.as_ref()?.selector.clone());
        let selector = selector.filter(|selector| !selector.is_empty());
        let mut state = self.state();
        let services = Arc::make_mut(&mut state.cache.surroundings().services);
        match selector {
            Some(labels) => services.insert(key, LabelSelector { match_labels: Some(labels), ..Default::default() }),
            None => services.remove(&key),
        };
    }

    fn workload_changed<K: ApiType>(&self, change: &Change<K>, selector: fn(&K) -> Option<LabelSelector>) {
        let uid = change.object().metadata().uid.clone().unwrap_or_default();
        let selector = change.new.as_ref().and_then(|object| selector(object));
        let mut state = self.state();
        let surroundings = state.cache.surroundings();
        if surroundings.workloads.get(&uid) == selector.as_ref() {
            return;
        }
        let workloads = Arc::make_mut(&mut surroundings.workloads);
        match selector {
            Some(selector) => workloads.insert(uid, selector),
            None => workloads.remove(&uid),
        };
    }
}

/// The name of the scheduler that a pod is left to.
pub(super) fn scheduler_name(pod: &PodInfo) -> &str {
    let name = pod.spec().and_then(|spec| spec.scheduler_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER)
}

/// Whether a change of a pod that has a node can matter to others.
fn matters(old: &PodInfo, new: &PodInfo) -> bool {
    old.labels() != new.labels() || old.requests != new.requests || old.is_terminating() != new.is_terminating()
}

/// Notes which node is being cleared for `pod`.
pub(super) fn nominate(cache: &mut Cache, pod: &Arc<PodInfo>, node: Option<&str>) {
    let nominated = &mut cache.surroundings().nominated;
    if node.is_none() && !nominated.values().flatten().any(|other| other.uid() == pod.uid()) {
        return;
    }
    let nominated = Arc::make_mut(nominated);
    for pods in nominated.values_mut() {
        pods.retain(|other| other.uid() != pod.uid());
    }
    nominated.retain(|_, pods| !pods.is_empty());
    if let Some(node) = node {
        nominated.entry(node.to_owned()).or_default().push(Arc::clone(pod));
    }
}

/// Whether the server serves `K` at all: a foreign one may lack a kind.
fn serves<K: ApiType>(client: &Client) -> bool {
    client.backend().kinds().by_kind(K::GROUP, K::VERSION, K::KIND).is_some()
}

fn follow_if_served<K: ApiType>(
    informers: &Informers,
    world: &Arc<World>,
    handle: impl Fn(&World, &Change<K>) + Send + Sync + 'static,
) -> Option<Subscription> {
    let world = Arc::clone(world);
    serves::<K>(informers.client()).then(|| informers.of::<K>().subscribe(move |change| handle(&world, change)))
}

/// Keeps `world` current for as long as the subscriptions live. Nodes are known before pods.
pub(super) async fn follow(informers: &Informers, world: &Arc<World>) -> Vec<Subscription> {
    let nodes = informers.of::<Node>();
    let pods = informers.of::<Pod>();
    nodes.synced().await;
    let mut subscriptions: Vec<Option<Subscription>> = vec![
        follow_if_served::<Node>(informers, world, World::node_changed),
        follow_if_served::<Service>(informers, world, World::service_changed),
        follow_if_served::<ReplicaSet>(informers, world, |world, change| {
            world.workload_changed(change, |set| Some(set.spec.as_ref()?.selector.clone()));
        }),
        follow_if_served::<StatefulSet>(informers, world, |world, change| {
            world.workload_changed(change, |set| Some(set.spec.as_ref()?.selector.clone()));
        }),
        follow_if_served::<ReplicationController>(informers, world, |world, change| {
            world.workload_changed(change, |controller| {
                let labels = controller.spec.as_ref()?.selector.clone()?;
                Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() })
            });
        }),
        follow_if_served::<Namespace>(informers, world, |world, change| {
            let name = change.object().metadata.name.clone().unwrap_or_default();
            let mut state = world.state();
            let namespaces = Arc::make_mut(&mut state.cache.surroundings().namespaces);
            match &change.new {
                Some(new) => _ = namespaces.insert(name, new.metadata.labels.clone().unwrap_or_default()),
                None => _ = namespaces.remove(&name),
            }
            let labels = |namespace: &Arc<Namespace>| namespace.metadata.labels.clone();
            if change.old.as_ref().map(labels) != change.new.as_ref().map(labels) {
                world.happened(&mut state, &ClusterEvent::Other);
            }
        }),
    ];
    if serves::<PodDisruptionBudget>(informers.client()) {
        let (world, budgets) = (Arc::clone(world), informers.of::<PodDisruptionBudget>());
        let view = budgets.clone();
        subscriptions.push(Some(budgets.subscribe(move |_| {
            world.state().cache.surroundings().budgets = Arc::new(view.list());
        })));
    }
    pods.synced().await;
    subscriptions.push(follow_if_served::<Pod>(informers, world, World::pod_changed));
    subscriptions.into_iter().flatten().collect()
}
