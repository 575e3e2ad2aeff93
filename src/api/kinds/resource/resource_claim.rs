//! ResourceClaim: the wish for devices.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimSpec};

use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules::{self, name};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

const MODES: &[&str] = &["All", "ExactCount"];

/// What a ResourceClaim does.
#[derive(Debug)]
struct ResourceClaimStrategy;

impl Strategy for ResourceClaimStrategy {
    type Object = ResourceClaim;

    separate_status!();

    fn default(&self, claim: &mut ResourceClaim) {
        default_spec(&mut claim.spec);
        claim.status.get_or_insert_default();
    }

    fn validate(&self, claim: &ResourceClaim, _: &Surroundings, errors: &mut FieldErrors) {
        check_spec(&claim.spec, &Path::new("spec"), errors);
    }

    fn validate_update(&self, new: &ResourceClaim, old: &ResourceClaim, _: &Surroundings, errors: &mut FieldErrors) {
        if new.spec != old.spec {
            let shown = serde_json::to_value(&new.spec).unwrap_or_default();
            errors.invalid(&Path::new("spec"), shown, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        let state = "A summary of the current state (allocated, pending, reserved, etc.).";
        vec![Column::name(), Column::text("State", state), Column::age()]
    }

    fn cells(&self, claim: &ResourceClaim, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&claim.metadata), state(claim).into(), Cell::age(&claim.metadata, now)]
    }
}

fn state(claim: &ResourceClaim) -> String {
    let deleted = claim.metadata.deletion_timestamp.is_some();
    let mut states = Vec::from_iter(deleted.then_some("deleted"));
    match claim.status.as_ref().filter(|status| status.allocation.is_some()) {
        None if deleted => {}
        None => states.push("pending"),
        Some(status) => {
            states.push("allocated");
            if status.reserved_for.as_ref().is_some_and(|users| !users.is_empty()) {
                states.push("reserved");
            }
        }
    }
    states.join(",")
}

pub(super) fn default_spec(spec: &mut ResourceClaimSpec) {
    fn count(mode: &mut Option<String>, count: &mut Option<i64>) {
        let mode = mode.get_or_insert_with(|| "ExactCount".into());
        if mode == "ExactCount" {
            count.get_or_insert(1);
        }
    }
    for request in spec.devices.iter_mut().flat_map(|devices| devices.requests.iter_mut().flatten()) {
        if let Some(exact) = &mut request.exactly {
            count(&mut exact.allocation_mode, &mut exact.count);
        }
        for sub in request.first_available.iter_mut().flatten() {
            count(&mut sub.allocation_mode, &mut sub.count);
        }
    }
}

pub(super) fn check_spec(spec: &ResourceClaimSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let path = path.child("devices");
    let path = path.child("requests");
    let mut names = BTreeSet::new();
    for (index, request) in spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten()).enumerate() {
        let path = path.index(index);
        rules::complain(errors, &path.child("name"), &request.name, name::dns_label(&request.name));
        if !names.insert(&request.name) {
            errors.duplicate(&path.child("name"), &request.name);
        }
        let listed = request.first_available.as_ref().is_some_and(|listed| !listed.is_empty());
        match &request.exactly {
            Some(_) if listed => errors.invalid(
                &path,
                "",
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            ),
            None if !listed => errors.required(&path, "exactly one of `exactly` or `firstAvailable` is required"),
            None => {}
            Some(exact) => {
                let path = path.child("exactly");
                if exact.device_class_name.is_empty() {
                    errors.required(&path.child("deviceClassName"), "");
                }
                if let Some(mode) = exact.allocation_mode.as_deref().filter(|mode| !MODES.contains(mode)) {
                    errors.not_supported(&path.child("allocationMode"), mode, MODES);
                }
            }
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ResourceClaimStrategy).sub(Subresource::STATUS)
}
