//! When a job counts as failed or done: rules.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::qualified_name;
use crate::api::rules::{complain, given, json, not_negative};

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const REPLACEMENTS: &[&str] = &["Failed", "TerminatingOrFailed"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];
const RULES_MAX: usize = 20;
const CODES_MAX: usize = 255;

/// Checks the policies of a job; `path` is its spec's.
pub(super) fn validate(errors: &mut FieldErrors, path: &Path<'_>, spec: &JobSpec) {
    if let Some(policy) = &spec.pod_failure_policy {
        let path = path.child("podFailurePolicy").child("rules").to_string();
        let path = Path::new(&path);
        if policy.rules.len() > RULES_MAX {
            errors.too_many(&path, policy.rules.len(), RULES_MAX);
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            failure_rule(errors, &path.index(index), rule, spec);
        }
    }
    if let Some(policy) = &spec.success_policy {
        let path = path.child("successPolicy");
        if spec.completion_mode.as_deref() != Some("Indexed") {
            errors.invalid(&path, json(policy), "requires indexed completion mode");
        } else {
            success_rules(errors, &path.child("rules"), spec);
        }
    }
    if let Some(policy) = spec.pod_replacement_policy.as_deref() {
        let allowed = if spec.pod_failure_policy.is_some() { &REPLACEMENTS[..1] } else { REPLACEMENTS };
        if !allowed.contains(&policy) {
            errors.not_supported(&path.child("podReplacementPolicy"), policy, allowed);
        }
    }
}

fn listed(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn failure_rule(errors: &mut FieldErrors, path: &Path<'_>, rule: &PodFailurePolicyRule, spec: &JobSpec) {
    let action = path.child("action");
    match rule.action.as_str() {
        "" => errors.required(&action, listed(ACTIONS)),
        "FailIndex" if spec.backoff_limit_per_index.is_none() => {
            errors.invalid(&action, &rule.action, "requires the backoffLimitPerIndex to be set");
        }
        known if ACTIONS.contains(&known) => {}
        other => errors.not_supported(&action, other, ACTIONS),
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(errors, &path.child("onExitCodes"), codes, spec);
    }
    let conditions = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if conditions.len() > RULES_MAX {
        errors.too_many(&path.child("onPodConditions"), conditions.len(), RULES_MAX);
    }
    for (index, pattern) in conditions.iter().enumerate() {
        let path = path.child("onPodConditions");
        let path = path.index(index);
        complain(errors, &path.child("type"), &pattern.type_, qualified_name(&pattern.type_));
        match given(&pattern.status) {
            "" => errors.required(&path.child("status"), listed(STATUSES)),
            known if STATUSES.contains(&known) => {}
            other => errors.not_supported(&path.child("status"), other, STATUSES),
        }
    }
    match (rule.on_exit_codes.is_some(), conditions.is_empty()) {
        (true, false) => {
            errors.invalid(path, json(rule), "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (false, true) => {
            errors.invalid(path, json(rule), "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn exit_codes(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
) {
    match codes.operator.as_str() {
        "" => errors.required(&path.child("operator"), listed(&["In", "NotIn"])),
        "In" | "NotIn" => {}
        other => errors.not_supported(&path.child("operator"), other, &["In", "NotIn"]),
    }
    let template = spec.template.spec.clone().unwrap_or_default();
    let mut containers = template.containers.iter().chain(template.init_containers.iter().flatten());
    if let Some(name) = &codes.container_name
        && !containers.any(|container| container.name == *name)
    {
        let text = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&path.child("containerName"), name, text);
    }
    let (path, values) = (path.child("values"), &codes.values);
    if values.is_empty() {
        errors.invalid(&path, json(values), "at least one value is required");
    } else if values.len() > CODES_MAX {
        errors.too_many(&path, values.len(), CODES_MAX);
    }
    for (index, code) in values.iter().enumerate() {
        if codes.operator == "In" && *code == 0 {
            errors.invalid(&path.index(index), *code, "must not be 0 for the In operator");
        }
        if values[..index].contains(code) {
            errors.duplicate(&path.index(index), *code);
        }
    }
    if !values.is_sorted() {
        errors.invalid(&path, json(values), "must be ordered");
    }
}

fn success_rules(errors: &mut FieldErrors, path: &Path<'_>, spec: &JobSpec) {
    let rules = spec.success_policy.as_ref().map_or(&[][..], |policy| &policy.rules);
    let completions = spec.completions.unwrap_or(0);
    if rules.is_empty() {
        errors.required(path, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > RULES_MAX {
        errors.too_many(path, rules.len(), RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
            errors.required(&path, "at least one of succeededCount or succeededIndexes must be specified");
        }
        let mut listed = None;
        if let Some(indexes) = &rule.succeeded_indexes {
            match count_indexes(indexes, completions) {
                Ok(count) => listed = Some(count),
                Err(reason) => {
                    let text = format!("error parsing succeededIndexes: {reason}");
                    errors.invalid(&path.child("succeededIndexes"), indexes, text);
                }
            }
        }
        if let Some(count) = rule.succeeded_count {
            let path = path.child("succeededCount");
            not_negative(errors, &path, count);
            let bounds = [
                (Some(completions), "the number of specified completions"),
                (listed, "the number of indexes in the specified succeededIndexes field"),
            ];
            for (most, what) in bounds.into_iter().filter_map(|(most, what)| most.map(|most| (most, what))) {
                if count > most {
                    errors.invalid(&path, count, format!("must be less than or equal to {most} ({what})"));
                }
            }
        }
    }
}

/// How many indexes a list such as `1,3-5,7` names, each below `completions` and above the one before.
fn count_indexes(text: &str, completions: i32) -> Result<i32, String> {
    let mut count = 0;
    let mut last = None;
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let limits: Vec<_> = interval.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let number = |text: &str| {
            text.parse::<i32>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let first = number(limits[0])?;
        let end = limits.get(1).map_or(Ok(first), |text| number(text))?;
        if last.is_some_and(|last| first <= last) {
            return Err(format!("non-increasing order, previous: {}, current: {first}", last.unwrap_or(0)));
        }
        if limits.len() == 2 && end <= first {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        if let Some(index) = [first, end].into_iter().find(|index| *index >= completions) {
            return Err(format!("too large index: {:?}", index.to_string()));
        }
        count += end - first + 1;
        last = Some(end);
    }
    Ok(count)
}
