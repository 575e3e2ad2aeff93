//! Node lifecycle: nodes that no longer report are found out, tainted, and their pods taken out of service.
//!
//! | file | what |
//! |---|---|
//! | `health` | when a node last gave a sign of life |
//! | `taints` | which taints its conditions call for |
//! | `zones` | how fast nodes may be given up, so that a network failure does not empty the cluster |

mod health;
mod taints;
mod zones;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::health::Health;
use self::zones::Zones;
use crate::client::{Change, EventType, Informers, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, pod};

/// Where node agents keep their leases.
const LEASES: &str = "kube-node-lease";
/// How often a node is looked at that does not serve. One that does is looked at when it has been silent for too long.
const PERIOD: Duration = Duration::from_secs(5);
/// The index of pods by their node.
pub(super) const BY_NODE: &str = "node";

/// How long nodes may be silent. The defaults are kube-controller-manager's.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After so long without a sign of life, a node's state is unknown.
    pub grace: Duration,
    /// As `grace`, for a node that has never reported.
    pub startup_grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { grace: Duration::from_secs(50), startup_grace: Duration::from_secs(60) }
    }
}

/// The controller of node lifecycles.
pub fn controller(patience: Patience) -> Controller<NodeLifecycle> {
    let health = Arc::new(Mutex::new(BTreeMap::new()));
    let reconciler = NodeLifecycle { patience, health: Arc::clone(&health), zones: Mutex::default() };
    let renewed = move |change: &Change<Lease>, informers: &Informers| {
        if let Some(lease) = change.new.as_ref().filter(|lease| lease.metadata.namespace.as_deref() == Some(LEASES)) {
            let now = informers.client().clock().now();
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            locked(&health).get_mut(name).into_iter().for_each(|health| health.renewed(lease, now));
        }
        Vec::new()
    };
    Controller::new("node-controller", reconciler).reads::<Pod>().watches(renewed)
}

fn locked(health: &Mutex<BTreeMap<String, Health>>) -> MutexGuard<'_, BTreeMap<String, Health>> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pods on a node.
pub(super) fn pods_on(ctx: &Context, node: &str) -> Vec<Arc<Pod>> {
    let informer = ctx.informers().of::<Pod>();
    informer.index(BY_NODE, |pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect());
    informer.by(BY_NODE, node)
}

/// The node's condition of that type.
pub(super) fn condition<'a>(node: &'a Node, type_: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// The state of the node's condition of that type; `Unknown` where it has none.
pub(super) fn state<'a>(node: &'a Node, type_: &str) -> &'a str {
    condition(node, type_).map_or("Unknown", |condition| condition.status.as_str())
}

/// Watches over nodes.
#[derive(Debug)]
pub struct NodeLifecycle {
    patience: Patience,
    /// Signs of life, by node.
    health: Arc<Mutex<BTreeMap<String, Health>>>,
    zones: Mutex<Zones>,
}

#[async_trait]
impl Reconciler for NodeLifecycle {
    type Object = Node;

