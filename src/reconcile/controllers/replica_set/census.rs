//! How many pods each owner has, counted as they change: to look at all of them after each change of one would make an
//! owner of many as slow as it is large.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;

use crate::api::ApiType;
use crate::client::Change;
use crate::reconcile::adopt::controller_of_type;
use crate::reconcile::pod::{is_active, is_ready, is_terminal};

type Labels = BTreeMap<String, String>;

/// Pods by what they count as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Neither at their end nor being deleted.
    pub(super) active: usize,
    /// Those of them that serve.
    pub(super) ready: usize,
    /// Being deleted, and not at their end yet.
    pub(super) terminating: usize,
}

/// Of all owners of type `W`. Clones are handles to the same.
#[derive(Debug)]
pub(super) struct Census<W> {
    by_owner: Arc<Mutex<BTreeMap<String, Tally>>>,
    of: PhantomData<fn() -> W>,
}

/// The pods of one owner. Mostly all have the same labels, those of its template.
#[derive(Debug)]
struct Tally {
    labels: Option<Labels>,
    /// How many have these labels, ended ones too.
    alike: usize,
    /// How many have others.
    unlike: usize,
    /// Of those that are alike.
    standing: Standing,
}

impl<W> Default for Census<W> {
    fn default() -> Self {
        Self { by_owner: Arc::default(), of: PhantomData }
    }
}

impl<W> Clone for Census<W> {
    fn clone(&self) -> Self {
        Self { by_owner: Arc::clone(&self.by_owner), of: PhantomData }
    }
}

impl<W: ApiType> Census<W> {
    /// Takes in a change, as one: who saw a pod neither as it was nor as it is would make another.
    pub(super) fn observe(&self, change: &Change<Pod>) {
        let mut tallies = self.tallies();
        // The new version first: what is known of an owner of one pod stays known.
        let versions: [(_, fn(&mut usize)); 2] =
            [(&change.new, |count| *count += 1), (&change.old, |count| *count -= 1)];
        for (pod, by_one) in versions {
            let Some(pod) = pod else { continue };
            let Some(owner) = controller_of_type::<W>(&pod.metadata) else { continue };
            let tally = match tallies.get_mut(&owner.uid) {
                Some(tally) => tally,
                None => tallies.entry(owner.uid.clone()).or_insert_with(|| Tally::like(pod)),
            };
            tally.count(pod, by_one);
            if tally.alike + tally.unlike == 0 {
                tallies.remove(&owner.uid);
            }
        }
    }

    /// What the owner with that UID has, where all of it has the same labels and these are `selected`; `None` where each pod
    /// must be looked at. An owner without pods has nothing that could be otherwise.
    pub(super) fn of(&self, uid: &str, selected: impl FnOnce(Option<&Labels>) -> bool) -> Option<Standing> {
        match self.tallies().get(uid) {
            None => Some(Standing::default()),
            Some(tally) => (tally.unlike == 0 && selected(tally.labels.as_ref())).then_some(tally.standing),
        }
    }

    fn tallies(&self) -> MutexGuard<'_, BTreeMap<String, Tally>> {
        self.by_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Of pods with the labels of `pod`, none yet.
    fn like(pod: &Pod) -> Self {
        Self { labels: pod.metadata.labels.clone(), alike: 0, unlike: 0, standing: Standing::default() }
    }

    fn count(&mut self, pod: &Pod, by_one: fn(&mut usize)) {
        if pod.metadata.labels != self.labels {
            return by_one(&mut self.unlike);
        }
        by_one(&mut self.alike);
        if is_active(pod) {
            by_one(&mut self.standing.active);
            if is_ready(pod) {
                by_one(&mut self.standing.ready);
            }
        } else if !is_terminal(pod) {
            by_one(&mut self.standing.terminating);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::apps::v1::ReplicaSet;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LABELS: [&str; 2] = ["web", "other"];
    const STATES: [&str; 4] = ["pending", "ready", "ending", "ended"];

    fn pod(owner: &str, labels: &str, state: &str) -> Arc<Pod> {
        let reference =
            json!({ "apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "u", "controller": true });
        let deleted = (state == "ending").then_some("2026-01-01T00:00:00Z");
        let status = json!({
            "phase": if state == "ended" { "Succeeded" } else { "Running" },
            "conditions": [{ "type": "Ready", "status": if state == "ready" { "True" } else { "False" } }],
        });
        let metadata =
            json!({ "labels": { "app": labels }, "ownerReferences": [reference], "deletionTimestamp": deleted });
        Arc::new(serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap())
    }

    proptest! {
        #[test]
        fn counts_as_one_would_who_looks_at_all_pods(
            changes in prop::collection::vec((0_usize..5, prop::option::of((0_usize..2, 0_usize..4))), 1..40)
        ) {
            let census = Census::<ReplicaSet>::default();
            let (mut pods, mut labels_seen) = (vec![None; 5], BTreeSet::new());
            for (at, new) in changes {
                labels_seen.extend(new.map(|(labels, _)| labels));
                let new = new.map(|(labels, state)| pod("ReplicaSet", LABELS[labels], STATES[state]));
                let old = std::mem::replace(&mut pods[at], new.clone());
                census.observe(&Change { old, new });

                let all: Vec<_> = pods.iter().flatten().collect();
                let count = |which: fn(&Pod) -> bool| all.iter().filter(|pod| which(pod)).count();
                let standing = Standing {
                    active: count(is_active),
                    ready: count(|pod| is_active(pod) && is_ready(pod)),
                    terminating: count(|pod| !is_active(pod) && !is_terminal(pod)),
                };
                let counted = census.of("u", |labels| all.iter().all(|pod| pod.metadata.labels.as_ref() == labels));
                prop_assert!(counted.is_none_or(|counted| counted == standing));
                // It says so where all had the same labels for as long as there were any.
                prop_assert!(counted.is_some() || labels_seen.len() > 1);
                if all.is_empty() {
                    labels_seen.clear();
                }
            }
        }
    }

    #[test]
    fn a_pod_that_changes_is_there_all_the_time() {
        let census = Census::<ReplicaSet>::default();
        let [mut pending, mut ready] = ["pending", "ready"].map(|state| Some(pod("ReplicaSet", "web", state)));
        census.observe(&Change { old: None, new: pending.clone() });
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                for _ in 0..10_000 {
                    census.observe(&Change { old: pending.clone(), new: ready.clone() });
                    std::mem::swap(&mut pending, &mut ready);
                }
            });
            while !changes.is_finished() {
                assert_eq!(census.of("u", |_| true).map(|standing| standing.active), Some(1));
            }
        });
    }

    #[test]
    fn pods_of_others_are_not_counted() {
        let census = Census::<ReplicaSet>::default();
        census.observe(&Change { old: None, new: Some(pod("Job", "web", "ready")) });
        census.observe(&Change { old: None, new: Some(pod("ReplicaSet", "web", "ready")) });
        let one = Standing { active: 1, ready: 1, terminating: 0 };
        assert_eq!(census.of("u", |labels| labels.unwrap()["app"] == "web"), Some(one));
        assert_eq!(census.of("u", |_| false), None);
        assert_eq!(census.of("unknown", |_| false), Some(Standing::default()));
    }
}
