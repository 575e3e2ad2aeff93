//! VolumeAttributesClass: attributes of volumes that can change.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use crate::api::field::Path;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a VolumeAttributesClass does.
#[derive(Debug)]
struct VolumeAttributesClassStrategy;

impl Strategy for VolumeAttributesClassStrategy {
    type Object = VolumeAttributesClass;

    fn validate(&self, class: &VolumeAttributesClass, _: &Surroundings, errors: &mut FieldErrors) {
        if class.driver_name.is_empty() {
            errors.required(&Path::new("driverName"), "");
        }
        if class.parameters.as_ref().is_none_or(|parameters| parameters.is_empty()) {
            errors.required(&Path::new("parameters"), "must contain at least one key/value pair");
        }
    }

    fn validate_update(
        &self,
        new: &VolumeAttributesClass,
        old: &VolumeAttributesClass,
        _: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        if new.driver_name != old.driver_name {
            errors.forbidden(&Path::new("driverName"), "updates to driverName are forbidden.");
        }
        if new.parameters != old.parameters {
            errors.forbidden(&Path::new("parameters"), "updates to parameters are forbidden.");
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::text("DriverName", "Name of the CSI driver"), Column::age()]
    }

    fn cells(&self, class: &VolumeAttributesClass, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&class.metadata), class.driver_name.as_str().into(), Cell::age(&class.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(VolumeAttributesClassStrategy).short(&["vac"])
}
