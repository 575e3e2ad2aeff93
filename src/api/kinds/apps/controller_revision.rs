//! ControllerRevision: a state of a workload that can be gone back to.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::{IMMUTABLE, not_negative};
use crate::api::{Cell, Column, Kind, Strategy, Surroundings};

/// What a ControllerRevision does.
#[derive(Debug)]
struct ControllerRevisionStrategy;

impl Strategy for ControllerRevisionStrategy {
    type Object = ControllerRevision;

    fn validate(&self, object: &ControllerRevision, _: &Surroundings, errors: &mut FieldErrors) {
        if object.data.is_none() {
            errors.required(&Path::new("data"), "data is mandatory");
        }
        not_negative(errors, &Path::new("revision"), object.revision);
    }

    fn validate_update(
        &self,
        new: &ControllerRevision,
        old: &ControllerRevision,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        if new.data != old.data {
            let data = new.data.as_ref().map_or(serde_json::Value::Null, |data| data.0.clone());
            errors.invalid(&Path::new("data"), data, IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Controller", "Controller of the object"),
            Column::text("Revision", "Revision indicates the revision of the state represented by Data."),
            Column::age(),
        ]
    }

    fn cells(&self, object: &ControllerRevision, now: Timestamp) -> Vec<Cell> {
        let owners = object.metadata.owner_references.iter().flatten();
        let controller = owners.clone().find(|owner| owner.controller == Some(true)).map_or_else(
            || "<none>".to_owned(),
            |owner| {
                let kind = owner.kind.to_lowercase();
                match owner.api_version.split_once('/') {
                    Some((group, _)) => format!("{kind}.{group}/{}", owner.name),
                    None => format!("{kind}/{}", owner.name),
                }
            },
        );
        vec![
            Cell::name(&object.metadata),
            controller.into(),
            object.revision.to_string().into(),
            Cell::age(&object.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ControllerRevisionStrategy)
}
