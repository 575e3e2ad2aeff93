//! ResourceClaimTemplate: what the claims of pods are made from.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;

use super::resource_claim::{check_spec, default_spec};
use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a ResourceClaimTemplate does.
#[derive(Debug)]
struct ResourceClaimTemplateStrategy;

impl Strategy for ResourceClaimTemplateStrategy {
    type Object = ResourceClaimTemplate;

    fn default(&self, template: &mut ResourceClaimTemplate) {
        default_spec(&mut template.spec.spec);
    }

    fn validate(&self, template: &ResourceClaimTemplate, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        check_spec(&template.spec.spec, &path.child("spec"), errors);
    }

    fn validate_update(
        &self,
        new: &ResourceClaimTemplate,
        old: &ResourceClaimTemplate,
        _: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        if new.spec != old.spec {
            let shown = serde_json::to_value(&new.spec).unwrap_or_default();
            errors.invalid(&Path::new("spec"), shown, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::age()]
    }

    fn cells(&self, template: &ResourceClaimTemplate, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&template.metadata), Cell::age(&template.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ResourceClaimTemplateStrategy)
}
