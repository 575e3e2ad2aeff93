//! IngressClass: which controller serves an Ingress.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressClass;

use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What an IngressClass does.
#[derive(Debug)]
struct IngressClassStrategy;

impl Strategy for IngressClassStrategy {
    type Object = IngressClass;

    spec_generation!();

    fn default(&self, class: &mut IngressClass) {
        let spec = class.spec.get_or_insert_default();
        if let Some(parameters) = &mut spec.parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".into());
        }
    }

    fn validate(&self, class: &IngressClass, _: &Surroundings, errors: &mut FieldErrors) {
        let controller = class.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
        if controller.is_empty() {
            let path = Path::new("spec");
            errors.required(&path.child("controller"), "");
        }
    }

    fn validate_update(&self, new: &IngressClass, old: &IngressClass, around: &Surroundings, errors: &mut FieldErrors) {
        let controller = |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.clone());
        if controller(new) != controller(old) {
            let path = Path::new("spec");
            errors.invalid(&path.child("controller"), controller(new).unwrap_or_default(), rules::IMMUTABLE);
        }
        self.validate(new, around, errors);
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Controller", "Controller that is responsible for handling this class"),
            Column::text("Parameters", "A reference to a resource with additional parameters"),
            Column::age(),
        ]
    }

    fn cells(&self, class: &IngressClass, now: Timestamp) -> Vec<Cell> {
        let spec = class.spec.as_ref();
        let parameters = spec.and_then(|spec| spec.parameters.as_ref()).map(|of| match of.api_group.as_deref() {
            None | Some("") => format!("{}/{}", of.kind, of.name),
            Some(group) => format!("{}.{group}/{}", of.kind, of.name),
        });
        vec![
            Cell::name(&class.metadata),
            Cell::opt(spec.and_then(|spec| spec.controller.as_ref())),
            Cell::or_none(parameters.as_deref()),
            Cell::age(&class.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(IngressClassStrategy)
}
