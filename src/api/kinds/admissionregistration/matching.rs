//! What admission policies and their bindings have in common: what they match, and their parameters.

use k8s_openapi::api::admissionregistration::v1::{MatchResources, ParamKind, ParamRef};

use crate::api::FieldErrors;
use crate::api::field::Path;
use crate::api::rules::label;

pub(super) fn default_match(resources: &mut MatchResources) {
    resources.match_policy.get_or_insert_with(|| "Equivalent".into());
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    for rule in resources.resource_rules.iter_mut().chain(&mut resources.exclude_resource_rules).flatten() {
        rule.scope.get_or_insert_with(|| "*".into());
    }
}

pub(super) fn check_match(
    resources: Option<&MatchResources>,
    required: bool,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) {
    let Some(resources) = resources else {
        if required {
            errors.required(path, "");
        }
        return;
    };
    if required && resources.resource_rules.as_ref().is_none_or(Vec::is_empty) {
        errors.required(&path.child("resourceRules"), "");
    }
    for (field, selector) in
        [("namespaceSelector", &resources.namespace_selector), ("objectSelector", &resources.object_selector)]
    {
        if let Some(selector) = selector {
            label::selector(errors, &path.child(field), selector);
        }
    }
}

pub(super) fn check_failure_policy(policy: Option<&str>, path: &Path<'_>, errors: &mut FieldErrors) {
    match policy.unwrap_or_default() {
        "" => errors.required(path, ""),
        "Fail" | "Ignore" => {}
        other => errors.not_supported(path, other, &["Fail", "Ignore"]),
    }
}

/// A kind of parameters as a row shows it.
pub(super) fn param_kind(kind: Option<&ParamKind>) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    kind.map_or_else(|| "<unset>".into(), |kind| format!("{}/{}", part(&kind.api_version), part(&kind.kind)))
}

/// The parameters of a binding as a row shows them.
pub(super) fn param_ref(of: Option<&ParamRef>) -> String {
    let Some(of) = of else { return "<unset>".into() };
    let name = of.name.as_deref().filter(|name| !name.is_empty());
    let name = name.map_or_else(|| label::selector_text(of.selector.as_ref()), str::to_owned);
    match of.namespace.as_deref() {
        None | Some("") => format!("*/{name}"),
        Some(namespace) => format!("{namespace}/{name}"),
    }
}

pub(super) fn check_binding(policy: Option<&str>, param: Option<&ParamRef>, errors: &mut FieldErrors) {
    let path = Path::new("spec");
    if policy.unwrap_or_default().is_empty() {
        errors.required(&path.child("policyName"), "");
    }
    let Some(param) = param else { return };
    let path = path.child("paramRef");
    let named = param.name.as_ref().is_some_and(|name| !name.is_empty());
    match &param.selector {
        Some(_) if named => errors.forbidden(&path.child("name"), "name and selector are mutually exclusive"),
        None if !named => errors.required(&path, "one of name or selector must be specified"),
        _ => {}
    }
    if param.parameter_not_found_action.is_none() {
        errors.required(&path.child("parameterNotFoundAction"), "");
    }
}
