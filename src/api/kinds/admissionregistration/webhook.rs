//! What both kinds of webhooks have in common.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, WebhookClientConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::api::field::Path;
use crate::api::rules::{self, label, name};
use crate::api::{Cell, Column, FieldErrors};

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];

/// The fields of a webhook that have defaults.
pub(super) struct Defaults<'a> {
    pub(super) failure_policy: &'a mut Option<String>,
    pub(super) match_policy: &'a mut Option<String>,
    pub(super) namespace_selector: &'a mut Option<LabelSelector>,
    pub(super) object_selector: &'a mut Option<LabelSelector>,
    pub(super) timeout_seconds: &'a mut Option<i32>,
    pub(super) client_config: &'a mut WebhookClientConfig,
    pub(super) rules: &'a mut Option<Vec<RuleWithOperations>>,
}

impl Defaults<'_> {
    pub(super) fn set(self) {
        self.failure_policy.get_or_insert_with(|| "Fail".into());
        self.match_policy.get_or_insert_with(|| "Equivalent".into());
        self.namespace_selector.get_or_insert_default();
        self.object_selector.get_or_insert_default();
        self.timeout_seconds.get_or_insert(10);
        if let Some(service) = &mut self.client_config.service {
            service.port.get_or_insert(443);
        }
        for rule in self.rules.iter_mut().flatten() {
            rule.scope.get_or_insert_with(|| "*".into());
        }
    }
}

/// The fields of a webhook that are checked.
pub(super) struct Checked<'a> {
    pub(super) name: &'a str,
    pub(super) versions: &'a [String],
    pub(super) client_config: &'a WebhookClientConfig,
    pub(super) side_effects: &'a str,
    pub(super) timeout_seconds: Option<i32>,
    pub(super) selectors: [Option<&'a LabelSelector>; 2],
}

pub(super) fn check<'a>(webhooks: impl Iterator<Item = Checked<'a>>, errors: &mut FieldErrors) {
    let path = Path::new("webhooks");
    let mut names = BTreeSet::new();
    for (index, webhook) in webhooks.enumerate() {
        let path = path.index(index);
        webhook.check(&path, errors);
        if !names.insert(webhook.name.to_owned()) {
            errors.duplicate(&path.child("name"), webhook.name);
        }
    }
}

impl Checked<'_> {
    fn check(&self, path: &Path<'_>, errors: &mut FieldErrors) {
        let at = path.child("name");
        if self.name.is_empty() {
            errors.required(&at, "");
        } else {
            rules::complain(errors, &at, self.name, name::dns_subdomain(self.name));
            if self.name.split('.').count() < 3 {
                errors.invalid(&at, self.name, "should be a domain with at least three segments separated by dots");
            }
        }
        let at = path.child("admissionReviewVersions");
        if self.versions.is_empty() {
            errors.required(&at, "must specify one of v1, v1beta1");
        } else if !self.versions.iter().any(|version| matches!(version.as_str(), "v1" | "v1beta1")) {
            let detail = "must include at least one of v1, v1beta1";
            errors.invalid(&at, serde_json::json!(self.versions), detail);
        }
        if !SIDE_EFFECTS.contains(&self.side_effects) {
            let at = path.child("sideEffects");
            if self.side_effects.is_empty() {
                errors.required(&at, "must specify one of None, NoneOnDryRun");
            } else {
                errors.not_supported(&at, self.side_effects, SIDE_EFFECTS);
            }
        }
        if let Some(seconds) = self.timeout_seconds.filter(|seconds| !(1..=30).contains(seconds)) {
            let detail = "the timeout value must be between 1 and 30 seconds";
            errors.invalid(&path.child("timeoutSeconds"), seconds, detail);
        }
        for (field, selector) in ["namespaceSelector", "objectSelector"].into_iter().zip(self.selectors) {
            if let Some(selector) = selector {
                label::selector(errors, &path.child(field), selector);
            }
        }
        let at = path.child("clientConfig");
        match (&self.client_config.url, &self.client_config.service) {
            (None, None) | (Some(_), Some(_)) => errors.required(&at, "exactly one of url or service is required"),
            (Some(url), None) if !url.starts_with("https://") => {
                errors.invalid(
                    &at.child("url"),
                    url,
                    "'https' is the only allowed URL scheme; desired format: https://host[/path]",
                );
            }
            (None, Some(service)) => {
                let at = at.child("service");
                for (field, value) in [("name", &service.name), ("namespace", &service.namespace)] {
                    if value.is_empty() {
                        errors.required(&at.child(field), format!("service {field} is required"));
                    }
                }
            }
            _ => {}
        }
    }
}

pub(super) fn columns() -> Vec<Column> {
    let webhooks = "Webhooks indicates the number of webhooks registered in this configuration";
    vec![Column::name(), Column::integer("Webhooks", webhooks), Column::age()]
}

pub(super) fn cells(meta: &ObjectMeta, count: usize, now: Timestamp) -> Vec<Cell> {
    vec![Cell::name(meta), count.into(), Cell::age(meta, now)]
}
