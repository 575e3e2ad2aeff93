//! What follows from a decision: binding, or telling the user and making room.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use tokio::sync::OwnedSemaphorePermit;

use super::follow::{News, World, scheduler_name};
use super::framework::Nomination;
use super::snapshot::PodInfo;
use super::{Scheduler, Unplaced};
use crate::api::ApiError;
use crate::client::{Client, EventRecorder};

/// The longest note of an event.
const NOTE: usize = 1024;

/// A pod that counts on a node, but is not bound to it yet.
pub(super) struct Decided {
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) pod: Arc<PodInfo>,
    pub(super) node: String,
    /// Its place among those that are on their way at once.
    pub(super) place: OwnedSemaphorePermit,
}

/// Where decisions take effect.
#[derive(Clone, Debug)]
pub(super) struct Effects {
    pub(super) world: Arc<World>,
    pub(super) client: Client,
    pub(super) events: EventRecorder,
}

impl Effects {
    fn events_for(&self, pod: &PodInfo) -> EventRecorder {
        self.events.named(scheduler_name(pod))
    }

    /// Binds pods that count on their nodes already, side by side.
    pub(super) async fn bind_all(self, decided: Vec<Decided>) {
        let mut binding: FuturesUnordered<_> = decided.into_iter().map(|decided| self.bind(decided)).collect();
        while binding.next().await.is_some() {}
    }

    /// Binds a pod that counts on its node already; where that fails, it no longer does.
    async fn bind(&self, Decided { scheduler, pod, node, place: _place }: Decided) {
        let Err(error) = scheduler.bind(&self.client, &pod, &node).await else {
            let message = ["Successfully assigned ", &pod.key.namespace, "/", &pod.key.name, " to ", &node].concat();
            self.events_for(&pod).normal(&*pod.pod, "Scheduled", message);
            return;
        };
        tracing::debug!(pod = %pod.key, node, %error, "binding failed");
        scheduler.release(&pod, &node);
        self.world.tell(News::NotBound(Arc::clone(&pod)));
        // Boxed, as it is seldom under way and takes much room.
        Box::pin(self.tell(&pod, "SchedulerError", &format!("binding rejected: {error}"), &Nomination::Keep)).await;
    }

    /// Tells the user that a pod goes nowhere, and makes the room for it that was decided on. The `losers` waited for
    /// that room, and are less important.
    pub(super) async fn refused(self, pod: Arc<PodInfo>, why: Unplaced, losers: Vec<Arc<PodInfo>>) {
        self.tell(&pod, "Unschedulable", &why.message, &why.nomination).await;
        let Nomination::Node { name, victims } = &why.nomination else { return };
        for victim in victims {
            if let Err(error) = self.preempt(&pod, victim, name).await
                && !error.is_not_found()
            {
                tracing::warn!(pod = %pod.key, victim = %victim.key, %error, "could not preempt");
            }
        }
        self.world.tell(News::Cleared { pod, refused_by: why.refused_by });
        for loser in &losers {
            self.update(loser, |status| status.nominated_node_name = None).await;
        }
    }

    async fn preempt(&self, pod: &PodInfo, victim: &PodInfo, node: &str) -> Result<(), ApiError> {
        let pods = self.client.api::<Pod>(&victim.key.namespace);
        let now = self.client.clock().time();
        let by = scheduler_name(pod);
        let condition = |generation| PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("PreemptionByScheduler".to_owned()),
            message: Some(format!("{by}: preempting to accommodate a higher priority pod")),
            last_transition_time: Some(now.clone()),
            observed_generation: generation,
            ..PodCondition::default()
        };
        let uid = victim.uid();
        let marked = pods.modify_status(&victim.key.name, |target| {
            if target.metadata.uid.as_deref() == Some(uid) {
                set_condition(target, condition(target.metadata.generation));
            }
        });
        if marked.await?.metadata.uid.as_deref() != Some(uid) {
            return Ok(());
        }
        pods.delete(&victim.key.name).await?;
        let message = format!("Preempted by pod {} on node {node}", pod.uid());
        self.events_for(pod).normal(&*victim.pod, "Preempted", message);
        Ok(())
    }

    /// Says on the pod and in an event why it goes nowhere.
    async fn tell(&self, pod: &PodInfo, reason: &str, message: &str, nomination: &Nomination) {
        self.events_for(pod).warning(&*pod.pod, "FailedScheduling", shortened(message));
        let now = self.client.clock().time();
        let generation = pod.pod.metadata.generation;
        let condition = PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(now),
            observed_generation: generation,
            ..PodCondition::default()
        };
        let told = self.update_pod(pod, |target| {
            set_condition(target, condition.clone());
            let status = target.status.get_or_insert_default();
            match nomination {
                Nomination::Keep => {}
                Nomination::Clear => status.nominated_node_name = None,
                Nomination::Node { name, .. } => status.nominated_node_name = Some(name.clone()),
            }
        });
        told.await;
    }

    async fn update(&self, pod: &PodInfo, change: impl Fn(&mut k8s_openapi::api::core::v1::PodStatus) + Send + Sync) {
        self.update_pod(pod, |target| change(target.status.get_or_insert_default())).await;
    }

    /// Changes the status of a pod that has no node yet.
    async fn update_pod(&self, pod: &PodInfo, change: impl Fn(&mut Pod) + Send + Sync) {
        let pods = self.client.api::<Pod>(&pod.key.namespace);
        let updated = pods.modify_status(&pod.key.name, |target| {
            let waits =
                target.spec.as_ref().is_none_or(|spec| spec.node_name.as_deref().unwrap_or_default().is_empty());
            if target.metadata.uid.as_deref() == Some(pod.uid()) && waits {
                change(target);
            }
        });
        if let Err(error) = updated.await
            && !error.is_not_found()
        {
            tracing::debug!(pod = %pod.key, %error, "could not update the pod's status");
        }
    }

    /// A pod that is being deleted is not scheduled any more.
    pub(super) fn skip(&self, pod: &PodInfo) {
        let message = format!("skip schedule deleting pod: {}/{}", pod.key.namespace, pod.key.name);
        self.events_for(pod).warning(&*pod.pod, "FailedScheduling", message);
    }
}

/// Sets a condition; one that says the same already stays as it is.
fn set_condition(pod: &mut Pod, mut condition: PodCondition) {
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    let Some(old) = conditions.iter_mut().find(|old| old.type_ == condition.type_) else {
        return conditions.push(condition);
    };
    if old.status == condition.status {
        condition.last_transition_time.clone_from(&old.last_transition_time);
    }
    condition.last_probe_time.clone_from(&old.last_probe_time);
    *old = condition;
}

/// A message that an event can carry.
fn shortened(message: &str) -> String {
    const MORE: &str = " ...";
    if message.len() <= NOTE {
        return message.to_owned();
    }
    let mut end = NOTE - MORE.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MORE}", &message[..end])
}
