//! `matchLabelKeys` and `mismatchLabelKeys`: on creation the pod's own values join the selectors.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Writes the pod's values of the keys named in affinity terms and spread constraints into their selectors.
pub(super) fn merge(spec: &mut PodSpec, labels: Option<&Labels>) {
    let Some(labels) = labels else { return };
    if let Some(affinity) = &mut spec.affinity {
        let together = affinity.pod_affinity.iter_mut().flat_map(|affinity| {
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            let required = affinity.required_during_scheduling_ignored_during_execution.iter_mut().flatten();
            preferred.map(|weighted| &mut weighted.pod_affinity_term).chain(required)
        });
        let apart = affinity.pod_anti_affinity.iter_mut().flat_map(|affinity| {
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            let required = affinity.required_during_scheduling_ignored_during_execution.iter_mut().flatten();
            preferred.map(|weighted| &mut weighted.pod_affinity_term).chain(required)
        });
        together.chain(apart).for_each(|term| merge_term(term, labels));
    }
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        join(constraint.label_selector.as_mut(), constraint.match_label_keys.as_deref(), "In", labels);
    }
}

fn merge_term(term: &mut PodAffinityTerm, labels: &Labels) {
    join(term.label_selector.as_mut(), term.match_label_keys.as_deref(), "In", labels);
    join(term.label_selector.as_mut(), term.mismatch_label_keys.as_deref(), "NotIn", labels);
}

/// A missing selector matches nothing, and nothing can be added to it.
fn join(selector: Option<&mut LabelSelector>, keys: Option<&[String]>, operator: &str, labels: &Labels) {
    let (Some(selector), Some(keys)) = (selector, keys) else { return };
    let requirements: Vec<_> = keys
        .iter()
        .filter_map(|key| {
            labels.get(key).map(|value| LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.clone()]),
            })
        })
        .collect();
    if !requirements.is_empty() {
        selector.match_expressions.get_or_insert_default().extend(requirements);
    }
}
