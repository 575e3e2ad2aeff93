//! The points at which plugins take part in a decision.
//!
//! A plugin is one [`Plugin`] that says at which points it takes part. Points that look at many nodes have two
//! steps: the plugin first looks at the pod and the cluster once and returns what it worked out, which then judges
//! node after node. So there is no shared state for plugins to store things in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;

use super::verdict::{Diagnosis, Refusal};
use super::{Filters, Nomination};
use crate::api::ApiError;
use crate::client::Client;
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// The best score of a node.
pub const MAX_SCORE: i64 = 100;

/// A part of scheduling decisions. Plugins hold no state that decisions depend on, other than what they reserve.
pub trait Plugin: Debug + Send + Sync + 'static {
    /// Its name: what diagnoses, configuration and `explain` call it.
    fn name(&self) -> &'static str;

    /// Takes part in deciding whether a pod waits for a node at all.
    fn as_gate(&self) -> Option<&dyn Gate> {
        None
    }

    /// Orders the pods that wait.
    fn as_sort(&self) -> Option<&dyn Sort> {
        None
    }

    /// Rules out nodes.
    fn as_filter(&self) -> Option<&dyn Filter> {
        None
    }

    /// Helps a pod that no node takes.
    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        None
    }

    /// Prefers nodes.
    fn as_score(&self) -> Option<&dyn Score> {
        None
    }

    /// Keeps account of what decided pods take.
    fn as_reserve(&self) -> Option<&dyn Reserve> {
        None
    }

    /// Holds a decided pod back.
    fn as_permit(&self) -> Option<&dyn Permit> {
        None
    }

    /// Prepares or does the binding.
    fn as_bind(&self) -> Option<&dyn Bind> {
        None
    }

    /// What its verdicts on `pod`, and its scores, depend on. A plugin that says it spares the framework asking about
    /// every node for every pod. By default anything.
    fn reads(&self, _pod: &Arc<PodInfo>, _cluster: &Snapshot) -> Reads {
        Reads::Everything
    }

    /// Whether `event` may help any pod that this plugin refused. By default any event may.
    fn concerns(&self, _event: &ClusterEvent) -> bool {
        true
    }

    /// Whether `event` may help `pod`, which this plugin refused. Called for every event that concerns the plugin and
    /// every such pod: an answer of `false` keeps the pod waiting. By default anything may help.
    fn may_help(&self, _pod: &PodInfo, _event: &ClusterEvent) -> bool {
        true
    }
}

/// What the verdicts and scores of a plugin depend on, beside the class of the pod
/// ([`PodInfo::is_of_the_class_of`]).
#[derive(Debug)]
pub enum Reads {
    /// Anything: each pod is a new question about every node.
    Everything,
    /// The one node, with what is on it: the answer stands until that changes.
    Node,
    /// The one node, and what is counted over all of them.
    Counts(Box<dyn Tally>),
}

/// What a plugin counts over all nodes for the pods of one class. It is told of every node, of its changes and of its
/// end, so that nothing is ever counted again from the start.
pub trait Tally: Debug + Send + Sync {
    /// Counts a node in. `None` where the tally has to be made anew.
    fn enter(&mut self, node: &NodeInfo) -> Option<Mark>;

    /// Counts a node out, which got `mark` when it was counted in.
    fn leave(&mut self, mark: &Mark);

    /// Whether the tally still suits its class, after the namespaces, services or workloads have changed, or the way
    /// in which pods have affinity or nodes have hostnames.
    fn suits(&self, _pod: &PodInfo, _cluster: &Snapshot) -> bool {
        true
    }

    /// Whether there are nodes, or can be, that [`Tally::check`] refuses.
    fn refuses(&self) -> bool {
        true
    }

    /// Whether the pod may go to the nodes with the key `key`.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, _key: &[i64]) -> Result<(), Refusal> {
        Ok(())
    }

    /// The scores, 0 to [`MAX_SCORE`], of the nodes that passed: these come in groups of a key each, so many in a
    /// group. `None`: no preference.
    fn scores(&self, _groups: &[(&[i64], usize)]) -> Option<Vec<i64>> {
        None
    }
}

/// What a [`Tally`] notes of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// All that the node's verdict and score depend on, beside the counts. Few nodes should differ.
    pub key: Vec<i64>,
    /// What was counted.
    pub counted: Vec<i64>,
}

/// A change of the cluster that may help pods which wait.
#[derive(Clone, Debug)]
pub enum ClusterEvent {
    /// A node appeared (`old` is `None`), changed, or went (`new` is `None`).
    Node {
        /// The version before.
        old: Option<Arc<Node>>,
        /// The version now.
        new: Option<Arc<Node>>,
    },
    /// A pod that has a node appeared, changed or went.
    Pod {
        /// The version before.
        old: Option<Arc<PodInfo>>,
        /// The version now.
        new: Option<Arc<PodInfo>>,
    },
    /// The waiting pod itself changed.
    Itself,
    /// Something else changed that plugins read: a namespace, a service, a disruption budget.
    Other,
}

impl ClusterEvent {
    /// Whether a pod came to a node.
    pub fn is_pod_added(&self) -> bool {
        matches!(self, Self::Pod { old: None, .. })
    }

