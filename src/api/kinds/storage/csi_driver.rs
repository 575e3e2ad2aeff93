//! CSIDriver: what the cluster must know of a volume driver.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIDriver;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a CSIDriver does.
#[derive(Debug)]
struct CsiDriverStrategy;

impl Strategy for CsiDriverStrategy {
    type Object = CSIDriver;

    fn default(&self, driver: &mut CSIDriver) {
        let spec = &mut driver.spec;
        spec.attach_required.get_or_insert(true);
        spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".into());
        spec.volume_lifecycle_modes.get_or_insert_with(|| vec!["Persistent".into()]);
        for flag in [
            &mut spec.pod_info_on_mount,
            &mut spec.storage_capacity,
            &mut spec.requires_republish,
            &mut spec.se_linux_mount,
        ] {
            flag.get_or_insert(false);
        }
    }

    fn generation_changes(&self, new: &CSIDriver, old: &CSIDriver) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn validate_update(&self, new: &CSIDriver, old: &CSIDriver, _: &Surroundings, errors: &mut FieldErrors) {
        let spec = Path::new("spec");
        if new.spec.attach_required != old.spec.attach_required {
            errors.invalid(
                &spec.child("attachedRequired"),
                new.spec.attach_required.unwrap_or_default(),
                rules::IMMUTABLE,
            );
        }
        if new.spec.volume_lifecycle_modes != old.spec.volume_lifecycle_modes {
            let shown = serde_json::json!(new.spec.volume_lifecycle_modes);
            errors.invalid(&spec.child("volumeLifecycleModes"), shown, rules::IMMUTABLE);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::boolean("AttachRequired", "Whether this CSI volume driver requires an attach operation."),
            Column::boolean("PodInfoOnMount", "Whether this CSI volume driver requires additional pod information."),
            Column::boolean("StorageCapacity", "Whether the scheduler considers the capacity that the driver reports."),
            Column::text("TokenRequests", "The audiences of the tokens that the driver needs."),
            Column::boolean("RequiresRepublish", "Whether NodePublishVolume is called periodically."),
            Column::text("Modes", "What kind of volumes this CSI volume driver supports."),
            Column::age(),
        ]
    }

    fn cells(&self, driver: &CSIDriver, now: Timestamp) -> Vec<Cell> {
        let spec = &driver.spec;
        let audiences: Vec<_> = spec.token_requests.iter().flatten().map(|request| request.audience.as_str()).collect();
        let modes = spec.volume_lifecycle_modes.as_deref().unwrap_or_default().join(",");
        vec![
            Cell::name(&driver.metadata),
            spec.attach_required.unwrap_or(true).into(),
            spec.pod_info_on_mount.unwrap_or_default().into(),
            spec.storage_capacity.unwrap_or_default().into(),
            Cell::or(Some(&audiences.join(",")), "<unset>"),
            spec.requires_republish.unwrap_or_default().into(),
            Cell::or_none(Some(&modes)),
            Cell::age(&driver.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CsiDriverStrategy)
}
