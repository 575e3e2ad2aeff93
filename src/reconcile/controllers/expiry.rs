//! What goes after a while: events an hour after they were last written, Jobs so long after their end as they say.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use tokio::sync::Notify;

use crate::api::{DeleteOptions, FieldSelector, Key, LabelSelector, Object, Propagation, Revision};
use crate::client::Followed;
use crate::reconcile::{Action, Context, Controller, Error, Reconciler, Running};

/// How long events are kept: what `--event-ttl` of kube-apiserver is by default.
pub const EVENT_LIFE: Duration = Duration::from_secs(60 * 60);

const EVENTS: &str = "event-ttl-controller";

/// The pause after an event could not be deleted.
const RETRY: Duration = Duration::from_secs(10);

/// Starts to delete events that were written `after` ago and not again since. (Upstream's store forgets them by itself.)
/// How long those have been there that it finds at first is judged by when they last happened.
///
/// There are many events, so it keeps none: of each write a line says where it was and when it is over.
pub fn events(ctx: &Context, after: Duration) -> Running {
    let ctx = ctx.named(EVENTS);
    Running::of(tokio::spawn(async move {
        let lines = Lines::default();
        tokio::join!(lines.follow(&ctx, after), lines.expire(&ctx));
    }))
}

/// The controller that deletes Jobs by their `ttlSecondsAfterFinished`.
pub fn jobs() -> Controller<JobExpiry> {
    Controller::new("ttl-after-finished-controller", JobExpiry)
}

/// What was written, in the order in which it is over.
#[derive(Debug, Default)]
struct Lines {
    queue: Mutex<VecDeque<Line>>,
    /// Rings when there is another first.
    bell: Notify,
}

/// A version of an event.
#[derive(Debug)]
struct Line {
    over: Duration,
    key: Key,
    revision: Revision,
}

impl Lines {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line: mostly the last.
    fn put(&self, line: Line) {
        let mut queue = self.queue();
        let at = match queue.back() {
            Some(last) if last.over > line.over => queue.partition_point(|other| other.over <= line.over),
            _ => queue.len(),
        };
        queue.insert(at, line);
        if at == 0 {
            self.bell.notify_one();
        }
    }

    async fn follow(&self, ctx: &Context, after: Duration) {
        let clock = *ctx.clock();
        let line = |object: &Object, age: Duration| {
            let over = (clock.elapsed() + after).saturating_sub(age);
            Line { over, key: object.key(), revision: object.revision() }
        };
        let step = |followed| match followed {
            Followed::All(objects, _) => {
                let age = |object: &Object| object.as_typed().and_then(happened).map(|last| clock.since(last));
                let mut all: Vec<_> =
                    objects.iter().map(|object| line(object, age(object).unwrap_or_default())).collect();
                all.sort_by_key(|line| line.over);
                *self.queue() = all.into();
                self.bell.notify_one();
            }
            Followed::Set(object) => self.put(line(&object, Duration::ZERO)),
            // Its line comes to nothing.
            Followed::Gone(_) | Followed::Progress(_) => {}
        };
        let everything = (LabelSelector::default(), FieldSelector::default());
        ctx.client().all::<Event>().dynamic().follow(&everything.0, &everything.1, step).await;
    }

    async fn expire(&self, ctx: &Context) {
        loop {
            let first = self.queue().front().map(|line| line.over);
            let now = ctx.clock().elapsed();
            if first.is_none_or(|over| over > now) {
                tokio::select! {
                    biased;
                    () = self.bell.notified() => {}
                    () = ctx.clock().sleep(first.unwrap_or_default().saturating_sub(now)), if first.is_some() => {}
                }
                continue;
            }
            let Some(line) = self.queue().pop_front() else { continue };
            let (namespace, name) = (line.key.namespace(), line.key.name());
            // Only this version: one that was written again has a line of its own.
            let options =
                DeleteOptions { resource_version: Some(line.revision.to_string()), ..DeleteOptions::default() };
            match ctx.client().api::<Event>(namespace).delete_with(name, &options).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => {
                    tracing::debug!(namespace, name, %error, "an old event is not deleted");
                    // Others need not wait for it.
                    self.put(Line { over: ctx.clock().elapsed() + RETRY, ..line });
                }
                _ => {}
            }
        }
    }
}

/// When an event last happened.
fn happened(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let times = [series, event.event_time.as_ref()].map(|time| time.map(|time| time.0));
    let written =
        [&event.last_timestamp, &event.metadata.creation_timestamp].map(|time| time.as_ref().map(|time| time.0));
    times.into_iter().chain(written).flatten().max()
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
        let meta = &job.metadata;
        let Some(end) = end.filter(|_| meta.deletion_timestamp.is_none()) else { return Ok(Action::Done) };
        let left = Duration::from_secs(seconds).saturating_sub(ctx.clock().since(end));
        if !left.is_zero() {
            return Ok(Action::After(left));
        }
        // Only this version: one that has changed meanwhile may have been given more time.
        let options = DeleteOptions {
            propagation: Some(Propagation::Foreground),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            ..DeleteOptions::default()
        };
        let jobs = ctx.client().api::<Job>(meta.namespace.as_deref().unwrap_or_default());
        match jobs.delete_with(meta.name.as_deref().unwrap_or_default(), &options).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
            _ => Ok(Action::Done),
        }
    }
}
