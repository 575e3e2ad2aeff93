//! CSINode: the volume drivers of a node.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSINode;

use crate::api::field::Path;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a CSINode does.
#[derive(Debug)]
struct CsiNodeStrategy;

impl Strategy for CsiNodeStrategy {
    type Object = CSINode;

    fn validate(&self, node: &CSINode, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let path = path.child("drivers");
        let mut names = BTreeSet::new();
        for (index, driver) in node.spec.drivers.iter().enumerate() {
            let path = path.index(index);
            for (field, value) in [("name", &driver.name), ("nodeID", &driver.node_id)] {
                if value.is_empty() {
                    errors.required(&path.child(field), "");
                }
            }
            if !names.insert(&driver.name) {
                errors.duplicate(&path.child("name"), &driver.name);
            }
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        let drivers = "Drivers indicates the number of CSI drivers registered on the node";
        vec![Column::name(), Column::integer("Drivers", drivers), Column::age()]
    }

    fn cells(&self, node: &CSINode, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&node.metadata), node.spec.drivers.len().into(), Cell::age(&node.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CsiNodeStrategy)
}
