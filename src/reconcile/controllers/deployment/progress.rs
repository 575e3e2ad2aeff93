//! Whether a rollout makes progress, is done, or has taken too long.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Rollout;
use super::sets::Sets;
use super::status::{remove_condition, set_condition};
use crate::reconcile::{Action, Error};

pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(super) const PAUSED: &str = "DeploymentPaused";
pub(super) const RESUMED: &str = "DeploymentResumed";
const AVAILABLE: &str = "NewReplicaSetAvailable";
const UPDATED: &str = "ReplicaSetUpdated";

/// The condition of that type.
pub(super) fn condition<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

pub(super) fn new_condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Time,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    }
}

impl Rollout<'_> {
    /// Whether all pods are new and available.
    pub(super) fn is_complete(&self, status: &DeploymentStatus) -> bool {
        let all = self.wanted.replicas;
        let is_all = |count: Option<i32>| count.unwrap_or_default() == all;
        is_all(status.updated_replicas)
            && is_all(status.replicas)
            && is_all(status.available_replicas)
            && status.observed_generation >= self.deployment.metadata.generation
    }

    /// Whether anything has moved since the status that stands.
    fn is_progressing(&self, status: &DeploymentStatus) -> bool {
        let before = self.status();
        let count = |count: Option<i32>| count.unwrap_or_default();
        let old_pods = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
        count(status.updated_replicas) > count(before.updated_replicas)
            || old_pods(status) < old_pods(&before)
            || count(status.ready_replicas) > count(before.ready_replicas)
            || count(status.available_replicas) > count(before.available_replicas)
    }

    /// Whether nothing has moved for too long.
    fn has_timed_out(&self, status: &DeploymentStatus) -> bool {
        let (Some(deadline), Some(progressing)) = (self.wanted.deadline, condition(status, "Progressing")) else {
            return false;
        };
        match progressing.reason.as_deref() {
            Some(AVAILABLE) => false,
            Some(TIMED_OUT) => true,
            _ => self.since_update(progressing) > deadline,
        }
    }

    fn since_update(&self, condition: &DeploymentCondition) -> Duration {
        condition.last_update_time.as_ref().map_or(Duration::MAX, |time| self.ctx.clock().since(time.0))
    }

    /// Writes the status during a rollout, with how it goes.
    pub(super) async fn sync_rollout_status(&mut self, sets: &Sets) -> Result<Action, Error> {
        let mut status = self.count(sets);
        let before = self.status();
        let current = condition(&before, "Progressing").cloned();
        let is_settled = status.replicas == status.updated_replicas
            && current.as_ref().is_some_and(|condition| condition.reason.as_deref() == Some(AVAILABLE));
        if self.wanted.deadline.is_none() {
            remove_condition(&mut status, "Progressing");
        } else if !is_settled {
            self.judge(sets, &mut status, current.as_ref());
        }
        match failure(sets) {
            Some(failure) => set_condition(&mut status, failure),
            None => remove_condition(&mut status, "ReplicaFailure"),
        }
        if status == before {
            return Ok(self.next_look(&status, current.as_ref()));
        }
        self.write_status(status.clone()).await?;
        // The write has the Deployment looked at again, but not where nothing else moves.
        Ok(self.next_look(&status, condition(&status, "Progressing")))
    }

    fn judge(&self, sets: &Sets, status: &mut DeploymentStatus, current: Option<&DeploymentCondition>) {
        let subject = match &sets.new {
            Some(new) => format!("ReplicaSet \"{}\"", new.metadata.name.as_deref().unwrap_or_default()),
            None => format!("Deployment \"{}\"", self.name()),
        };
        let now = self.ctx.clock().time();
        let progressing = |value, reason, what: &str| {
            new_condition("Progressing", value, reason, format!("{subject} {what}"), now.clone())
        };
        if self.is_complete(status) {
            set_condition(status, progressing("True", AVAILABLE, "has successfully progressed."));
        } else if self.is_progressing(status) {
            let mut moving = progressing("True", UPDATED, "is progressing.");
            if let Some(current) = current.filter(|current| current.status == "True") {
                moving.last_transition_time = current.last_transition_time.clone();
            }
            // Even where nothing but the time differs: it is what the deadline counts from.
            remove_condition(status, "Progressing");
            set_condition(status, moving);
        } else if self.has_timed_out(status) {
            set_condition(status, progressing("False", TIMED_OUT, "has timed out progressing."));
        }
    }

    /// When the deadline has to be looked at, if nothing moves before.
    fn next_look(&self, status: &DeploymentStatus, progressing: Option<&DeploymentCondition>) -> Action {
        let (Some(deadline), Some(progressing)) = (self.wanted.deadline, progressing) else { return Action::Done };
        if self.is_complete(status) || progressing.reason.as_deref() == Some(TIMED_OUT) {
            return Action::Done;
        }
        Action::After(deadline.saturating_sub(self.since_update(progressing)) + Duration::from_secs(1))
    }
}

/// What keeps the ReplicaSets from creating pods: the new one's trouble, or else any.
fn failure(sets: &Sets) -> Option<DeploymentCondition> {
    sets.new.iter().chain(&sets.old).find_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        let failure = conditions.iter().find(|condition| condition.type_ == "ReplicaFailure")?;
        Some(DeploymentCondition {
            type_: failure.type_.clone(),
            status: failure.status.clone(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
            last_update_time: failure.last_transition_time.clone(),
            last_transition_time: failure.last_transition_time.clone(),
        })
    })
}
