//! [`Replicated`]: what the controller needs of ReplicaSets and ReplicationControllers.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};

use super::Condition;
use super::status::ReplicaStatus;
use crate::api::{ApiType, LabelSelector};

/// An object that wants a number of pods of one template.
pub trait Replicated: ApiType {
    /// How many pods it wants.
    fn replicas(&self) -> i32;
    /// Which pods are its; `None` where that makes no sense.
    fn selector(&self) -> Option<LabelSelector>;
    /// What its pods are like.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// How long a pod must serve until it counts as available.
    fn min_ready_seconds(&self) -> i32;
    /// Its status.
    fn status(&self) -> ReplicaStatus;
    /// Sets its status.
    fn set_status(&mut self, status: ReplicaStatus);
}

/// The two kinds' conditions have the same fields but are different types.
macro_rules! conditions {
    ($type:ident) => {
        impl From<$type> for Condition {
            fn from($type { type_, status, reason, message, last_transition_time }: $type) -> Self {
                Self { type_, status, reason, message, last_transition_time }
            }
        }
        impl From<Condition> for $type {
            fn from(Condition { type_, status, reason, message, last_transition_time }: Condition) -> Self {
                Self { type_, status, reason, message, last_transition_time }
            }
        }
    };
}

conditions!(ReplicaSetCondition);
conditions!(ReplicationControllerCondition);

fn into_all<A: Into<B>, B>(all: Vec<A>) -> Vec<B> {
    all.into_iter().map(Into::into).collect()
}

fn filled<T>(all: Vec<T>) -> Option<Vec<T>> {
    Some(all).filter(|all| !all.is_empty())
}

impl Replicated for ReplicaSet {
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn selector(&self) -> Option<LabelSelector> {
        LabelSelector::try_from(&self.spec.as_ref()?.selector).ok()
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
    }

    fn status(&self) -> ReplicaStatus {
        let status = self.status.clone().unwrap_or_default();
        ReplicaStatus {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            terminating: status.terminating_replicas,
            observed_generation: status.observed_generation,
            conditions: into_all(status.conditions.unwrap_or_default()),
        }
    }

    fn set_status(&mut self, status: ReplicaStatus) {
        self.status = Some(ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: nonzero(status.fully_labeled),
            ready_replicas: nonzero(status.ready),
            available_replicas: nonzero(status.available),
            terminating_replicas: status.terminating,
            observed_generation: status.observed_generation,
            conditions: filled(into_all(status.conditions)),
        });
    }
}

impl Replicated for ReplicationController {
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn selector(&self) -> Option<LabelSelector> {
        Some(LabelSelector::from_map(self.spec.as_ref()?.selector.as_ref()?)).filter(|selector| !selector.is_empty())
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
    }

    fn status(&self) -> ReplicaStatus {
        let status = self.status.clone().unwrap_or_default();
        ReplicaStatus {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            terminating: None,
            observed_generation: status.observed_generation,
            conditions: into_all(status.conditions.unwrap_or_default()),
        }
    }

    fn set_status(&mut self, status: ReplicaStatus) {
        self.status = Some(ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: nonzero(status.fully_labeled),
            ready_replicas: nonzero(status.ready),
            available_replicas: nonzero(status.available),
            observed_generation: status.observed_generation,
            conditions: filled(into_all(status.conditions)),
        });
    }
}

/// Counts of zero are left out, as upstream's `omitempty` has it.
fn nonzero(count: i32) -> Option<i32> {
    Some(count).filter(|count| *count != 0)
}
