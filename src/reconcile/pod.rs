//! What the state of a pod means to those who count pods.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::{Context, Error};
use crate::api::DeleteOptions;
pub use crate::api::kinds::core::pod::{condition, is_ready, is_terminal, phase};

/// The condition that says that a pod is about to go for no fault of its own.
const DISRUPTION: &str = "DisruptionTarget";

/// Whether the pod counts as a replica: neither at its end nor being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether the pod is being deleted and has not come to its end yet.
pub fn is_terminating(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// Since when the pod serves; `None` where it does not, or where nobody said.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|condition| condition.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether the pod has served for `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    is_ready(pod) && (min_ready_seconds <= 0 || available_in(pod, min_ready_seconds, now) == Some(Duration::ZERO))
}

/// In how long a pod that serves will have done so for `min_ready_seconds`; zero where it has.
pub fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    let since = ready_since(pod)?;
    let served = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let wanted = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or_default());
    Some(wanted.saturating_sub(served))
}

/// Deletes a pod that does not go by itself. With a `reason`, its condition `DisruptionTarget` says why; where it is
/// deleted at once (a grace period of zero) it has failed, if it had not ended before. That it is gone already is
/// well.
///
/// # Errors
/// Where the API refuses.
pub async fn disrupt(
    ctx: &Context,
    pod: &Pod,
    reason: &str,
    message: &str,
    grace_period: Option<i64>,
) -> Result<(), Error> {
    let api = ctx.client().api::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default());
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let now = ctx.clock().time();
    let marked = api
        .modify_status(name, |current| {
            if current.metadata.uid != pod.metadata.uid {
                return;
            }
            let has_ended = is_terminal(current);
            let status = current.status.get_or_insert_default();
            if grace_period == Some(0) && !has_ended {
                status.phase = Some("Failed".to_owned());
            }
            let conditions = status.conditions.get_or_insert_default();
            let known = conditions.iter().any(|condition| condition.type_ == DISRUPTION && condition.status == "True");
            if !reason.is_empty() && !known {
                conditions.retain(|condition| condition.type_ != DISRUPTION);
                conditions.push(PodCondition {
                    type_: DISRUPTION.to_owned(),
                    status: "True".to_owned(),
                    reason: Some(reason.to_owned()),
                    message: Some(message.to_owned()),
                    last_transition_time: Some(now.clone()),
                    ..PodCondition::default()
                });
            }
        })
        .await;
    let options = DeleteOptions { grace_period, uid: pod.metadata.uid.clone(), ..DeleteOptions::default() };
    let deleted = match marked {
        Ok(_) => api.delete_with(name, &options).await.map(drop),
        Err(error) => Err(error),
    };
    match deleted {
        // Gone, or another one of that name by now.
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
        _ => Ok(()),
    }
}
