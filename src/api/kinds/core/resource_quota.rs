//! ResourceQuota: how much all objects of a namespace may take together.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;

use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules::{self, resources};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// What a ResourceQuota does.
#[derive(Debug)]
struct ResourceQuotaStrategy;

impl Strategy for ResourceQuotaStrategy {
    type Object = ResourceQuota;

    separate_status!();

    fn default(&self, quota: &mut ResourceQuota) {
        let hard = &mut quota.spec.get_or_insert_default().hard;
        let status = quota.status.get_or_insert_default();
        for amounts in [hard, &mut status.hard, &mut status.used].into_iter().flatten() {
            resources::canonical(amounts);
        }
    }

    fn validate(&self, quota: &ResourceQuota, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let at = path.child("scopes");
        let scopes: Vec<_> = quota.spec.iter().flat_map(|spec| spec.scopes.iter().flatten()).collect();
        if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
            errors.invalid(&at, serde_json::json!(scopes), "unsupported scope");
        }
        for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
            if pair.iter().all(|scope| scopes.iter().any(|set| set == scope)) {
                errors.invalid(&at, serde_json::json!(scopes), "conflicting scopes");
            }
        }
    }

    fn validate_update(
        &self,
        new: &ResourceQuota,
        old: &ResourceQuota,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        let scopes = |quota: &ResourceQuota| {
            let mut scopes = quota.spec.as_ref().and_then(|spec| spec.scopes.clone()).unwrap_or_default();
            scopes.sort();
            scopes
        };
        if scopes(new) != scopes(old) {
            let path = Path::new("spec");
            errors.invalid(&path.child("scopes"), serde_json::json!(scopes(new)), rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
            Column::text("Limit", "Limits control the maximum amount of cpu/memory that a container may use."),
            Column::age(),
        ]
    }

    fn cells(&self, quota: &ResourceQuota, now: Timestamp) -> Vec<Cell> {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        if let Some(status) = &quota.status {
            for (name, hard) in status.hard.iter().flatten() {
                let used = status.used.as_ref().and_then(|used| used.get(name)).map_or("0", |used| &used.0);
                let column = if name.starts_with("limits") { &mut limits } else { &mut requests };
                column.push(format!("{name}: {used}/{}", hard.0));
            }
        }
        let meta = &quota.metadata;
        vec![Cell::name(meta), requests.join(", ").into(), limits.join(", ").into(), Cell::age(meta, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ResourceQuotaStrategy).short(&["quota"]).sub(Subresource::STATUS)
}