    async fn reconcile(&self, node: Arc<Node>, ctx: &Context) -> Result<Action, Error> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let now = ctx.clock().now();
        let never = condition(&node, "Ready").is_none();
        let grace = if never { self.patience.startup_grace } else { self.patience.grace };
        let (is_new, silence) = {
            let mut all = locked(&self.health);
            let is_new = !all.contains_key(name);
            let health = all.entry(name.to_owned()).or_insert_with(|| {
                let mut health = Health::new(&node, now);
                let lease = ctx.informers().of::<Lease>().get(LEASES, name);
                lease.into_iter().for_each(|lease| health.renewed(&lease, now));
                health
            });
            health.reported(&node, now);
            (is_new, health.silence(now))
        };
        if is_new {
            record(ctx, &node, "RegisteredNode", format!("Node {name} event: Registered Node {name} in Controller"));
        }
        let was_ready = state(&node, "Ready") == "True";
        let node = if silence > grace { self.mark_unknown(ctx, &node).await? } else { Arc::clone(&node) };
        let ready = state(&node, "Ready");
        if ready != "True" {
            if was_ready {
                record(ctx, &node, "NodeNotReady", format!("Node {name} status is now: NodeNotReady"));
            }
            self.take_out_of_service(ctx, name).await?;
        }
        let may_evict = {
            let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
            zones.may_evict(&node, || ctx.informers().of::<Node>().list(), ctx.clock().elapsed())
        };
        taints::bring_up_to_date(ctx, &node, may_evict).await?;
        // A node that serves is silent for too long a moment after the grace has passed.
        let wait = if ready == "True" { grace.saturating_sub(silence) + Duration::from_millis(1) } else { PERIOD };
        Ok(Action::After(wait))
    }

    async fn gone(&self, node: &ObjectRef, ctx: &Context) -> Result<Action, Error> {
        let known = locked(&self.health).remove(&node.name).is_some();
        if known {
            let name = &node.name;
            let message = format!("Node {name} event: Removing Node {name} from Controller");
            ctx.events().record(reference(name, None), EventType::Normal, "RemovingNode", message);
        }
        Ok(Action::Done)
    }
}

impl NodeLifecycle {
    /// Says of a silent node that nobody knows how it does.
    async fn mark_unknown(&self, ctx: &Context, node: &Arc<Node>) -> Result<Arc<Node>, Error> {
        let mut marked = Node::clone(node);
        let status = marked.status.get_or_insert_default();
        let conditions = status.conditions.get_or_insert_default();
        let now = ctx.clock().time();
        for type_ in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            match conditions.iter_mut().find(|condition| condition.type_ == type_) {
                Some(condition) if condition.status != "Unknown" => {
                    "Unknown".clone_into(&mut condition.status);
                    condition.reason = Some("NodeStatusUnknown".to_owned());
                    condition.message = Some("Kubelet stopped posting node status.".to_owned());
                    condition.last_transition_time = Some(now.clone());
                }
                Some(_) => {}
                None => conditions.push(NodeCondition {
                    type_: type_.to_owned(),
                    status: "Unknown".to_owned(),
                    reason: Some("NodeStatusNeverUpdated".to_owned()),
                    message: Some("Kubelet never posted node status.".to_owned()),
                    last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                    last_transition_time: Some(now.clone()),
                }),
            }
        }
        if marked == **node {
            return Ok(Arc::clone(node));
        }
        Ok(ctx.client().all::<Node>().update_status(marked).await?)
    }

    /// Says of the pods of a node that does not serve that they do not either.
    async fn take_out_of_service(&self, ctx: &Context, node: &str) -> Result<(), Error> {
        let serving = pods_on(ctx, node).into_iter().filter(|pod| pod::is_ready(pod));
        let marks = serving.map(|pod| async move {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let api = ctx.client().api::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default());
            let now = ctx.clock().time();
            let marked = api.modify_status(name, |pod| mark_unready(pod, &now)).await;
            match marked {
                Err(error) if error.is_not_found() => Ok(()),
                Err(error) => Err(Error::from(error)),
                Ok(pod) => {
                    ctx.events().warning(&*pod, "NodeNotReady", "Node is not ready");
                    Ok(())
                }
            }
        });
        join_all(marks).await.into_iter().collect()
    }
}

fn mark_unready(pod: &mut Pod, now: &Time) {
    let conditions = pod.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten());
    for condition in conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True") {
        "False".clone_into(&mut condition.status);
        condition.last_transition_time = Some(now.clone());
    }
}

fn reference(name: &str, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Node".to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    }
}

fn record(ctx: &Context, node: &Node, reason: &str, message: String) {
    let about = reference(node.metadata.name.as_deref().unwrap_or_default(), node.metadata.uid.clone());
    ctx.events().record(about, EventType::Normal, reason, message);
}
