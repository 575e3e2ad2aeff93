//! DeviceClass: a kind of devices that can be claimed.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::DeviceClass;

use crate::api::kinds::separate_status::spec_generation;
use crate::api::{Cell, Column, Kind, Strategy};

/// What a DeviceClass does.
#[derive(Debug)]
struct DeviceClassStrategy;

impl Strategy for DeviceClassStrategy {
    type Object = DeviceClass;

    spec_generation!();

    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::age()]
    }

    fn cells(&self, class: &DeviceClass, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&class.metadata), Cell::age(&class.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(DeviceClassStrategy)
}
