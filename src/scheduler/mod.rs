//! The scheduler: gives pods their nodes.
//!
//! [`Scheduler`] decides; [`run`] drives it over a [`Client`]: it follows pods and nodes, queues what waits, asks
//! for a decision over a [`Snapshot`](snapshot::Snapshot), and binds. The default scheduler is [`Framework`], made of
//! [plugins]; a program can replace a plugin, or the whole.

mod bind;
mod config;
mod cycle;
mod explain;
mod follow;
pub mod framework;
pub mod plugins;
pub mod queue;
pub mod snapshot;
mod state;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

pub use self::config::{Config, DEFAULT_SCHEDULER};
pub use self::cycle::{explain, run};
pub use self::explain::{Explanation, NodeExplanation, Scored};
pub use self::framework::{ClusterEvent, Diagnosis, Framework, Nomination};
use self::snapshot::{PodInfo, Snapshot};
use crate::api::ApiError;
use crate::client::Client;

/// A decision about one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The pod goes to a node.
    Node {
        /// The node.
        name: String,
        /// How many nodes were looked at.
        evaluated: usize,
        /// How many of them would have done.
        feasible: usize,
    },
    /// The pod goes nowhere, for now.
    None(Unplaced),
}

impl Placement {
    /// The pod goes to the node `name`.
    pub fn on(name: impl Into<String>) -> Self {
        Self::Node { name: name.into(), evaluated: 1, feasible: 1 }
    }

    /// The pod goes nowhere; `message` tells the user why.
    pub fn none(message: impl Into<String>) -> Self {
        Self::None(Unplaced { message: message.into(), refused_by: Vec::new(), nomination: Nomination::Keep })
    }

    /// The node, where there is one.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Node { name, .. } => Some(name),
            Self::None(_) => None,
        }
    }
}

/// Why a pod goes nowhere, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unplaced {
    /// What the user is told.
    pub message: String,
    /// The plugins that refused, for [`Scheduler::may_help`].
    pub refused_by: Vec<&'static str>,
    /// The node that is to be cleared for the pod.
    pub nomination: Nomination,
}

/// Why a decided pod was not bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A plugin held it back.
    #[error("pod rejected by {plugin}: {reason}")]
    Denied {
        /// The plugin.
        plugin: &'static str,
        /// Why.
        reason: String,
    },
    /// No plugin binds.
    #[error("no bind plugin took the pod")]
    Nobody,
    /// The API refused.
    #[error(transparent)]
    Api(ApiError),
}

/// Decides on which node a pod runs.
///
/// Only [`place`](Scheduler::place) must be written; the other methods say when a pod is asked about, and what
/// happens to it once it is decided. Decisions are asked for one at a time, each over a snapshot that has the ones
/// before in it; bindings run beside them.
///
/// ```
/// use std::sync::Arc;
/// use orchestrion::scheduler::snapshot::{PodInfo, Snapshot};
/// use orchestrion::scheduler::{Placement, Scheduler};
///
/// /// The node with the fewest pods.
/// #[derive(Debug)]
/// struct Fewest;
///
/// impl Scheduler for Fewest {
///     fn place(&self, _pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
///         let open = cluster.nodes().iter().filter(|node| !node.is_unschedulable());
///         let fewest = open.min_by_key(|node| (node.pods().len(), node.name().to_owned()));
///         fewest.map_or_else(|| Placement::none("no node is open"), |node| Placement::on(node.name()))
///     }
/// }
/// ```
#[async_trait]
pub trait Scheduler: Debug + Send + Sync + 'static {
    /// Decides where `pod` goes.
    fn place(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement;

    /// Whether `pod` may be asked about yet.
    ///
    /// # Errors
    /// What it waits for. It is looked at again when it changes.
    fn gate(&self, _pod: &PodInfo) -> Result<(), String> {
        Ok(())
    }

    /// The rank of `pod` in the queue: higher goes first, equal ranks in the order of their coming. By default
    /// the priority.
    fn rank(&self, pod: &PodInfo) -> i64 {
        pod.priority().into()
    }

    /// Whether `event` may help any pod that those plugins refused. Asked once where many pods wait; by default it may.
    fn concerns(&self, _refused_by: &[&'static str], _event: &ClusterEvent) -> bool {
        true
    }

    /// Whether `event` may help `pod`, which those plugins refused. By default anything may.
    fn may_help(&self, _pod: &PodInfo, _refused_by: &[&'static str], _event: &ClusterEvent) -> bool {
        true
    }

    /// `pod` is going to `node`: the last chance to say no before the decision counts.
    ///
    /// # Errors
    /// Why it cannot; the pod is then decided on again later.
    fn reserve(&self, _pod: &PodInfo, _node: &str) -> Result<(), Box<Diagnosis>> {
        Ok(())
    }

    /// `pod` is not going to `node`, after all.
    fn release(&self, _pod: &PodInfo, _node: &str) {}

    /// Binds `pod` to `node`, now or when the time has come.
    ///
    /// # Errors
    /// Why not; the pod is then decided on again later.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the binding took place.
    async fn bind(&self, client: &Client, pod: &PodInfo, node: &str) -> Result<(), BindError> {
        let pods = client.api::<Pod>(&pod.key.namespace);
        pods.bind(&pod.key.name, Some(pod.uid()), node).await.map_err(BindError::Api)
    }

    /// Why `pod` goes where it goes. A scheduler that does not say gives an empty answer.
    fn explain(&self, _pod: &Arc<PodInfo>, _cluster: &Snapshot) -> Explanation {
        Explanation::default()
    }
}

fn _object_safe(_: &dyn Scheduler) {}
