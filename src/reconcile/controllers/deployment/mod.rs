//! Deployments: rollouts of a pod template over ReplicaSets.
//!
//! | file | what |
//! |---|---|
//! | `wanted` | what the spec asks for, with surge and unavailability in pods |
//! | `sets` | which ReplicaSets there are, and the new one among them |
//! | `revision`, `hash` | how ReplicaSets are numbered and named |
//! | `scale` | sizes, and a change of size spread over ReplicaSets in proportion |
//! | `rolling`, `recreate` | the two strategies |
//! | `status`, `progress` | counts and conditions |

mod hash;
mod progress;
mod recreate;
mod revision;
mod rolling;
mod scale;
mod sets;
mod status;
mod wanted;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

use self::status::set_condition;
use self::wanted::Wanted;
use crate::api::{ApiError, LabelSelector};
use crate::client::{Change, Informers, ObjectRef};
use crate::reconcile::adopt::{candidates, claim, controller_of};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler};

/// The controller of Deployments.
pub fn controller() -> Controller<Deployments> {
    Controller::new("deployment-controller", Deployments).owns::<ReplicaSet>().watches(adopters).watches(recreated)
}

/// Those that might adopt a ReplicaSet that nobody controls.
fn adopters(change: &Change<ReplicaSet>, informers: &Informers) -> Vec<ObjectRef> {
    let Some(set) = change.new.as_ref().filter(|set| controller_of(&set.metadata).is_none()) else { return Vec::new() };
    let all = informers.of::<Deployment>().list_in(set.metadata.namespace.as_deref().unwrap_or_default());
    let selects = |deployment: &Deployment| {
        let selector = deployment.spec.as_ref().and_then(|spec| LabelSelector::try_from(&spec.selector).ok());
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(set.metadata.labels.as_ref()))
    };
    all.iter().filter(|deployment| selects(deployment)).map(|deployment| ObjectRef::of(&deployment.metadata)).collect()
}

/// The Deployment that waits for the end of its old pods: it may go on when one is gone.
fn recreated(change: &Change<Pod>, informers: &Informers) -> Vec<ObjectRef> {
    let (Some(pod), None) = (&change.old, &change.new) else { return Vec::new() };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let deployment = controller_of(&pod.metadata)
        .and_then(|owner| informers.of::<ReplicaSet>().get(namespace, &owner.name))
        .and_then(|set| informers.of::<Deployment>().get(namespace, &controller_of(&set.metadata)?.name))
        .filter(|deployment| !Wanted::by(deployment).rolling);
    deployment.iter().map(|deployment| ObjectRef::of(&deployment.metadata)).collect()
}

/// Rolls out pod templates.
#[derive(Debug)]
pub struct Deployments;

#[async_trait]
impl Reconciler for Deployments {
    type Object = Deployment;

    async fn reconcile(&self, deployment: Arc<Deployment>, ctx: &Context) -> Result<Action, Error> {
        let wanted = Wanted::by(&deployment);
        let mut rollout = Rollout { ctx, wanted, deployment };
        rollout.run().await
    }
}

/// One look at one Deployment.
struct Rollout<'a> {
    ctx: &'a Context,
    wanted: Wanted,
    /// The newest version.
    deployment: Arc<Deployment>,
}

impl Rollout<'_> {
    async fn run(&mut self) -> Result<Action, Error> {
        let meta = self.deployment.metadata.clone();
        let Some(selector) = self.wanted.selector.clone() else {
            return Err(Error::permanent(format!("deployment {:?} has no usable selector", meta.name)));
        };
        if selector.is_empty() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.ctx.events().warning(&*self.deployment, "SelectingAll", message);
            let mut status = self.status();
            if status.observed_generation < meta.generation {
                status.observed_generation = meta.generation;
                self.write_status(status).await?;
            }
            return Ok(Action::Done);
        }
        let (namespace, uid) = (meta.namespace.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
        let all: Vec<Arc<ReplicaSet>> = candidates(self.ctx, namespace, uid);
        let all = claim(self.ctx, &*self.deployment, &selector, all).await?;

        if meta.deletion_timestamp.is_some() {
            let sets = self.sets(&all, false).await?;
            return self.sync_status(&sets).await;
        }
        self.note_pause().await?;
        if self.wanted.paused {
            return self.resize(&all).await;
        }
        let sets = self.sets(&all, false).await?;
        if self.was_resized(&sets) {
            return self.resize(&all).await;
        }
        if self.wanted.rolling { self.roll(&all).await } else { self.recreate(&all).await }
    }

    fn name(&self) -> &str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.deployment.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn status(&self) -> DeploymentStatus {
        self.deployment.status.clone().unwrap_or_default()
    }

    async fn write_status(&mut self, status: DeploymentStatus) -> Result<(), ApiError> {
        let mut deployment = Deployment::clone(&self.deployment);
        deployment.status = Some(status);
        self.deployment = self.ctx.client().api::<Deployment>(self.namespace()).update_status(deployment).await?;
        Ok(())
    }

    /// Says in the conditions that the rollout is paused, or goes on: so that no deadline runs meanwhile.
    async fn note_pause(&mut self) -> Result<(), ApiError> {
        let mut status = self.status();
        let reason = progress::condition(&status, "Progressing").and_then(|condition| condition.reason.as_deref());
        if self.wanted.deadline.is_none() || reason == Some(progress::TIMED_OUT) {
            return Ok(());
        }
        let noted = reason == Some(progress::PAUSED);
        if self.wanted.paused == noted {
            return Ok(());
        }
        let (reason, message) = if self.wanted.paused {
            (progress::PAUSED, "Deployment is paused")
        } else {
            (progress::RESUMED, "Deployment is resumed")
        };
        let now = self.ctx.clock().time();
        set_condition(&mut status, progress::new_condition("Progressing", "Unknown", reason, message.to_owned(), now));
        self.write_status(status).await
    }
}
