//! Where a pod may go: rules for affinity, tolerations and spreading.

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PreferredSchedulingTerm,
    Toleration, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::{label_value, qualified_name, selector};
use crate::api::rules::{complain, given, name};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks affinity of every kind.
pub(super) fn affinity(errors: &mut FieldErrors, path: &Path<'_>, affinity: &Affinity) {
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            node_selector(errors, &path.child(REQUIRED), required);
        }
        let preferred = node.preferred_during_scheduling_ignored_during_execution.as_deref().unwrap_or_default();
        preferred_terms(errors, &path.child(PREFERRED), preferred);
    }
    if let Some(pod) = &affinity.pod_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(errors, &path.child("podAffinity"), required, preferred);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_terms(errors, &path.child("podAntiAffinity"), required, preferred);
    }
}

/// Checks a selector of nodes.
fn node_selector(errors: &mut FieldErrors, path: &Path<'_>, selector: &NodeSelector) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.required(&path, "must have at least one node selector term");
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(errors, &path.index(index), term, true);
    }
}

fn preferred_terms(errors: &mut FieldErrors, path: &Path<'_>, terms: &[PreferredSchedulingTerm]) {
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index);
        check_weight(errors, &path, term.weight);
        node_term(errors, &path.child("preference"), &term.preference, false);
    }
}

fn check_weight(errors: &mut FieldErrors, path: &Path<'_>, weight: i32) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn node_term(errors: &mut FieldErrors, path: &Path<'_>, term: &NodeSelectorTerm, required: bool) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        node_requirement(errors, &path.child("matchExpressions").index(index), requirement, required);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        node_field(errors, &path.child("matchFields").index(index), requirement);
    }
}

/// Values of preferences may be no label values: they then match nothing.
fn node_requirement(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    requirement: &NodeSelectorRequirement,
    check_values: bool,
) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let values_path = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&values_path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&values_path, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    complain(errors, &path.child("key"), &requirement.key, qualified_name(&requirement.key));
    for (index, value) in values.iter().enumerate().filter(|_| check_values) {
        complain(errors, &values_path.index(index), value, label_value(value));
    }
}

fn node_field(errors: &mut FieldErrors, path: &Path<'_>, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(&path.child("values"), text);
        }
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    if requirement.key == "metadata.name" {
        for (index, value) in values.iter().enumerate() {
            complain(errors, &path.child("values").index(index), value, name::dns_subdomain(value));
        }
    } else {
        errors.invalid(&path.child("key"), &requirement.key, "not a valid field selector key");
    }
}

fn pod_terms(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
) {
    for (index, term) in required.unwrap_or_default().iter().enumerate() {
        pod_term(errors, &path.child(REQUIRED).index(index), term);
    }
    for (index, weighted) in preferred.unwrap_or_default().iter().enumerate() {
        let path = path.child(PREFERRED);
        let path = path.index(index);
        check_weight(errors, &path, weighted.weight);
        pod_term(errors, &path.child("podAffinityTerm"), &weighted.pod_affinity_term);
    }
}

fn pod_term(errors: &mut FieldErrors, path: &Path<'_>, term: &PodAffinityTerm) {
    for (field, given) in [("labelSelector", &term.label_selector), ("namespaceSelector", &term.namespace_selector)] {
        if let Some(given) = given {
            selector(errors, &path.child(field), given);
        }
    }
    for namespace in term.namespaces.iter().flatten() {
        complain(errors, &path.child("namespace"), namespace, name::dns_label(namespace));
    }
    let matched = term.match_label_keys.as_deref().unwrap_or_default();
    let mismatched = term.mismatch_label_keys.as_deref().unwrap_or_default();
    for (field, keys) in [("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)] {
        let path = path.child(field);
        if !keys.is_empty() && term.label_selector.is_none() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            complain(errors, &path.index(index), key, qualified_name(key));
        }
    }
    if let Some(selector) = &term.label_selector {
        // The keys have been merged into the selector already: one more mention is one too many.
        let mut seen: Vec<&String> = selector.match_labels.iter().flatten().map(|(key, _)| key).collect();
        for requirement in selector.match_expressions.iter().flatten() {
            let key = &requirement.key;
            if let Some(index) = matched.iter().position(|matched| matched == key)
                && seen.contains(&key)
            {
                errors.invalid(&path.index(index), key, "exists in both matchLabelKeys and labelSelector");
            }
            seen.push(key);
        }
    }
    for (index, key) in matched.iter().enumerate().filter(|(_, key)| mismatched.contains(key)) {
        let text = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.invalid(&path.child("matchLabelKeys").index(index), key, text);
    }
    let topology = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.required(&topology, "can not be empty");
    }
    complain(errors, &topology, &term.topology_key, qualified_name(&term.topology_key));
}

