//! The strategy Recreate: no new pod before the last old one is gone.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::Rollout;
use super::sets::{Sets, actual, size};
use crate::reconcile::adopt::controller_of;
use crate::reconcile::{Action, Error, pod};

impl Rollout<'_> {
    /// Takes the next step: away with the old, and then up with the new.
    pub(super) async fn recreate(&mut self, all: &[Arc<ReplicaSet>]) -> Result<Action, Error> {
        let mut sets = self.sets(all, false).await?;
        let mut stepped = false;
        for set in sets.old.iter().filter(|set| size(set) > 0) {
            self.scale(set, 0).await?;
            stepped = true;
        }
        if stepped || self.old_pods_run(&sets, all) {
            return self.sync_rollout_status(&sets).await;
        }
        if sets.new.is_none() {
            sets = self.sets(all, true).await?;
        }
        if let Some(new) = &sets.new
            && size(new) != self.wanted.replicas
        {
            self.scale(new, self.wanted.replicas).await?;
        }
        if self.is_complete(&self.status()) {
            self.clean_up(&sets.old).await?;
        }
        self.sync_rollout_status(&sets).await
    }

    /// Whether pods of old ReplicaSets are still there, those that are being deleted among them.
    fn old_pods_run(&self, sets: &Sets, all: &[Arc<ReplicaSet>]) -> bool {
        if sets.old.iter().any(|set| actual(set) > 0) {
            return true;
        }
        let new = sets.new.as_ref().and_then(|set| set.metadata.uid.as_ref());
        let old: Vec<_> =
            all.iter().filter_map(|set| set.metadata.uid.as_ref()).filter(|uid| Some(*uid) != new).collect();
        let pods = self.ctx.informers().of::<Pod>().list_in(self.namespace());
        pods.iter().any(|pod| {
            !pod::is_terminal(pod) && controller_of(&pod.metadata).is_some_and(|owner| old.contains(&&owner.uid))
        })
    }
}
