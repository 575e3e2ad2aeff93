//! IPAddress: an address of a Service range that is taken.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IPAddress;

use crate::api::field::Path;
use crate::api::rules::{self, ip};
use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Surroundings};

/// What an IPAddress does.
#[derive(Debug)]
struct IpAddressStrategy;

impl Strategy for IpAddressStrategy {
    type Object = IPAddress;

    fn validate(&self, address: &IPAddress, _: &Surroundings, errors: &mut FieldErrors) {
        let name = address.metadata.name.as_deref().unwrap_or_default();
        let path = Path::new("metadata");
        rules::complain(errors, &path.child("name"), name, ip::valid(name));
        let path = Path::new("spec");
        let path = path.child("parentRef");
        for (field, value) in [("resource", &address.spec.parent_ref.resource), ("name", &address.spec.parent_ref.name)]
        {
            if value.is_empty() {
                errors.required(&path.child(field), "");
            }
        }
    }

    fn validate_update(&self, new: &IPAddress, old: &IPAddress, _: &Surroundings, errors: &mut FieldErrors) {
        if new.spec != old.spec {
            let shown = serde_json::to_value(&new.spec.parent_ref).unwrap_or_default();
            let path = Path::new("spec");
            errors.invalid(&path.child("parentRef"), shown, rules::IMMUTABLE);
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> Vec<Column> {
        let parent = "ParentRef references the resource that an IPAddress is attached to.";
        vec![Column::name(), Column::text("ParentRef", parent)]
    }

    fn cells(&self, address: &IPAddress, _: Timestamp) -> Vec<Cell> {
        let of = &address.spec.parent_ref;
        let group = of.group.iter().filter(|group| !group.is_empty()).map(|group| format!(".{group}"));
        let namespace = of.namespace.iter().filter(|namespace| !namespace.is_empty()).map(|ns| format!("{ns}/"));
        let (group, namespace) = (group.collect::<String>(), namespace.collect::<String>());
        vec![Cell::name(&address.metadata), format!("{}{group}/{namespace}{}", of.resource, of.name).into()]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(IpAddressStrategy).short(&["ip"])
}