/// Checks tolerations.
pub(crate) fn tolerations(errors: &mut FieldErrors, path: &Path<'_>, tolerations: &[Toleration]) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let (key, operator) = (given(&toleration.key), given(&toleration.operator));
        let (value, effect) = (given(&toleration.value), given(&toleration.effect));
        let operator_path = path.child("operator");
        if !key.is_empty() {
            complain(errors, &path.child("key"), key, qualified_name(key));
        } else if operator != "Exists" {
            let text = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&operator_path, operator, text);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let text = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(&path.child("effect"), effect, text);
        }
        match operator {
            "" | "Equal" => {
                let complaints = label_value(value);
                if !complaints.is_empty() {
                    errors.invalid(&operator_path, value, complaints.join(";"));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => errors.invalid(&operator_path, value, "value must be empty when `operator` is 'Exists'"),
            other => errors.not_supported(&operator_path, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.not_supported(&path.child("effect"), effect, EFFECTS);
        }
    }
}

/// Checks how pods are spread.
pub(super) fn spreading(errors: &mut FieldErrors, path: &Path<'_>, constraints: &[TopologySpreadConstraint]) {
    const POLICIES: &[&str] = &["Honor", "Ignore"];
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let action = constraint.when_unsatisfiable.as_str();
        if constraint.max_skew <= 0 {
            errors.invalid(&path.child("maxSkew"), constraint.max_skew, "must be greater than zero");
        }
        if constraint.topology_key.is_empty() {
            errors.required(&path.child("topologyKey"), "can not be empty");
        }
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            errors.not_supported(&path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        }
        let repeats = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == action
        };
        if constraints[index + 1..].iter().any(repeats) {
            let shown = format!("{{{}, {action}}}", constraint.topology_key);
            errors.duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), shown);
        }
        if let Some(domains) = constraint.min_domains {
            let path = path.child("minDomains");
            if domains <= 0 {
                errors.invalid(&path, domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let text = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(&path, domains, text);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy.as_deref().filter(|policy| !POLICIES.contains(policy)) {
                errors.not_supported(&path.child(field), policy, POLICIES);
            }
        }
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        match_label_keys(errors, &path.child("matchLabelKeys"), keys, constraint.label_selector.as_ref());
        if let Some(given) = &constraint.label_selector {
            selector(errors, &path.child("labelSelector"), given);
        }
    }
}

fn match_label_keys(errors: &mut FieldErrors, path: &Path<'_>, keys: &[String], selector: Option<&LabelSelector>) {
    if !keys.is_empty() && selector.is_none() {
        errors.forbidden(path, "must not be specified when labelSelector is not set");
    }
    for (index, key) in keys.iter().enumerate() {
        let path = path.index(index);
        complain(errors, &path, key, qualified_name(key));
        let Some(selector) = selector else { continue };
        // One mention comes from the merge of the key itself on creation.
        let labels = selector.match_labels.iter().flatten().filter(|(label, _)| *label == key).count();
        let expressions = selector.match_expressions.iter().flatten().filter(|other| &other.key == key).count();
        if labels + expressions > 1 {
            errors.invalid(&path, key, "exists in both matchLabelKeys and labelSelector");
        }
    }
}
