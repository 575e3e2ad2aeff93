//! The status of a Deployment: counts and conditions.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};

use super::progress::new_condition;
use super::sets::{Sets, actual, available, size};
use super::{Rollout, progress};
use crate::reconcile::{Action, Error};

/// Sets a condition. One of the same status and reason stays as it is; one of the same status keeps the time of its
/// transition.
pub(super) fn set_condition(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(current) = progress::condition(status, &condition.type_)
        && current.status == condition.status
    {
        if current.reason == condition.reason {
            return;
        }
        condition.last_transition_time = current.last_transition_time.clone();
    }
    remove_condition(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

pub(super) fn remove_condition(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != type_);
    }
    status.conditions = status.conditions.take().filter(|conditions| !conditions.is_empty());
}

impl Rollout<'_> {
    /// Writes the status where it differs.
    pub(super) async fn sync_status(&mut self, sets: &Sets) -> Result<Action, Error> {
        let status = self.count(sets);
        if status != self.status() {
            self.write_status(status).await?;
        }
        Ok(Action::Done)
    }

    /// The counts, and whether enough pods are available.
    pub(super) fn count(&self, sets: &Sets) -> DeploymentStatus {
        // Counts of zero are left out, as upstream's `omitempty` has it.
        let nonzero = |count: i32| Some(count).filter(|count| *count != 0);
        let ready = sets.all().filter_map(|set| set.status.as_ref()?.ready_replicas).sum();
        let serving: i32 = sets.all().map(|set| available(set)).sum();
        let total: i32 = sets.all().map(|set| size(set)).sum();
        let terminating: Option<i32> =
            sets.all().map(|set| set.status.as_ref().and_then(|status| status.terminating_replicas)).sum();
        let old = self.status();
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: nonzero(sets.all().map(|set| actual(set)).sum()),
            updated_replicas: nonzero(sets.new.as_ref().map_or(0, |new| actual(new))),
            ready_replicas: nonzero(ready),
            available_replicas: nonzero(serving),
            unavailable_replicas: nonzero((total - serving).max(0)),
            terminating_replicas: terminating,
            collision_count: old.collision_count,
            conditions: old.conditions,
        };
        let now = self.ctx.clock().time();
        let enough = serving >= self.wanted.replicas - self.wanted.max_unavailable;
        let (value, reason, message) = if enough {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        set_condition(&mut status, new_condition("Available", value, reason, message.to_owned(), now));
        status
    }
}
