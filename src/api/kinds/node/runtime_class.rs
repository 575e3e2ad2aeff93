//! RuntimeClass: which container runtime runs a pod.

use jiff::Timestamp;
use k8s_openapi::api::node::v1::RuntimeClass;

use crate::api::field::Path;
use crate::api::rules::{self, name};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a RuntimeClass does.
#[derive(Debug)]
struct RuntimeClassStrategy;

impl Strategy for RuntimeClassStrategy {
    type Object = RuntimeClass;

    fn validate(&self, class: &RuntimeClass, _: &Surroundings, errors: &mut FieldErrors) {
        rules::complain(errors, &Path::new("handler"), &class.handler, name::dns_label(&class.handler));
    }

    fn validate_update(&self, new: &RuntimeClass, old: &RuntimeClass, _: &Surroundings, errors: &mut FieldErrors) {
        if new.handler != old.handler {
            errors.invalid(&Path::new("handler"), &new.handler, rules::IMMUTABLE);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::text("Handler", ""), Column::age()]
    }

    fn cells(&self, class: &RuntimeClass, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&class.metadata), class.handler.as_str().into(), Cell::age(&class.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(RuntimeClassStrategy)
}
