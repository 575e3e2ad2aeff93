//! Follows the cluster: turns what informers tell into news for the loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ReplicationController, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tokio::sync::Notify;

use super::Scheduler;
use super::config::DEFAULT_SCHEDULER;
use super::framework::ClusterEvent;
use super::queue::Hints;
use super::snapshot::PodInfo;
use crate::api::ApiType;
use crate::client::{Change, Client, Informers, Subscription};
use crate::clock::Clock;

/// What the loop has to hear of.
#[derive(Debug)]
pub(super) enum News {
    /// A pod appeared, changed or went, and whether it is there still; and the node that was nominated for it before.
    Pod { pod: Arc<Pod>, exists: bool, nominated_before: Option<String> },
    /// A node appeared, changed or went.
    Node { old: Option<Arc<Node>>, new: Option<Arc<Node>> },
    /// A service selects these pods, or none any more.
    Service { key: (String, String), selector: Option<LabelSelector> },
    /// A workload, by its UID, selects these pods, or none any more.
    Workload { uid: String, selector: Option<LabelSelector> },
    /// A namespace has these labels, or is gone.
    Namespace { name: String, labels: Option<BTreeMap<String, String>> },
    /// These are the disruption budgets.
    Budgets(Vec<Arc<PodDisruptionBudget>>),
    /// The victims on the node that is cleared for a pod have been told to go; these plugins refused it.
    Cleared { pod: Arc<PodInfo>, refused_by: Vec<&'static str> },
    /// A pod that was decided on could not be bound.
    NotBound(Arc<PodInfo>),
}

/// What all parts of a running scheduler share.
#[derive(Debug)]
pub(super) struct World {
    inbox: Mutex<Vec<News>>,
    /// There is something in the inbox.
    arrived: Notify,
    pub(super) profiles: BTreeMap<String, Arc<dyn Scheduler>>,
    clock: Clock,
}

impl World {
    pub(super) fn new(profiles: BTreeMap<String, Arc<dyn Scheduler>>, clock: Clock) -> Self {
        Self { inbox: Mutex::default(), arrived: Notify::new(), profiles, clock }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The scheduler that `pod` is left to, where it is one of ours.
    pub(super) fn scheduler_of(&self, pod: &PodInfo) -> Option<&Arc<dyn Scheduler>> {
        self.profiles.get(scheduler_name(pod))
    }

    /// Tells the loop.
    pub(super) fn tell(&self, news: News) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.push(news);
        if inbox.len() == 1 {
            self.arrived.notify_one();
        }
    }

    /// Moves what there is to hear into `news`, which is empty.
    pub(super) fn hear(&self, news: &mut Vec<News>) {
        std::mem::swap(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner), news);
    }

    /// Waits until there is something to hear.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let before = change.old.as_ref().and_then(|old| old.status.as_ref()?.nominated_node_name.clone());
        let pod = Arc::clone(change.object());
        self.tell(News::Pod { pod, exists: change.new.is_some(), nominated_before: before });
    }

    fn service_changed(&self, change: &Change<Service>) {
        let meta = &change.object().metadata;
        let key = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let selector = change.new.as_ref().and_then(|service| service.spec.as_ref()?.selector.clone());
        let selector = selector.filter(|selector| !selector.is_empty());
        let selector = selector.map(|labels| LabelSelector { match_labels: Some(labels), ..Default::default() });
        self.tell(News::Service { key, selector });
    }

    fn workload_changed<K: ApiType>(&self, change: &Change<K>, selector: fn(&K) -> Option<LabelSelector>) {
        let of = |object: &Option<Arc<K>>| object.as_ref().and_then(|object| selector(object));
        let (before, selector) = (of(&change.old), of(&change.new));
        // Mostly it is the status that changes.
        if before != selector {
            let uid = change.object().metadata().uid.clone().unwrap_or_default();
            self.tell(News::Workload { uid, selector });
        }
    }

    fn namespace_changed(&self, change: &Change<Namespace>) {
        let labels = |namespace: &Arc<Namespace>| namespace.metadata.labels.clone().unwrap_or_default();
        let (before, labels) = (change.old.as_ref().map(labels), change.new.as_ref().map(labels));
        if before != labels {
            self.tell(News::Namespace { name: change.object().metadata.name.clone().unwrap_or_default(), labels });
        }
    }
}

impl Hints for World {
    fn concerns(&self, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        self.profiles.values().any(|scheduler| scheduler.concerns(refused_by, event))
    }

    fn may_help(&self, pod: &PodInfo, refused_by: &[&'static str], event: &ClusterEvent) -> bool {
        self.scheduler_of(pod).is_some_and(|scheduler| scheduler.may_help(pod, refused_by, event))
    }
}

/// The name of the scheduler that a pod is left to.
pub(super) fn scheduler_name(pod: &PodInfo) -> &str {
    let name = pod.spec().and_then(|spec| spec.scheduler_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER)
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
        follow_if_served::<Node>(informers, world, |world, change| {
            world.tell(News::Node { old: change.old.clone(), new: change.new.clone() });
        }),
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
        follow_if_served::<Namespace>(informers, world, World::namespace_changed),
    ];
    if serves::<PodDisruptionBudget>(informers.client()) {
        let (world, budgets) = (Arc::clone(world), informers.of::<PodDisruptionBudget>());
        let view = budgets.clone();
        subscriptions.push(Some(budgets.subscribe(move |_| world.tell(News::Budgets(view.list())))));
    }
    pods.synced().await;
    subscriptions.push(follow_if_served::<Pod>(informers, world, World::pod_changed));
    subscriptions.into_iter().flatten().collect()
}
