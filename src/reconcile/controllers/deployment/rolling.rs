//! The strategy RollingUpdate: never more pods than the surge allows, never fewer available ones than wanted.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::Rollout;
use super::sets::{Sets, available, size};
use crate::reconcile::{Action, Error};

impl Rollout<'_> {
    /// Takes the next step: up, or down, or none.
    pub(super) async fn roll(&mut self, all: &[Arc<ReplicaSet>]) -> Result<Action, Error> {
        let sets = self.sets(all, true).await?;
        let stepped = self.grow(&sets).await? || self.shrink(&sets).await?;
        if !stepped && self.is_complete(&self.status()) {
            self.clean_up(&sets.old).await?;
        }
        self.sync_rollout_status(&sets).await
    }

    /// Sizes the new ReplicaSet.
    async fn grow(&mut self, sets: &Sets) -> Result<bool, Error> {
        let Some(new) = &sets.new else { return Ok(false) };
        let current = size(new);
        let target =
            if current > self.wanted.replicas { self.wanted.replicas } else { self.new_size(sets.old.iter(), current) };
        if target == current {
            return Ok(false);
        }
        self.scale(new, target).await?;
        Ok(true)
    }

    /// Takes pods from the old ReplicaSets, those that serve nobody first.
    async fn shrink(&mut self, sets: &Sets) -> Result<bool, Error> {
        let mut old: Vec<_> = sets.old.iter().filter(|set| size(set) > 0).cloned().collect();
        if old.is_empty() {
            return Ok(false);
        }
        let least = self.wanted.replicas - self.wanted.max_unavailable;
        let total: i32 = sets.all().map(|set| size(set)).sum();
        // New pods that are not available yet may still fail: they are no reason to take an old one.
        let pending = sets.new.as_ref().map_or(0, |new| size(new) - available(new));
        let most = total - least - pending;
        if most <= 0 {
            return Ok(false);
        }
        let mut taken = 0;
        for set in &mut old {
            let idle = size(set) - available(set);
            let take = idle.min(most - taken);
            if take > 0 {
                *set = self.scale(set, size(set) - take).await?;
                taken += take;
            }
        }
        let serving: i32 = old.iter().chain(&sets.new).map(|set| available(set)).sum();
        let mut spare = (serving - least).max(0);
        for set in &old {
            let take = size(set).min(spare);
            if take > 0 {
                self.scale(set, size(set) - take).await?;
                (spare, taken) = (spare - take, taken + take);
            }
        }
        Ok(taken > 0)
    }
}
