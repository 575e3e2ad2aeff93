//! Sizes of ReplicaSets.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::sets::{Sets, actual, available, by_age, size};
use super::{Rollout, revision};
use crate::reconcile::{Action, Error};

impl Rollout<'_> {
    /// What size the new ReplicaSet, now of size `current`, may have beside those of `others`.
    pub(super) fn new_size<'s>(&self, others: impl Iterator<Item = &'s Arc<ReplicaSet>>, current: i32) -> i32 {
        if !self.wanted.rolling {
            return self.wanted.replicas;
        }
        let total = others.map(|set| size(set)).sum::<i32>() + current;
        let most = self.wanted.replicas.saturating_add(self.wanted.stated_surge);
        if total >= most {
            return current;
        }
        current + (most - total).min(self.wanted.replicas - current)
    }

    /// Whether the Deployment's size has changed since its ReplicaSets were sized.
    pub(super) fn was_resized(&self, sets: &Sets) -> bool {
        let sized_for = |set: &Arc<ReplicaSet>| revision::number(set, revision::DESIRED);
        sets.active().iter().filter_map(sized_for).any(|size| size != self.wanted.replicas)
    }

    /// Sizes the ReplicaSets without going on with a rollout: the Deployment is paused, or has another size.
    pub(super) async fn resize(&mut self, all: &[Arc<ReplicaSet>]) -> Result<Action, Error> {
        let sets = self.sets(all, false).await?;
        self.spread(&sets).await?;
        if self.wanted.paused {
            self.clean_up(&sets.old).await?;
        }
        self.sync_status(&sets).await
    }

    async fn spread(&mut self, sets: &Sets) -> Result<(), Error> {
        let replicas = self.wanted.replicas;
        let active = sets.active();
        let only = match active.as_slice() {
            [] => sets.new.as_ref().or(sets.old.last()),
            [one] => Some(one),
            _ => None,
        };
        if let Some(only) = only {
            if size(only) != replicas {
                self.scale(only, replicas).await?;
            }
            return Ok(());
        }
        if sets.new.as_ref().is_some_and(|new| self.is_saturated(new)) {
            for set in sets.old.iter().filter(|set| size(set) > 0) {
                self.scale(set, 0).await?;
            }
            return Ok(());
        }
        if !self.wanted.rolling {
            return Ok(());
        }
        for (set, size) in self.in_proportion(active) {
            self.scale(&set, size).await?;
        }
        Ok(())
    }

    /// Whether the new ReplicaSet has taken over for good.
    fn is_saturated(&self, new: &ReplicaSet) -> bool {
        let replicas = self.wanted.replicas;
        size(new) == replicas
            && revision::number(new, revision::DESIRED) == Some(replicas)
            && available(new) == replicas
    }

    /// Spreads a change of size over the ReplicaSets by how large each is, so that in the middle of a rollout the
    /// risk stays the same. What rounding leaves goes to the largest.
    fn in_proportion(&self, mut active: Vec<Arc<ReplicaSet>>) -> Vec<(Arc<ReplicaSet>, i32)> {
        let total: i32 = active.iter().map(|set| size(set)).sum();
        let allowed = if self.wanted.replicas > 0 { self.wanted.replicas + self.wanted.max_surge } else { 0 };
        let to_add = allowed - total;
        // The largest first; of equals the newest when growing, the oldest when shrinking.
        active.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| if to_add > 0 { by_age(b, a) } else { by_age(a, b) }));
        let mut added = 0;
        let mut sizes = Vec::new();
        for set in active {
            let share = self.share(&set, to_add, added);
            added += share;
            let size = size(&set) + share;
            sizes.push((set, size));
        }
        if let Some((_, largest)) = sizes.first_mut() {
            *largest = (*largest + to_add - added).max(0);
        }
        sizes
    }

    fn share(&self, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
        if size(set) == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let (fraction, left) = (self.fraction(set), to_add - added);
        if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
    }

    /// By how much a ReplicaSet would change if it kept its share of the Deployment.
    fn fraction(&self, set: &ReplicaSet) -> i32 {
        let size = size(set);
        if self.wanted.replicas == 0 {
            return -size;
        }
        let maximum = self.wanted.replicas + self.wanted.max_surge;
        let before = revision::number(set, revision::MAXIMUM)
            .filter(|before| *before != 0)
            .unwrap_or_else(|| self.status().replicas.unwrap_or_default());
        if before == 0 {
            return 0;
        }
        let resized = f64::from(size) * f64::from(maximum) / f64::from(before);
        // Rounds halves away from zero; sizes are far below what an i32 holds, and `as` saturates.
        #[allow(clippy::cast_possible_truncation)]
        let resized = resized.round() as i32;
        resized - size
    }

    /// Gives a ReplicaSet a size, and an event of it where that is another one. Gives the new version.
    pub(super) async fn scale(&mut self, set: &Arc<ReplicaSet>, to: i32) -> Result<Arc<ReplicaSet>, Error> {
        let from = size(set);
        let mut changed = ReplicaSet::clone(set);
        changed.spec.get_or_insert_default().replicas = Some(to);
        revision::set_sizes(changed.metadata.annotations.get_or_insert_default(), &self.wanted);
        if changed == **set {
            return Ok(Arc::clone(set));
        }
        let changed = self.ctx.client().api::<ReplicaSet>(self.namespace()).update(changed).await?;
        if from != to {
            let direction = if to > from { "up" } else { "down" };
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
            self.ctx.events().normal(&*self.deployment, "ScalingReplicaSet", message);
        }
        Ok(changed)
    }

    /// Deletes old ReplicaSets beyond those that are kept for going back.
    pub(super) async fn clean_up(&self, old: &[Arc<ReplicaSet>]) -> Result<(), Error> {
        let Some(limit) = self.wanted.history else { return Ok(()) };
        let mut old: Vec<_> = old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        let Some(excess) = old.len().checked_sub(limit) else { return Ok(()) };
        old.sort_by(|a, b| revision::of(a).cmp(&revision::of(b)).then_with(|| by_age(a, b)));
        let api = self.ctx.client().api::<ReplicaSet>(self.namespace());
        for set in old.into_iter().take(excess) {
            let observed = set.status.as_ref().and_then(|status| status.observed_generation);
            if actual(set) != 0 || size(set) != 0 || set.metadata.generation > observed {
                continue;
            }
            match api.delete(set.metadata.name.as_deref().unwrap_or_default()).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
