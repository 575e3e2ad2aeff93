//! Revisions: the numbers of ReplicaSets, kept in annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::wanted::Wanted;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that are not its ReplicaSets' business.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

/// The past revisions of a ReplicaSet are forgotten, oldest first, where their list grows longer than this.
const HISTORY_LENGTH: usize = 2000;

pub(super) type Annotations = BTreeMap<String, String>;

/// The revision of a ReplicaSet; 0 where it has none.
pub(super) fn of(set: &ReplicaSet) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The number in an annotation of a ReplicaSet.
pub(super) fn number(set: &ReplicaSet, name: &str) -> Option<i32> {
    annotation(set, name)?.parse().ok()
}

fn annotation<'a>(set: &'a ReplicaSet, name: &str) -> Option<&'a String> {
    set.metadata.annotations.as_ref()?.get(name)
}

/// What a ReplicaSet's annotations say of the size of its Deployment.
pub(super) fn set_sizes(annotations: &mut Annotations, wanted: &Wanted) {
    annotations.insert(DESIRED.to_owned(), wanted.replicas.to_string());
    annotations.insert(MAXIMUM.to_owned(), wanted.replicas.saturating_add(wanted.max_surge).to_string());
}

/// Gives a ReplicaSet the Deployment's annotations and, where it has an older one, `revision`: then it is rolled
/// back to, and what it was before goes to its history.
pub(super) fn set_revision(annotations: &mut Annotations, deployment: &Deployment, revision: i64) {
    let inherited = deployment.metadata.annotations.iter().flatten();
    for (name, value) in inherited.filter(|(name, _)| !OWN.contains(&name.as_str())) {
        annotations.insert(name.clone(), value.clone());
    }
    let old = annotations.get(REVISION).cloned();
    let old_number = match old.as_deref().unwrap_or_default() {
        "" => 0,
        text => match text.parse() {
            Ok(number) => number,
            Err(_) => return,
        },
    };
    if old_number >= revision {
        return;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if let Some(old) = old {
        let history = annotations.get(HISTORY).map(String::as_str).unwrap_or_default();
        let mut past: Vec<_> = history.split(',').filter(|text| !text.is_empty()).map(str::to_owned).collect();
        past.push(old);
        while past.len() > 1 && past.iter().map(|text| text.len() + 1).sum::<usize>() > HISTORY_LENGTH + 1 {
            past.remove(0);
        }
        annotations.insert(HISTORY.to_owned(), past.join(","));
    }
}
