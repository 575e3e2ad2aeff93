//! ReplicaSets and ReplicationControllers: so many pods of one template.
//!
//! Both are the same controller over [`Replicated`] objects.

mod census;
mod kinds;
mod rank;
mod status;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use self::census::{Census, Standing};
pub use self::kinds::Replicated;
use self::rank::victims;
use self::status::Condition;
pub use self::status::ReplicaStatus;
use crate::api::{ApiError, LabelSelector};
use crate::client::{Change, Informers, ObjectRef};
use crate::reconcile::adopt::{candidates, claim, controller_of, is_controlled_by, orphans};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod, pod_control, slow_start};

/// At most so many pods are created or deleted in one go.
const BURST: usize = 500;

/// The controller of ReplicaSets.
pub fn replica_sets() -> Controller<Replication<ReplicaSet>> {
    controller("replicaset-controller")
}

/// The controller of ReplicationControllers.
pub fn replication_controllers() -> Controller<Replication<ReplicationController>> {
    controller("replication-controller")
}

fn controller<W: Replicated>(name: &str) -> Controller<Replication<W>> {
    let census = Census::<W>::default();
    let replication = Replication { census: census.clone() };
    // A change is counted before the owner is looked at for it.
    let counting = move |change: &Change<Pod>, informers: &Informers| {
        census.observe(change);
        adopters::<W>(change, informers)
    };
    Controller::new(name, replication).watches(counting).owns::<Pod>()
}

/// Those that might adopt a pod that nobody controls.
fn adopters<W: Replicated>(change: &Change<Pod>, informers: &Informers) -> Vec<ObjectRef> {
    let Some(pod) = change.new.as_ref().filter(|pod| controller_of(&pod.metadata).is_none()) else { return Vec::new() };
    let all = informers.of::<W>().list_in(pod.metadata.namespace.as_deref().unwrap_or_default());
    all.iter()
        .filter(|owner| owner.selector().is_some_and(|selector| selector.matches(pod.metadata.labels.as_ref())))
        .map(|owner| ObjectRef::of(owner.metadata()))
        .collect()
}

/// Keeps as many pods of a template as a [`Replicated`] object wants.
#[derive(Debug)]
pub struct Replication<W> {
    census: Census<W>,
}

#[async_trait]
impl<W: Replicated> Reconciler for Replication<W> {
    type Object = W;

    async fn reconcile(&self, owner: Arc<W>, ctx: &Context) -> Result<Action, Error> {
        let meta = owner.metadata();
        let (namespace, uid) = (meta.namespace.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
        let Some(selector) = owner.selector() else {
            return Err(Error::permanent(format!("{namespace}/{:?} has no usable selector", meta.name)));
        };
        let pods = match self.counted(ctx, &*owner, &selector) {
            Some(standing) => Pods::Counted(standing),
            None => {
                let all: Vec<Arc<Pod>> = candidates(ctx, namespace, uid);
                let claimed = |pod: &&Arc<Pod>| {
                    pod::is_terminating(pod)
                        && is_controlled_by(&pod.metadata, uid)
                        && selector.matches(pod.metadata.labels.as_ref())
                };
                let terminating = all.iter().filter(claimed).count();
                let active = all.into_iter().filter(|pod| pod::is_active(pod)).collect();
                Pods::Found { active: claim(ctx, &*owner, &selector, active).await?, terminating }
            }
        };

        let managed = if meta.deletion_timestamp.is_none() { manage(ctx, &*owner, &pods).await } else { Ok(false) };

        let now = ctx.clock().now();
        let mut status = owner.status();
        count(&mut status, &*owner, &selector, &pods, now);
        status.set_failure(managed.as_ref().err(), pods.active() < wanted(&*owner), now);
        write_status(ctx, &owner, status).await?;
        if managed? {
            return Ok(Action::After(Duration::ZERO));
        }
        Ok(next_availability(&*owner, pods.found(), now).into())
    }
}

impl<W: Replicated> Replication<W> {
    /// How many pods the owner has, where that is all there is to know of them: all have the template's labels, none is to be
    /// adopted, let go of or deleted, and none becomes available by time alone.
    fn counted(&self, ctx: &Context, owner: &W, selector: &LabelSelector) -> Option<Standing> {
        if owner.min_ready_seconds() > 0 {
            return None;
        }
        let meta = owner.metadata();
        let uid = meta.uid.as_deref().unwrap_or_default();
        let standing =
            self.census.of(uid, |labels| selector.matches(labels) && labels_of_template(owner).matches(labels))?;
        let orphans: Vec<Arc<Pod>> = orphans(ctx, meta.namespace.as_deref().unwrap_or_default());
        let adopts = orphans.iter().any(|pod| selector.matches(pod.metadata.labels.as_ref()));
        (standing.active <= wanted(owner) && !adopts).then_some(standing)
    }
}

/// The pods of an owner.
enum Pods {
    /// So many, and none of them matters by itself.
    Counted(Standing),
    /// Those that are active, and how many are being deleted.
    Found { active: Vec<Arc<Pod>>, terminating: usize },
}

impl Pods {
    fn active(&self) -> usize {
        match self {
            Self::Counted(standing) => standing.active,
            Self::Found { active, .. } => active.len(),
        }
    }

