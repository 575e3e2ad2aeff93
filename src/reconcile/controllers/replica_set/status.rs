//! The status that ReplicaSets and ReplicationControllers have in common.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::reconcile::Error;

/// The status of a [`Replicated`](super::Replicated) object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaStatus {
    /// Pods.
    pub replicas: i32,
    /// Pods with all labels of the template.
    pub fully_labeled: i32,
    /// Pods that serve.
    pub ready: i32,
    /// Pods that have served for long enough.
    pub available: i32,
    /// Pods that are being deleted, where the kind tells.
    pub terminating: Option<i32>,
    /// The generation that this is about.
    pub observed_generation: Option<i64>,
    /// The conditions.
    pub(super) conditions: Vec<Condition>,
}

/// A condition of a [`Replicated`](super::Replicated) object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) type_: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) last_transition_time: Option<Time>,
}

impl ReplicaStatus {
    /// Sets or removes the condition `ReplicaFailure`. One that is there stays as it is.
    pub(super) fn set_failure(&mut self, failure: Option<&Error>, too_few: bool, now: Timestamp) {
        const TYPE: &str = "ReplicaFailure";
        match failure {
            None => self.conditions.retain(|condition| condition.type_ != TYPE),
            Some(error) if self.conditions.iter().all(|condition| condition.type_ != TYPE) => {
                self.conditions.push(Condition {
                    type_: TYPE.to_owned(),
                    status: "True".to_owned(),
                    reason: Some(if too_few { "FailedCreate" } else { "FailedDelete" }.to_owned()),
                    message: Some(error.to_string()),
                    last_transition_time: Some(Time(now)),
                });
            }
            Some(_) => {}
        }
    }
}
