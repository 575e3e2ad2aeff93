//! The ReplicaSets of a Deployment: the new one, which has its template, and the old ones.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::{Rollout, hash, progress, revision, set_condition};
use crate::api::{ApiError, Patch};
use crate::reconcile::adopt::{controller_reference, is_controlled_by};
use crate::reconcile::{Error, pod_control};

/// The longest name that a ReplicaSet may have.
const NAME_LENGTH: usize = 253;

/// The ReplicaSets of a Deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// Oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

/// How many pods a ReplicaSet should have.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// How many of its pods have been ready for long enough.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default()
}

/// How many pods it has.
pub(super) fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

/// Orders by age, oldest first.
pub(super) fn by_age(a: &ReplicaSet, b: &ReplicaSet) -> std::cmp::Ordering {
    let key = |set: &ReplicaSet| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone());
    key(a).cmp(&key(b))
}

impl Sets {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// Those that should have pods.
    pub(super) fn active(&self) -> Vec<Arc<ReplicaSet>> {
        self.all().filter(|set| size(set) > 0).cloned().collect()
    }
}

impl Rollout<'_> {
    /// Tells the new ReplicaSet from the old ones, gives it its revision, and with `create` makes it where it is
    /// missing.
    pub(super) async fn sets(&mut self, all: &[Arc<ReplicaSet>], create: bool) -> Result<Sets, Error> {
        let mut all = all.to_vec();
        all.sort_by(|a, b| by_age(a, b));
        // The oldest of several that have the template: they all would do, and the choice must be stable.
        let new = all.iter().position(|set| self.has_template(set)).map(|index| all.remove(index));
        let next = all.iter().map(|set| revision::of(set)).max().unwrap_or_default() + 1;
        let new = match new {
            Some(set) => Some(self.take_over(set, next).await?),
            None if create => Some(self.create(&all, next).await?),
            None => None,
        };
        Ok(Sets { new, old: all })
    }

    fn has_template(&self, set: &ReplicaSet) -> bool {
        let theirs = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let ours = self.deployment.spec.as_ref().map(|spec| &spec.template);
        theirs.zip(ours).is_some_and(|(theirs, ours)| hash::same_template(theirs, ours))
    }

    /// Makes an existing ReplicaSet the new one.
    async fn take_over(&mut self, set: Arc<ReplicaSet>, next: i64) -> Result<Arc<ReplicaSet>, Error> {
        let mut changed = ReplicaSet::clone(&set);
        revision::set_revision(changed.metadata.annotations.get_or_insert_default(), &self.deployment, next);
        let min_ready = self.wanted.min_ready_seconds;
        let spec = changed.spec.get_or_insert_default();
        if spec.min_ready_seconds.unwrap_or_default() != min_ready {
            spec.min_ready_seconds = Some(min_ready);
        }
        let set = if changed == *set {
            set
        } else {
            self.ctx.client().api::<ReplicaSet>(self.namespace()).update(changed).await?
        };
        self.set_revision(revision::of(&set)).await?;
        let mut status = self.status();
        if self.wanted.deadline.is_some() && progress::condition(&status, "Progressing").is_none() {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Found new replica set \"{name}\"");
            let now = self.ctx.clock().time();
            let found = progress::new_condition("Progressing", "True", "FoundNewReplicaSet", message, now);
            set_condition(&mut status, found);
            self.write_status(status).await?;
        }
        Ok(set)
    }

    /// Gives the Deployment the revision of its new ReplicaSet: with its status, as upstream does, which is no new
    /// generation of it.
    async fn set_revision(&mut self, revision: i64) -> Result<(), ApiError> {
        let revision = revision.to_string();
        let annotations = self.deployment.metadata.annotations.as_ref();
        if annotations.and_then(|annotations| annotations.get(revision::REVISION)) == Some(&revision) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { revision::REVISION: revision } } }));
        self.deployment =
            self.ctx.client().api::<Deployment>(self.namespace()).patch_status(self.name(), patch).await?;
        Ok(())
    }

    /// Makes the new ReplicaSet.
    async fn create(&mut self, old: &[Arc<ReplicaSet>], next: i64) -> Result<Arc<ReplicaSet>, Error> {
        let set = self.design(old, next);
        let name = set.metadata.name.clone().unwrap_or_default();
        let replicas = size(&set);
        let api = self.ctx.client().api::<ReplicaSet>(self.namespace());
        let (set, created) = match api.create(set).await {
            Ok(set) => (set, true),
            Err(error) if error.is_already_exists() => {
                let found = api.get(&name).await?;
                let uid = self.deployment.metadata.uid.as_deref().unwrap_or_default();
                if !is_controlled_by(&found.metadata, uid) || !self.has_template(&found) {
                    // Another template has this hash: count that, and try with the next one.
                    let mut status = self.status();
                    status.collision_count = Some(status.collision_count.unwrap_or_default().saturating_add(1));
                    self.write_status(status).await?;
                    return Err(error.into());
                }
                (found, false)
            }
            Err(error) => {
                if !pod_control::namespace_is_terminating(&error) {
                    self.note_failure(&name, &error).await?;
                }
                return Err(error.into());
            }
        };
        if created && replicas > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {replicas}");
            self.ctx.events().normal(&*self.deployment, "ScalingReplicaSet", message);
        }
        self.set_revision(next).await?;
        if created && self.wanted.deadline.is_some() {
            let mut status = self.status();
            let message = format!("Created new replica set \"{name}\"");
            let now = self.ctx.clock().time();
            let progressing = progress::new_condition("Progressing", "True", "NewReplicaSetCreated", message, now);
            set_condition(&mut status, progressing);
            self.write_status(status).await?;
        }
        Ok(set)
    }

    /// The ReplicaSet that the Deployment's template calls for.
    fn design(&self, old: &[Arc<ReplicaSet>], next: i64) -> ReplicaSet {
        let spec = self.deployment.spec.clone().unwrap_or_default();
        let hash = hash::of(&spec.template, self.status().collision_count);
        let mut template = spec.template;
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(hash::LABEL.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector = spec.selector;
        selector.match_labels.get_or_insert_default().insert(hash::LABEL.to_owned(), hash.clone());
        let mut annotations = revision::Annotations::new();
        revision::set_revision(&mut annotations, &self.deployment, next);
        revision::set_sizes(&mut annotations, &self.wanted);
        let name = self.name();
        let kept = name.len().min(NAME_LENGTH.saturating_sub(hash.len() + 1));
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", &name[..kept])),
                namespace: self.deployment.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![controller_reference(&*self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(self.new_size(old.iter(), 0)),
                min_ready_seconds: Some(self.wanted.min_ready_seconds).filter(|seconds| *seconds != 0),
                selector,
                template: Some(template),
            }),
            status: None,
        }
    }

    async fn note_failure(&mut self, name: &str, error: &ApiError) -> Result<(), ApiError> {
        let message = format!("Failed to create new replica set \"{name}\": {error}");
        if self.wanted.deadline.is_some() {
            let mut status = self.status();
            let now = self.ctx.clock().time();
            let failed = progress::new_condition("Progressing", "False", "ReplicaSetCreateError", message.clone(), now);
            set_condition(&mut status, failed);
            self.write_status(status).await?;
        }
        self.ctx.events().warning(&*self.deployment, "ReplicaSetCreateError", message);
        Ok(())
    }
}
