//! PersistentVolume: a piece of storage in the cluster.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use crate::api::field::Path;
use crate::api::rules::{self, resources};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

pub(super) const ACCESS_MODES: &[(&str, &str)] =
    &[("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
const MODE_NAMES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];

/// Fields of the spec that are not a source of the volume.
const NOT_SOURCES: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

/// What a PersistentVolume does.
#[derive(Debug)]
struct PersistentVolumeStrategy;

impl Strategy for PersistentVolumeStrategy {
    type Object = PersistentVolume;

    fn default(&self, volume: &mut PersistentVolume) {
        let spec = volume.spec.get_or_insert_default();
        spec.persistent_volume_reclaim_policy.get_or_insert_with(|| "Retain".into());
        spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
        spec.capacity.iter_mut().for_each(resources::canonical);
        if let Some(path) = &mut spec.host_path {
            path.type_.get_or_insert_default();
        }
        volume.status.get_or_insert_default().phase.get_or_insert_with(|| "Pending".into());
    }

    fn prepare_create(&self, volume: &mut PersistentVolume, around: &Surroundings) {
        volume.status = None;
        self.default(volume);
        volume.status.get_or_insert_default().last_phase_transition_time = Some(Time(around.now));
    }

    fn prepare_update(&self, new: &mut PersistentVolume, old: &PersistentVolume, _: &Surroundings) {
        new.status.clone_from(&old.status);
    }

    fn prepare_status(&self, new: &mut PersistentVolume, old: &PersistentVolume, around: &Surroundings) {
        new.spec.clone_from(&old.spec);
        let phase = |volume: &PersistentVolume| volume.status.as_ref().and_then(|status| status.phase.clone());
        let moved = phase(new) != phase(old);
        if let Some(status) = new.status.as_mut().filter(|_| moved) {
            status.last_phase_transition_time = Some(Time(around.now));
        }
    }

    fn validate(&self, volume: &PersistentVolume, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &volume.spec else { return };
        let path = Path::new("spec");
        check_modes(spec.access_modes.as_deref().unwrap_or_default(), &path, "", errors);
        let at = path.child("capacity");
        let capacity = spec.capacity.iter().flatten();
        match capacity.clone().find(|(name, _)| *name != "storage") {
            _ if capacity.clone().next().is_none() => errors.required(&at, ""),
            None => {}
            Some(_) => {
                let shown: Vec<_> =
                    capacity.map(|(name, amount)| (name.clone(), Value::from(amount.0.clone()))).collect();
                errors.not_supported(&at, Value::Object(shown.into_iter().collect()), &["storage"]);
            }
        }
        let at = path.child("persistentVolumeReclaimPolicy");
        if let Some(policy) = spec.persistent_volume_reclaim_policy.as_deref()
            && !RECLAIM_POLICIES.contains(&policy)
        {
            errors.not_supported(&at, policy, RECLAIM_POLICIES);
        }
        check_volume_mode(spec.volume_mode.as_deref(), &path, errors);
        match sources(spec).as_slice() {
            [] => errors.required(&path, "must specify a volume type"),
            [_] => {}
            [_, more @ ..] => {
                for (name, _) in more {
                    errors.forbidden(&path.child(name), "may not specify more than 1 volume type");
                }
            }
        }
    }

    fn validate_update(
        &self,
        new: &PersistentVolume,
        old: &PersistentVolume,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        let (Some(now), Some(before)) = (&new.spec, &old.spec) else { return };
        let path = Path::new("spec");
        if sources(now) != sources(before) {
            let detail = "spec.persistentvolumesource is immutable after creation";
            errors.forbidden(&path.child("persistentvolumesource"), detail);
        }
        if now.volume_mode != before.volume_mode {
            let mode = now.volume_mode.as_deref().unwrap_or_default();
            errors.invalid(&path.child("volumeMode"), mode, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Capacity", "capacity is the description of the persistent volume's resources and capacity."),
            Column::text("Access Modes", "accessModes contains all ways the volume can be mounted."),
            Column::text("Reclaim Policy", "What happens to a persistent volume when released from its claim."),
            Column::text(
                "Status",
                "phase indicates if a volume is available, bound to a claim, or released by a claim.",
            ),
            Column::text("Claim", "claimRef is part of a bi-directional binding to a PersistentVolumeClaim."),
            Column::text("StorageClass", "StorageClass of the pv"),
            Column::text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
            Column::text("Reason", "reason is a brief string that describes any failure."),
            Column::age(),
            Column::text("VolumeMode", "volumeMode defines if a volume is formatted.").wide(),
        ]
    }

    fn cells(&self, volume: &PersistentVolume, now: Timestamp) -> Vec<Cell> {
        let empty = PersistentVolumeSpec::default();
        let spec = volume.spec.as_ref().unwrap_or(&empty);
        let status = volume.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let claim = spec.claim_ref.as_ref().map(|claim| {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{}/{}", part(&claim.namespace), part(&claim.name))
        });
        vec![
            Cell::name(&volume.metadata),
            spec.capacity.as_ref().and_then(|capacity| capacity.get("storage")).map_or("", |amount| &amount.0).into(),
            short_modes(spec.access_modes.as_deref()).into(),
            Cell::opt(spec.persistent_volume_reclaim_policy.as_ref()),
            phase_of(phase, &volume.metadata).into(),
            Cell::opt(claim.as_ref()),
            Cell::opt(spec.storage_class_name.as_ref()),
            Cell::or(spec.volume_attributes_class_name.as_deref(), "<unset>"),
            Cell::opt(status.and_then(|status| status.reason.as_ref())),
            Cell::age(&volume.metadata, now),
            Cell::or(spec.volume_mode.as_deref(), "<unset>"),
        ]
    }
}

/// The phase of a volume or claim, or that it is being deleted.
pub(super) fn phase_of<'a>(
    phase: &'a str,
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> &'a str {
    if meta.deletion_timestamp.is_some() { "Terminating" } else { phase }
}

/// Access modes in their short forms: `RWO,ROX`.
pub(super) fn short_modes(modes: Option<&[String]>) -> String {
    let has = |mode: &str| modes.unwrap_or_default().iter().any(|set| set == mode);
    ACCESS_MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

pub(super) fn check_modes(modes: &[String], spec: &Path<'_>, missing: &str, errors: &mut FieldErrors) {
    let at = spec.child("accessModes");
    if modes.is_empty() {
        errors.required(&at, missing);
    }
    for mode in modes.iter().filter(|mode| !MODE_NAMES.contains(&mode.as_str())) {
        errors.not_supported(&at, mode, MODE_NAMES);
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        errors.forbidden(&at, "may not use ReadWriteOncePod with other access modes");
    }
}

pub(super) fn check_volume_mode(mode: Option<&str>, spec: &Path<'_>, errors: &mut FieldErrors) {
    if let Some(mode) = mode.filter(|mode| !matches!(*mode, "Block" | "Filesystem")) {
        errors.not_supported(&spec.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
}

/// The sources of the volume that the spec names; one, where it is good.
fn sources(spec: &PersistentVolumeSpec) -> Vec<(String, Value)> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => {
            fields.into_iter().filter(|(name, _)| !NOT_SOURCES.contains(&name.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(PersistentVolumeStrategy).short(&["pv"]).sub(Subresource::STATUS)
}
