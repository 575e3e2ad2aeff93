//! PodDisruptionBudgets: how many pods may be evicted now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::LabelSelector;
use crate::client::{Change, ObjectRef};
use crate::reconcile::adopt::controller_of;
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod};

/// How long an eviction that was granted may take to show.
const GRANTED: Duration = Duration::from_secs(2 * 60);

/// The controller of disruption budgets.
pub fn controller() -> Controller<Disruptions> {
    let this = Controller::new("controllermanager", Disruptions);
    let this = this.reads::<Deployment>().reads::<ReplicaSet>().reads::<ReplicationController>().reads::<StatefulSet>();
    this.watches(|change: &Change<Pod>, informers| {
        let namespace = change.object().metadata.namespace.as_deref().unwrap_or_default();
        let budgets = informers.of::<PodDisruptionBudget>().list_in(namespace);
        let selecting = budgets.iter().filter(|budget| {
            let selects =
                |selector: LabelSelector| change.versions().any(|pod| selector.matches(pod.metadata.labels.as_ref()));
            selector(budget).is_some_and(selects)
        });
        selecting.map(|budget| ObjectRef::of(&budget.metadata)).collect()
    })
}

/// Which pods the budget is for; one without a selector is for none.
fn selector(budget: &PodDisruptionBudget) -> Option<LabelSelector> {
    LabelSelector::try_from(budget.spec.as_ref()?.selector.as_ref()?).ok()
}

/// Counts what budgets allow.
#[derive(Debug)]
pub struct Disruptions;

#[async_trait]
impl Reconciler for Disruptions {
    type Object = PodDisruptionBudget;

    async fn reconcile(&self, budget: Arc<PodDisruptionBudget>, ctx: &Context) -> Result<Action, Error> {
        let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
        let mut pods = ctx.informers().of::<Pod>().list_in(namespace);
        let selector = selector(&budget);
        pods.retain(|pod| selector.as_ref().is_some_and(|selector| selector.matches(pod.metadata.labels.as_ref())));
        if pods.is_empty() {
            ctx.events().normal(&*budget, "NoPods", "No matching pods found");
        }
        let now = ctx.clock().now();
        let old = budget.status.clone().unwrap_or_default();
        let counted = expected(ctx, &budget, &pods).await;
        let mut status = PodDisruptionBudgetStatus { observed_generation: budget.metadata.generation, ..old.clone() };
        let mut recheck = None;
        match &counted {
            Ok((expected, desired)) => {
                let (granted, next) = granted(&old, &pods, now);
                recheck = next;
                let healthy = pods.iter().filter(|pod| {
                    let name = pod.metadata.name.as_deref().unwrap_or_default();
                    pod.metadata.deletion_timestamp.is_none() && !granted.contains_key(name) && pod::is_ready(pod)
                });
                let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
                let allowed = if *expected > 0 { (healthy - desired).max(0) } else { 0 };
                status.current_healthy = Some(healthy);
                status.expected_pods = Some(*expected);
                status.desired_healthy = Some(*desired);
                status.disruptions_allowed = Some(allowed);
                status.disrupted_pods = Some(granted).filter(|granted| !granted.is_empty());
            }
            Err(error) => {
                let message = format!("Failed to calculate the number of expected pods: {error}");
                ctx.events().warning(&*budget, "CalculateExpectedPodCountFailed", message);
                // What cannot be counted is not to be disturbed.
                status.disruptions_allowed = Some(0);
            }
        }
        let (value, reason, message) = match &counted {
            Err(error) => ("False", "SyncFailed", error.to_string()),
            Ok(_) if status.disruptions_allowed > Some(0) => ("True", "SufficientPods", String::new()),
            Ok(_) => ("False", "InsufficientPods", String::new()),
        };
        let conditions = status.conditions.get_or_insert_default();
        let current = conditions.iter().find(|condition| condition.type_ == "DisruptionAllowed");
        let since =
            current.filter(|current| current.status == value).map(|current| current.last_transition_time.clone());
        let condition = Condition {
            type_: "DisruptionAllowed".to_owned(),
            status: value.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: budget.metadata.generation,
            last_transition_time: since.unwrap_or_else(|| ctx.clock().time()),
        };
        conditions.retain(|condition| condition.type_ != "DisruptionAllowed");
        conditions.push(condition);
        if status != old {
            let mut changed = PodDisruptionBudget::clone(&budget);
            changed.status = Some(status);
            ctx.client().api::<PodDisruptionBudget>(namespace).update_status(changed).await?;
        }
        counted.map(|_| recheck.into())
    }
}

