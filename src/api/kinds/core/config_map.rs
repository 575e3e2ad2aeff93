//! ConfigMap: configuration data for pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::api::field::Path;
use crate::api::rules::{self, name};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// The largest sum of the sizes of all values.
const MAX_SIZE: usize = 1024 * 1024;

/// What a ConfigMap does.
#[derive(Debug)]
struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {
    type Object = ConfigMap;

    fn validate(&self, map: &ConfigMap, _: &Surroundings, errors: &mut FieldErrors) {
        let (data, binary) = (Path::new("data"), Path::new("binaryData"));
        let mut size = 0;
        for (key, value) in map.data.iter().flatten() {
            rules::complain(errors, &data.key(key), key, name::config_map_key(key));
            if map.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
                errors.invalid(&data.key(key), key, "duplicate of key present in binaryData");
            }
            size += value.len();
        }
        for (key, value) in map.binary_data.iter().flatten() {
            rules::complain(errors, &binary.key(key), key, name::config_map_key(key));
            size += value.0.len();
        }
        if size > MAX_SIZE {
            // Upstream names no field here.
            errors.too_long(&Path::new(""), MAX_SIZE);
        }
    }

    fn validate_update(&self, new: &ConfigMap, old: &ConfigMap, around: &Surroundings, errors: &mut FieldErrors) {
        if old.immutable == Some(true) {
            if new.immutable != Some(true) {
                errors.forbidden(&Path::new("immutable"), "field is immutable when `immutable` is set");
            }
            if !same(&new.data, &old.data) {
                errors.forbidden(&Path::new("data"), "field is immutable when `immutable` is set");
            }
            if !same(&new.binary_data, &old.binary_data) {
                errors.forbidden(&Path::new("binaryData"), "field is immutable when `immutable` is set");
            }
        }
        self.validate(new, around, errors);
    }

    fn columns(&self) -> Vec<Column> {
        let data =
            "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'.";
        vec![Column::name(), Column::text("Data", data), Column::age()]
    }

    fn cells(&self, map: &ConfigMap, now: Timestamp) -> Vec<Cell> {
        let count = map.data.as_ref().map_or(0, BTreeMap::len) + map.binary_data.as_ref().map_or(0, BTreeMap::len);
        vec![Cell::name(&map.metadata), count.into(), Cell::age(&map.metadata, now)]
    }
}

/// Whether two maps hold the same, none being as good as an empty one.
pub(super) fn same<V: PartialEq>(a: &Option<BTreeMap<String, V>>, b: &Option<BTreeMap<String, V>>) -> bool {
    a.iter().flatten().eq(b.iter().flatten())
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ConfigMapStrategy).short(&["cm"])
}