    fn found(&self) -> &[Arc<Pod>] {
        match self {
            Self::Counted(_) => &[],
            Self::Found { active, .. } => active,
        }
    }
}

fn wanted<W: Replicated>(owner: &W) -> usize {
    usize::try_from(owner.replicas()).unwrap_or_default()
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Creates the pods that are missing, or deletes those that are too many. Whether there are more to create at once.
async fn manage<W: Replicated>(ctx: &Context, owner: &W, pods: &Pods) -> Result<bool, Error> {
    let wanted = wanted(owner);
    if pods.active() < wanted {
        let Some(template) = owner.template() else { return Err(Error::permanent("there is no pod template")) };
        let missing = wanted - pods.active();
        let create = |_| pod_control::create(ctx, owner, pod_control::from_template(template, owner));
        return match slow_start(missing.min(BURST), create).await {
            (_, None) => Ok(missing > BURST),
            // Nothing can be created there any more, and that is no failure.
            (_, Some(Error::Api(error))) if pod_control::namespace_is_terminating(&error) => Ok(false),
            (_, Some(error)) => Err(error),
        };
    }
    let excess = (pods.active() - wanted).min(BURST);
    if excess == 0 {
        return Ok(false);
    }
    let victims = victims(pods.found(), &related(ctx, owner), excess, ctx.clock().now());
    let deleted = join_all(victims.iter().map(|pod| pod_control::delete(ctx, owner, pod))).await;
    deleted.into_iter().collect::<Result<(), _>>().map(|()| false)
}

/// The pods of all siblings: of the objects that have the same controller, this one among them.
fn related<W: Replicated>(ctx: &Context, owner: &W) -> Vec<Arc<Pod>> {
    let meta = owner.metadata();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let parent = controller_of(meta).map(|parent| &parent.uid);
    let siblings = ctx.informers().of::<W>().list_in(namespace).into_iter().filter(|sibling| {
        sibling.metadata().uid == meta.uid
            || parent.is_some() && controller_of(sibling.metadata()).map(|parent| &parent.uid) == parent
    });
    let selectors: Vec<_> = siblings.filter_map(|sibling| sibling.selector()).collect();
    let pods = ctx.informers().of::<Pod>().list_in(namespace).into_iter();
    pods.filter(|pod| selectors.iter().any(|selector| selector.matches(pod.metadata.labels.as_ref()))).collect()
}

fn count<W: Replicated>(status: &mut ReplicaStatus, owner: &W, selector: &LabelSelector, pods: &Pods, now: Timestamp) {
    let (labelled, ready, available, terminating) = match pods {
        Pods::Counted(standing) => (standing.active, standing.ready, standing.ready, standing.terminating),
        Pods::Found { active, terminating } => {
            let labelled = labels_of_template(owner);
            // Mostly pods are selected by all labels of the template.
            let labelled = if labelled == *selector {
                active.len()
            } else {
                active.iter().filter(|pod| labelled.matches(pod.metadata.labels.as_ref())).count()
            };
            let ready = active.iter().filter(|pod| pod::is_ready(pod));
            let available = |pod: &&Arc<Pod>| pod::is_available(pod, owner.min_ready_seconds(), now);
            (labelled, ready.clone().count(), ready.filter(available).count(), *terminating)
        }
    };
    status.replicas = number(pods.active());
    (status.fully_labeled, status.ready, status.available) = (number(labelled), number(ready), number(available));
    status.terminating = Some(number(terminating));
}

/// What selects pods with all labels of the template.
fn labels_of_template<W: Replicated>(owner: &W) -> LabelSelector {
    let labels = owner.template().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    LabelSelector::from_map(labels.into_iter().flatten())
}

/// In how long the next ready pod counts as available.
fn next_availability<W: Replicated>(owner: &W, active: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    if owner.min_ready_seconds() <= 0 {
        return None;
    }
    let waits = active.iter().filter(|pod| pod::is_ready(pod));
    waits.filter_map(|pod| pod::available_in(pod, owner.min_ready_seconds(), now)).filter(|wait| !wait.is_zero()).min()
}

/// Writes the status where it differs, once more where another write came between.
async fn write_status<W: Replicated>(ctx: &Context, owner: &Arc<W>, mut status: ReplicaStatus) -> Result<(), ApiError> {
    let meta = owner.metadata();
    status.observed_generation = meta.generation;
    if status == owner.status() {
        return Ok(());
    }
    let api = ctx.client().api::<W>(meta.namespace.as_deref().unwrap_or_default());
    let mut owner = W::clone(owner);
    owner.set_status(status.clone());
    match api.update_status(owner).await {
        Err(error) if error.is_conflict() => {
            let mut fresh = W::clone(&*api.get(meta.name.as_deref().unwrap_or_default()).await?);
            if fresh.metadata().uid != meta.uid {
                return Ok(());
            }
            fresh.set_status(status);
            api.update_status(fresh).await.map(drop)
        }
        // It is gone: there is nothing to say of it.
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
