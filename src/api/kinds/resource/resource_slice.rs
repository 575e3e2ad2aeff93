//! ResourceSlice: devices that a driver offers.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceSlice;

use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a ResourceSlice does.
#[derive(Debug)]
struct ResourceSliceStrategy;

impl Strategy for ResourceSliceStrategy {
    type Object = ResourceSlice;

    spec_generation!();

    fn validate(&self, slice: &ResourceSlice, _: &Surroundings, errors: &mut FieldErrors) {
        let (path, spec) = (Path::new("spec"), &slice.spec);
        for (field, value) in [("driver", &spec.driver), ("pool.name", &spec.pool.name)] {
            if value.is_empty() {
                errors.required(&path.child(field), "");
            }
        }
        let places = [
            spec.node_name.as_ref().is_some_and(|name| !name.is_empty()),
            spec.node_selector.is_some(),
            spec.all_nodes == Some(true),
            spec.per_device_node_selection == Some(true),
        ];
        let fields = "`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`";
        match places.into_iter().filter(|set| *set).count() {
            0 => errors.required(&path, format!("exactly one of {fields} is required")),
            1 => {}
            _ => errors.invalid(&path, "", format!("exactly one of {fields} is required, but multiple fields are set")),
        }
        if spec.pool.resource_slice_count < 1 {
            errors.invalid(
                &path.child("pool.resourceSliceCount"),
                spec.pool.resource_slice_count,
                "must be greater than zero",
            );
        }
    }

    fn validate_update(
        &self,
        new: &ResourceSlice,
        old: &ResourceSlice,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        let path = Path::new("spec");
        for (field, now, before) in
            [("pool.name", &new.spec.pool.name, &old.spec.pool.name), ("driver", &new.spec.driver, &old.spec.driver)]
        {
            if now != before {
                errors.invalid(&path.child(field), now, rules::IMMUTABLE);
            }
        }
        if new.spec.node_name != old.spec.node_name {
            let name = new.spec.node_name.as_deref().unwrap_or_default();
            errors.invalid(&path.child("nodeName"), name, rules::IMMUTABLE);
        }
    }

    fn field<'a>(&self, slice: &'a ResourceSlice, field: &str) -> Cow<'a, str> {
        match field {
            "spec.nodeName" => slice.spec.node_name.as_deref().unwrap_or_default().into(),
            "spec.driver" => slice.spec.driver.as_str().into(),
            _ => "".into(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Node", "NodeName identifies the node which provides the resources in this pool."),
            Column::text("Driver", "Driver identifies the DRA driver providing the capacity information."),
            Column::text("Pool", "Name is used to identify the pool."),
            Column::age(),
        ]
    }

    fn cells(&self, slice: &ResourceSlice, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::name(&slice.metadata),
            Cell::or(slice.spec.node_name.as_deref(), "<unset>"),
            slice.spec.driver.as_str().into(),
            slice.spec.pool.name.as_str().into(),
            Cell::age(&slice.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ResourceSliceStrategy).selectable(&["spec.nodeName", "spec.driver"])
}
