//! Rollouts of Deployments as a user sees and steers them: status, undo, restart.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

use super::Api;
use crate::api::{ApiError, ListOptions, Patch};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";
/// Annotations that an undo leaves as they are.
const KEPT: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// How a rollout goes, in the words of `kubectl rollout status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutStatus {
    /// Not there yet.
    Waiting(String),
    /// All pods are new and available.
    Done(String),
    /// It has made no progress for longer than it may.
    Failed(String),
}

impl RolloutStatus {
    /// How the rollout of `deployment` goes.
    pub fn of(deployment: &Deployment) -> Self {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let status = deployment.status.clone().unwrap_or_default();
        if status.observed_generation < deployment.metadata.generation {
            return Self::Waiting("Waiting for deployment spec update to be observed...".to_owned());
        }
        let late = status.conditions.iter().flatten().any(|condition| {
            condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
        });
        if late {
            return Self::Failed(format!("deployment \"{name}\" exceeded its progress deadline"));
        }
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let updated = status.updated_replicas.unwrap_or_default();
        let total = status.replicas.unwrap_or_default();
        let available = status.available_replicas.unwrap_or_default();
        let waiting =
            |what: String| Self::Waiting(format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."));
        if updated < wanted {
            waiting(format!("{updated} out of {wanted} new replicas have been updated"))
        } else if total > updated {
            waiting(format!("{} old replicas are pending termination", total - updated))
        } else if available < updated {
            waiting(format!("{available} of {updated} updated replicas are available"))
        } else {
            Self::Done(format!("deployment \"{name}\" successfully rolled out"))
        }
    }

    /// The text.
    pub fn message(&self) -> &str {
        match self {
            Self::Waiting(text) | Self::Done(text) | Self::Failed(text) => text,
        }
    }

    /// Whether all pods are new and available.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Api<Deployment> {
    /// Goes back to the template of a revision; of the one before the newest where `revision` is none.
    ///
    /// # Errors
    /// A bad request where the Deployment is paused or has no such revision.
    pub async fn undo(&self, name: &str, revision: Option<i64>) -> Result<Arc<Deployment>, ApiError> {
        let deployment = self.get(name).await?;
        if deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true) {
            return Err(ApiError::bad_request(
                "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
            ));
        }
        let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
        let sets = self.client().api::<ReplicaSet>(namespace).list(&ListOptions::default()).await?;
        let is_its = |set: &ReplicaSet| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == deployment.metadata.uid.as_ref())
        };
        let mut sets: Vec<_> =
            sets.items.into_iter().filter(|set| is_its(set)).map(|set| (number(&set), set)).collect();
        sets.sort_by_key(|(revision, _)| *revision);
        let found = match revision {
            Some(wanted) => sets.iter().find(|(revision, _)| *revision == wanted),
            None => sets.len().checked_sub(2).map(|index| &sets[index]),
        };
        let Some((_, set)) = found else {
            return Err(ApiError::bad_request(match revision {
                Some(revision) => format!("unable to find specified revision {revision} in history"),
                None => format!("no rollout history found for deployment \"{name}\""),
            }));
        };
        let mut template: PodTemplateSpec =
            set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
        if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
            labels.remove(HASH);
        }
        let kept = deployment.metadata.annotations.iter().flatten().filter(|(key, _)| KEPT.contains(&key.as_str()));
        let restored = set.metadata.annotations.iter().flatten().filter(|(key, _)| !KEPT.contains(&key.as_str()));
        let annotations: std::collections::BTreeMap<_, _> = kept.chain(restored).collect();
        let patch = Patch::Json(json!([
            { "op": "replace", "path": "/spec/template", "value": template },
            { "op": "add", "path": "/metadata/annotations", "value": annotations },
        ]));
        self.patch(name, patch).await
    }

    /// Replaces all pods by new ones of the same template, as a rollout.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn restart(&self, name: &str) -> Result<Arc<Deployment>, ApiError> {
        let now = self.client().clock().now().to_string();
        let restarted = json!({ "kubectl.kubernetes.io/restartedAt": now });
        let template = json!({ "metadata": { "annotations": restarted } });
        self.patch(name, Patch::Merge(json!({ "spec": { "template": template } }))).await
    }
}

fn number(set: &ReplicaSet) -> i64 {
    let revision = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    revision.and_then(|text| text.parse().ok()).unwrap_or_default()
}
