//! What goes after a while: events an hour after they last happened, Jobs so long after their end as they say.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;

use crate::api::{ApiType, DeleteOptions, Propagation};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler};

/// How long events are kept: what `--event-ttl` of kube-apiserver is by default.
pub const EVENT_LIFE: Duration = Duration::from_secs(60 * 60);

/// The controller that deletes events `after` they last happened. (Upstream's store forgets them by itself.)
pub fn events(after: Duration) -> Controller<EventExpiry> {
    Controller::new("event-ttl-controller", EventExpiry { after })
}

/// The controller that deletes Jobs by their `ttlSecondsAfterFinished`.
pub fn jobs() -> Controller<JobExpiry> {
    Controller::new("ttl-after-finished-controller", JobExpiry)
}

/// Deletes old events.
#[derive(Debug)]
pub struct EventExpiry {
    after: Duration,
}

#[async_trait]
impl Reconciler for EventExpiry {
    type Object = Event;

    async fn reconcile(&self, event: Arc<Event>, ctx: &Context) -> Result<Action, Error> {
        let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let happened = event.event_time.as_ref().map(|time| time.0);
        let written =
            [&event.last_timestamp, &event.metadata.creation_timestamp].map(|time| time.as_ref().map(|time| time.0));
        let last = [series, happened, written[0], written[1]].into_iter().flatten().max();
        expire(ctx, &*event, last, self.after, None).await
    }
}

/// Deletes Jobs that are done.
#[derive(Debug)]
pub struct JobExpiry;

#[async_trait]
impl Reconciler for JobExpiry {
    type Object = Job;

    async fn reconcile(&self, job: Arc<Job>, ctx: &Context) -> Result<Action, Error> {
        let seconds = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
        let Some(seconds) = seconds.and_then(|seconds| u64::try_from(seconds).ok()) else { return Ok(Action::Done) };
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ends = conditions.filter(|condition| {
            ["Complete", "Failed"].contains(&condition.type_.as_str()) && condition.status == "True"
        });
        let end = ends.find_map(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
        expire(ctx, &*job, end, Duration::from_secs(seconds), Some(Propagation::Foreground)).await
    }
}

/// Deletes an object a while after `since`; never where that is not known.
async fn expire<K: ApiType>(
    ctx: &Context,
    object: &K,
    since: Option<Timestamp>,
    after: Duration,
    propagation: Option<Propagation>,
) -> Result<Action, Error> {
    let meta = object.metadata();
    let Some(since) = since.filter(|_| meta.deletion_timestamp.is_none()) else { return Ok(Action::Done) };
    let left = after.saturating_sub(ctx.clock().since(since));
    if !left.is_zero() {
        return Ok(Action::After(left));
    }
    // Only this version: one that has changed meanwhile may have been given more time.
    let options = DeleteOptions {
        propagation,
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..DeleteOptions::default()
    };
    let api = ctx.client().api::<K>(meta.namespace.as_deref().unwrap_or_default());
    match api.delete_with(meta.name.as_deref().unwrap_or_default(), &options).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
        _ => Ok(Action::Done),
    }
}