/// The evictions that were granted and have not shown yet, and when the next of them lapses.
fn granted(
    status: &PodDisruptionBudgetStatus,
    pods: &[Arc<Pod>],
    now: jiff::Timestamp,
) -> (BTreeMap<String, k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>, Option<Duration>) {
    let mut granted = status.disrupted_pods.clone().unwrap_or_default();
    let mut next = None;
    granted.retain(|name, time| {
        let is_there =
            |pod: &Arc<Pod>| pod.metadata.name.as_deref() == Some(name) && pod.metadata.deletion_timestamp.is_none();
        let passed = Duration::try_from(now.duration_since(time.0)).unwrap_or_default();
        let left = GRANTED.saturating_sub(passed);
        let stays = pods.iter().any(is_there) && !left.is_zero();
        if stays {
            next = Some(next.map_or(left, |next: Duration| next.min(left)));
        }
        stays
    });
    (granted, next)
}

/// How many pods there should be, and how many of them healthy.
async fn expected(ctx: &Context, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<(i32, i32), Error> {
    let spec = budget.spec.clone().unwrap_or_default();
    if let Some(unavailable) = &spec.max_unavailable {
        let expected = scale(ctx, budget, pods).await?;
        return Ok((expected, (expected - share(unavailable, expected)).max(0)));
    }
    match &spec.min_available {
        Some(IntOrString::Int(least)) => Ok((i32::try_from(pods.len()).unwrap_or(i32::MAX), *least)),
        Some(least) => {
            let expected = scale(ctx, budget, pods).await?;
            Ok((expected, share(least, expected)))
        }
        None => Ok((0, 0)),
    }
}

/// A number, or a percentage of `total` rounded up.
fn share(value: &IntOrString, total: i32) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
            i32::try_from((percent * i64::from(total) + 99).div_euclid(100)).unwrap_or(i32::MAX)
        }
    }
}

/// How many pods the pods' controllers want, all together.
async fn scale(ctx: &Context, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<i32, Error> {
    let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
    let mut scales = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = controller_of(&pod.metadata) else {
            unmanaged = true;
            continue;
        };
        if !scales.contains_key(&owner.uid) {
            let (uid, scale) = scale_of(ctx, namespace, owner).await?;
            // Two ReplicaSets of one Deployment count once.
            scales.insert(owner.uid.clone(), 0);
            scales.insert(uid, scale);
        }
    }
    if unmanaged {
        let message = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of \
                       the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
                       these pods please set \".spec.minAvailable\" field of the PDB to an integer value.";
        ctx.events().warning(budget, "UnmanagedPods", message);
    }
    Ok(scales.values().sum())
}

/// The UID of the object that decides, and how many pods it wants.
async fn scale_of(ctx: &Context, namespace: &str, owner: &OwnerReference) -> Result<(String, i32), Error> {
    let informers = ctx.informers();
    let uid = owner.uid.clone();
    let found = match owner.kind.as_str() {
        "ReplicaSet" => {
            let set = informers.of::<ReplicaSet>().get(namespace, &owner.name);
            let deployment = set.as_ref().and_then(|set| {
                let parent = controller_of(&set.metadata).filter(|parent| parent.kind == "Deployment")?;
                informers.of::<Deployment>().get(namespace, &parent.name)
            });
            match (deployment, set) {
                (Some(deployment), _) => Some((
                    deployment.metadata.uid.clone().unwrap_or_default(),
                    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
                )),
                (None, set) => set.map(|set| (uid, set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))),
            }
        }
        "ReplicationController" => {
            let found = informers.of::<ReplicationController>().get(namespace, &owner.name);
            found.map(|found| (uid, found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)))
        }
        "StatefulSet" => {
            let found = informers.of::<StatefulSet>().get(namespace, &owner.name);
            found.map(|found| (uid, found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)))
        }
        kind => return Err(Error::failed(format!("found no controllers for pod of kind {kind:?}"))),
    };
    // Its controller is gone: nobody wants these pods.
    Ok(found.unwrap_or((owner.uid.clone(), 0)))
}
