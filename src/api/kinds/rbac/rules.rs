//! The rules of roles.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;

use crate::api::FieldErrors;
use crate::api::field::Path;

pub(super) fn check(rules: Option<&[PolicyRule]>, namespaced: bool, errors: &mut FieldErrors) {
    let path = Path::new("rules");
    for (index, rule) in rules.unwrap_or_default().iter().enumerate() {
        check_rule(rule, namespaced, &path.index(index), errors);
    }
}

fn check_rule(rule: &PolicyRule, namespaced: bool, path: &Path<'_>, errors: &mut FieldErrors) {
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if rule.verbs.is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    }
    if !empty(&rule.non_resource_urls) {
        let at = path.child("nonResourceURLs");
        if namespaced {
            errors.invalid(&at, json!(rule.non_resource_urls), "namespaced rules cannot apply to non-resource URLs");
        }
        if [&rule.api_groups, &rule.resources, &rule.resource_names].into_iter().any(|list| !empty(list)) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&at, json!(rule.non_resource_urls), detail);
        }
        return;
    }
    if empty(&rule.api_groups) {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if empty(&rule.resources) {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}
