//! CSIStorageCapacity: how much a driver can still provision, and where.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIStorageCapacity;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a CSIStorageCapacity does.
#[derive(Debug)]
struct CsiStorageCapacityStrategy;

impl Strategy for CsiStorageCapacityStrategy {
    type Object = CSIStorageCapacity;

    fn validate(&self, capacity: &CSIStorageCapacity, _: &Surroundings, errors: &mut FieldErrors) {
        let (path, name) = (Path::new("storageClassName"), &capacity.storage_class_name);
        rules::complain(errors, &path, name, rules::name::dns_subdomain(name));
        if let Some(topology) = &capacity.node_topology {
            rules::label::selector(errors, &Path::new("nodeTopology"), topology);
        }
    }

    fn validate_update(
        &self,
        new: &CSIStorageCapacity,
        old: &CSIStorageCapacity,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        if new.storage_class_name != old.storage_class_name {
            errors.invalid(&Path::new("storageClassName"), &new.storage_class_name, rules::IMMUTABLE);
        }
        if new.node_topology != old.node_topology {
            let shown = serde_json::to_value(&new.node_topology).unwrap_or_default();
            errors.invalid(&Path::new("nodeTopology"), shown, rules::IMMUTABLE);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("StorageClassName", "The name of the StorageClass that the reported capacity applies to."),
            Column::text("Capacity", "The value reported by the CSI driver."),
        ]
    }

    fn cells(&self, capacity: &CSIStorageCapacity, _: Timestamp) -> Vec<Cell> {
        let amount = capacity.capacity.as_ref().map(|amount| amount.0.as_str());
        vec![Cell::name(&capacity.metadata), capacity.storage_class_name.as_str().into(), Cell::or(amount, "<unset>")]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CsiStorageCapacityStrategy)
}
