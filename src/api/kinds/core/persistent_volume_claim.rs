//! PersistentVolumeClaim: a user's request for storage.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};

use super::persistent_volume::{check_modes, check_volume_mode, phase_of, short_modes};
use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules::{label, resources};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a PersistentVolumeClaim does.
#[derive(Debug)]
struct ClaimStrategy;

impl Strategy for ClaimStrategy {
    type Object = PersistentVolumeClaim;

    separate_status!();

    fn default(&self, claim: &mut PersistentVolumeClaim) {
        let spec = claim.spec.get_or_insert_default();
        spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
        let wanted = spec.resources.get_or_insert_default();
        let status = claim.status.get_or_insert_default();
        for amounts in [&mut wanted.requests, &mut wanted.limits, &mut status.capacity].into_iter().flatten() {
            resources::canonical(amounts);
        }
        status.phase.get_or_insert_with(|| "Pending".into());
    }

    fn validate(&self, claim: &PersistentVolumeClaim, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &claim.spec else { return };
        let path = Path::new("spec");
        if let Some(selector) = &spec.selector {
            label::selector(errors, &path.child("selector"), selector);
        }
        let modes = spec.access_modes.as_deref().unwrap_or_default();
        check_modes(modes, &path, "at least 1 access mode is required", errors);
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        if requests.is_none_or(|requests| !requests.contains_key("storage")) {
            errors.required(&path.child("resources").key("storage"), "");
        }
        check_volume_mode(spec.volume_mode.as_deref(), &path, errors);
    }

    fn validate_update(
        &self,
        new: &PersistentVolumeClaim,
        old: &PersistentVolumeClaim,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        let (Some(now), Some(before)) = (&new.spec, &old.spec) else { return };
        // The binder may set the volume; the requests and the attributes of a bound claim may change.
        let bound = old.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
        let mut allowed = before.clone();
        if before.volume_name.as_deref().unwrap_or_default().is_empty() {
            allowed.volume_name.clone_from(&now.volume_name);
        }
        if bound && let (Some(allowed), Some(now)) = (&mut allowed.resources, &now.resources) {
            allowed.requests.clone_from(&now.requests);
        }
        allowed.volume_attributes_class_name.clone_from(&now.volume_attributes_class_name);
        if *now != allowed {
            let detail = "spec is immutable after creation except resources.requests and \
                          volumeAttributesClassName for bound claims";
            errors.forbidden(&Path::new("spec"), detail);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Status", "phase represents the current phase of PersistentVolumeClaim."),
            Column::text("Volume", "volumeName is the binding reference to the PersistentVolume backing this claim."),
            Column::text("Capacity", "capacity represents the actual resources of the underlying volume."),
            Column::text(
                "Access Modes",
                "accessModes contains the actual access modes the volume backing the PVC has.",
            ),
            Column::text("StorageClass", "StorageClass of the pvc"),
            Column::text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
            Column::age(),
            Column::text("VolumeMode", "volumeMode defines what type of volume is required by the claim.").wide(),
        ]
    }

    fn cells(&self, claim: &PersistentVolumeClaim, now: Timestamp) -> Vec<Cell> {
        let empty = PersistentVolumeClaimSpec::default();
        let spec = claim.spec.as_ref().unwrap_or(&empty);
        let status = claim.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let capacity = status.and_then(|status| status.capacity.as_ref()?.get("storage"));
        let modes = status.and_then(|status| status.access_modes.as_deref());
        let bound = spec.volume_name.as_ref().is_some_and(|name| !name.is_empty());
        vec![
            Cell::name(&claim.metadata),
            phase_of(phase, &claim.metadata).into(),
            Cell::opt(spec.volume_name.as_ref()),
            capacity.filter(|_| bound).map_or("", |amount| &amount.0).into(),
            short_modes(modes.filter(|_| bound)).into(),
            Cell::opt(spec.storage_class_name.as_ref()),
            Cell::or(spec.volume_attributes_class_name.as_deref(), "<unset>"),
            Cell::age(&claim.metadata, now),
            Cell::or(spec.volume_mode.as_deref(), "<unset>"),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ClaimStrategy).short(&["pvc"]).sub(Subresource::STATUS)
}