    /// The node as it was and is, of an event that may have made it take more pods: it appeared or changed.
    pub fn node_gain(&self) -> Option<(Option<&Node>, &Node)> {
        match self {
            Self::Node { old, new: Some(new) } => Some((old.as_deref(), new)),
            _ => None,
        }
    }

    /// The pod that left its node.
    pub fn pod_gone(&self) -> Option<&PodInfo> {
        match self {
            Self::Pod { old: Some(old), new: None } => Some(old),
            _ => None,
        }
    }
}

/// Says whether a pod may be scheduled yet.
pub trait Gate: Send + Sync {
    /// Called when the pod is to be queued.
    ///
    /// # Errors
    /// What the pod waits for. It is looked at again when it changes.
    fn check(&self, pod: &PodInfo) -> Result<(), String>;
}

/// Orders the pods that wait.
pub trait Sort: Send + Sync {
    /// The pod's rank: higher goes first. Equal ranks go in the order of their coming.
    fn rank(&self, pod: &PodInfo) -> i64;
}

/// What a filter works out of a pod and the cluster before it looks at nodes.
#[derive(Debug)]
pub enum Prepared<'a> {
    /// Every node will do.
    Pass,
    /// No node will.
    Refuse(Refusal),
    /// It depends on the node.
    Check(Box<dyn NodeFilter<'a> + 'a>),
    /// As `Check`, and only these nodes come into question.
    Among(BTreeSet<String>, Box<dyn NodeFilter<'a> + 'a>),
}

/// Rules out nodes.
pub trait Filter: Send + Sync {
    /// Called once per decision, before the nodes are looked at.
    fn prepare<'a>(&'a self, pod: &'a PodInfo, cluster: &'a Snapshot) -> Prepared<'a>;
}

/// Judges node after node for one pod.
pub trait NodeFilter<'a>: Debug + Send + Sync {
    /// Whether the pod may go to `node`.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal>;

    /// Supposes that `other` were on `node` too. The `node` that is checked afterwards has it.
    fn suppose(&mut self, _other: &PodInfo, _node: &NodeInfo) {}

    /// Supposes that `other` were not on `node`. The `node` that is checked afterwards has it no more.
    fn suppose_gone(&mut self, _other: &PodInfo, _node: &NodeInfo) {}

    /// A copy for suppositions that the original does not share.
    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a>;
}

/// What preemption and the like come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// What the user is told.
    pub message: String,
    /// What becomes of the pod's nominated node.
    pub nomination: Nomination,
}

/// Helps a pod that no node takes.
pub trait PostFilter: Send + Sync {
    /// Called where all nodes refused. The first plugin that nominates a node is the last to be asked.
    fn remedy(&self, pod: &Arc<PodInfo>, cluster: &Snapshot, filters: &Filters<'_>, diagnosis: &Diagnosis) -> Remedy;
}

/// Prefers nodes.
pub trait Score: Send + Sync {
    /// Called once per decision with the nodes that passed. `None`: no preference.
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
        nodes: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>>;
}

/// Scores node after node for one pod.
pub trait NodeScore: Send + Sync {
    /// The score of `node`, of any size where [`NodeScore::normalize`] brings it into bounds.
    fn score(&self, node: &NodeInfo) -> i64;

    /// Whether scores are in bounds as they are.
    fn is_absolute(&self) -> bool {
        false
    }

    /// Brings the scores of `nodes` into 0 to [`MAX_SCORE`]. By default they are there already. Of several nodes with
    /// the same score, it may be shown only one.
    fn normalize(&self, _nodes: &[&NodeInfo], _scores: &mut [i64]) {}
}

/// Scales scores to 0..=100 by the highest; `reverse` makes low scores the good ones.
pub fn normalize_by_highest(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        *score = match highest {
            0 if reverse => MAX_SCORE,
            0 => *score,
            _ if reverse => MAX_SCORE - MAX_SCORE * *score / highest,
            _ => MAX_SCORE * *score / highest,
        };
    }
}

/// Keeps account of what decided pods take.
pub trait Reserve: Send + Sync {
    /// The pod is going to `node`.
    ///
    /// # Errors
    /// Why it cannot. [`Reserve::release`] is called then, too.
    fn reserve(&self, pod: &PodInfo, node: &str) -> Result<(), Refusal>;

    /// It is not, after all. May be called for what was never reserved.
    fn release(&self, pod: &PodInfo, node: &str);
}

/// What a [`Permit`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Go on.
    Granted,
    /// Ask again after this time; what was reserved stays so.
    Wait(Duration),
    /// Do not bind the pod.
    Denied(Cow<'static, str>),
}

/// Holds a decided pod back.
pub trait Permit: Send + Sync {
    /// Asked before the pod is bound, again and again while it says to wait.
    fn permit(&self, pod: &PodInfo, node: &str) -> Permission;
}

/// Prepares or does the binding.
///
/// # Cancel safety
/// Dropping the future leaves open whether the binding took place.
#[async_trait]
pub trait Bind: Send + Sync {
    /// What must be done before the pod is bound (attaching volumes, say).
    async fn prepare(&self, _client: &Client, _pod: &PodInfo, _node: &str) -> Result<(), ApiError> {
        Ok(())
    }

    /// Binds the pod; `false` leaves that to the next plugin.
    async fn bind(&self, client: &Client, pod: &PodInfo, node: &str) -> Result<bool, ApiError>;
}
