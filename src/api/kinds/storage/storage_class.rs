//! StorageClass: how volumes are provisioned.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::StorageClass;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

const DEFAULT_ANNOTATIONS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const BINDING_MODES: &[&str] = &["Immediate", "WaitForFirstConsumer"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Retain"];

/// What a StorageClass does.
#[derive(Debug)]
struct StorageClassStrategy;

impl Strategy for StorageClassStrategy {
    type Object = StorageClass;

    fn default(&self, class: &mut StorageClass) {
        class.reclaim_policy.get_or_insert_with(|| "Delete".into());
        class.volume_binding_mode.get_or_insert_with(|| "Immediate".into());
    }

    fn validate(&self, class: &StorageClass, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("provisioner");
        if class.provisioner.is_empty() {
            errors.required(&path, "");
        } else {
            let complaints = rules::label::qualified_name(&class.provisioner.to_lowercase());
            rules::complain(errors, &path, &class.provisioner, complaints);
        }
        for (field, value, allowed) in [
            ("reclaimPolicy", &class.reclaim_policy, RECLAIM_POLICIES),
            ("volumeBindingMode", &class.volume_binding_mode, BINDING_MODES),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !allowed.contains(value)) {
                errors.not_supported(&Path::new(field), value, allowed);
            }
        }
    }

    fn validate_update(&self, new: &StorageClass, old: &StorageClass, _: &Surroundings, errors: &mut FieldErrors) {
        if new.parameters != old.parameters {
            errors.forbidden(&Path::new("parameters"), "updates to parameters are forbidden.");
        }
        if new.provisioner != old.provisioner {
            errors.forbidden(&Path::new("provisioner"), "updates to provisioner are forbidden.");
        }
        if new.reclaim_policy != old.reclaim_policy {
            errors.forbidden(&Path::new("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
        }
        if new.volume_binding_mode != old.volume_binding_mode {
            let mode = new.volume_binding_mode.as_deref().unwrap_or_default();
            errors.invalid(&Path::new("volumeBindingMode"), mode, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Provisioner", "provisioner indicates the type of the provisioner."),
            Column::text("ReclaimPolicy", "The reclaimPolicy that volumes of this storage class are created with."),
            Column::text("VolumeBindingMode", "How PersistentVolumeClaims should be provisioned and bound."),
            Column::text("AllowVolumeExpansion", "Whether the storage class allows volumes to be expanded."),
            Column::age(),
        ]
    }

    fn cells(&self, class: &StorageClass, now: Timestamp) -> Vec<Cell> {
        let meta = &class.metadata;
        let annotated =
            |name: &&str| meta.annotations.as_ref().and_then(|all| all.get(*name)).is_some_and(|v| v == "true");
        let name = meta.name.clone().unwrap_or_default();
        vec![
            if DEFAULT_ANNOTATIONS.iter().any(annotated) { format!("{name} (default)").into() } else { name.into() },
            class.provisioner.as_str().into(),
            Cell::opt(class.reclaim_policy.as_ref()),
            Cell::opt(class.volume_binding_mode.as_ref()),
            class.allow_volume_expansion.unwrap_or_default().into(),
            Cell::age(meta, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(StorageClassStrategy).short(&["sc"])
}
