//! Taint eviction: pods leave nodes with `NoExecute` taints that they do not tolerate, or not for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use super::node_lifecycle::BY_NODE;
use crate::client::{Change, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod};

/// How soon to look again where the informer of nodes lags behind.
const RECHECK: Duration = Duration::from_millis(100);

/// The controller that evicts pods from tainted nodes.
pub fn controller() -> Controller<TaintEviction> {
    let reconciler = TaintEviction { since: Mutex::default() };
    Controller::new("taint-eviction-controller", reconciler)
        .predicate(|change| change.old.as_ref().and_then(stay) != change.new.as_ref().and_then(stay))
        .watches(|change: &Change<Node>, informers| {
            let before = change.old.as_deref().map(no_execute);
            let now = change.new.as_deref().map(no_execute);
            if before.unwrap_or_default() == now.unwrap_or_default() {
                return Vec::new();
            }
            let pods = informers.of::<Pod>();
            pods.index(BY_NODE, |pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect());
            let name = change.object().metadata.name.as_deref().unwrap_or_default();
            pods.by(BY_NODE, name).iter().map(|pod| ObjectRef::of(&pod.metadata)).collect()
        })
}

/// Which pod is on which node, and what it tolerates there: nothing else of it concerns this controller.
fn stay(pod: &Arc<Pod>) -> Option<(Option<&str>, &str, Option<&[Toleration]>)> {
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.as_deref().filter(|node| !node.is_empty())?;
    Some((pod.metadata.uid.as_deref(), node, spec.tolerations.as_deref()))
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

/// Evicts pods from tainted nodes.
#[derive(Debug)]
pub struct TaintEviction {
    /// Since when a pod has been on a tainted node, by its UID (time of the controller's clock).
    since: Mutex<BTreeMap<ObjectRef, (Option<String>, Duration)>>,
}

#[async_trait]
impl Reconciler for TaintEviction {
    type Object = Pod;

    async fn reconcile(&self, pod: Arc<Pod>, ctx: &Context) -> Result<Action, Error> {
        let key = ObjectRef::of(&pod.metadata);
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let taints = ctx.informers().of::<Node>().get("", node).map(|node| no_execute(&node)).unwrap_or_default();
        let stay = if pod.metadata.deletion_timestamp.is_some() { None } else { tolerance(&pod, &taints) };
        let Some(stay) = stay else {
            let was_due = self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(&key).is_some();
            if was_due && pod.metadata.deletion_timestamp.is_none() {
                ctx.events().normal(&*pod, "TaintManagerEviction", format!("Cancelling deletion of Pod {key}"));
            }
            return Ok(Action::Done);
        };
        let now = ctx.clock().elapsed();
        let since = {
            let mut all = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = all.entry(key.clone()).or_insert_with(|| (pod.metadata.uid.clone(), now));
            if entry.0 != pod.metadata.uid {
                *entry = (pod.metadata.uid.clone(), now);
            }
            entry.1
        };
        let left = (since + stay).saturating_sub(now);
        if !left.is_zero() {
            return Ok(Action::After(left));
        }
        // The informers of pods and nodes may be apart: a pod that came when the taint was gone must not pay for it.
        let live = ctx.client().all::<Node>().get_opt(node).await?.map(|node| no_execute(&node)).unwrap_or_default();
        if live != taints {
            return Ok(Action::After(RECHECK));
        }
        ctx.events().normal(&*pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        let message = "Taint manager: deleting due to NoExecute taint";
        pod::disrupt(ctx, &pod, "DeletionByTaintManager", message, None).await?;
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        Ok(Action::Done)
    }

    async fn gone(&self, pod: &ObjectRef, _: &Context) -> Result<Action, Error> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(pod);
        Ok(Action::Done)
    }
}

/// For how long the pod may stay in spite of the taints; `None` for ever.
fn tolerance(pod: &Pod, taints: &[Taint]) -> Option<Duration> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut least = None;
    for taint in taints {
        let Some(toleration) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Some(Duration::ZERO);
        };
        if let Some(seconds) = toleration.toleration_seconds {
            let stay = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            least = Some(least.map_or(stay, |least: Duration| least.min(stay)));
        }
    }
    least
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let stated = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    if stated(&toleration.effect).is_some_and(|effect| effect != taint.effect) {
        return false;
    }
    let key = stated(&toleration.key);
    if key.as_ref().is_some_and(|key| *key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => key.is_some() && stated(&toleration.value) == stated(&taint.value),
        _ => false,
    }
}
