//! VolumeAttachment: the wish to attach a volume to a node.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a VolumeAttachment does.
#[derive(Debug)]
struct VolumeAttachmentStrategy;

impl Strategy for VolumeAttachmentStrategy {
    type Object = VolumeAttachment;

    separate_status!();

    fn default(&self, attachment: &mut VolumeAttachment) {
        attachment.status.get_or_insert_default();
    }

    fn validate(&self, attachment: &VolumeAttachment, _: &Surroundings, errors: &mut FieldErrors) {
        let (path, spec) = (Path::new("spec"), &attachment.spec);
        if spec.attacher.is_empty() {
            errors.required(&path.child("attacher"), "");
        }
        if spec.node_name.is_empty() {
            errors.required(&path.child("nodeName"), "");
        }
        let source = path.child("source");
        match (&spec.source.inline_volume_spec, &spec.source.persistent_volume_name) {
            (None, None) => {
                errors.required(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
            }
            (Some(_), Some(_)) => {
                errors.forbidden(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
            }
            _ => {}
        }
    }

    fn validate_update(
        &self,
        new: &VolumeAttachment,
        old: &VolumeAttachment,
        _: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        if new.spec != old.spec {
            let shown = serde_json::to_value(&new.spec).unwrap_or_default();
            errors.invalid(&Path::new("spec"), shown, rules::IMMUTABLE);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column {
                format: "name",
                ..Column::text("Attacher", "The name of the volume driver that MUST handle this request.")
            },
            Column::text("PV", "The name of the persistent volume to attach."),
            Column::text("Node", "The node that the volume should be attached to."),
            Column::boolean("Attached", "Whether the volume is successfully attached."),
            Column::age(),
        ]
    }

    fn cells(&self, attachment: &VolumeAttachment, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::name(&attachment.metadata),
            attachment.spec.attacher.as_str().into(),
            Cell::opt(attachment.spec.source.persistent_volume_name.as_ref()),
            attachment.spec.node_name.as_str().into(),
            attachment.status.as_ref().is_some_and(|status| status.attached).into(),
            Cell::age(&attachment.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(VolumeAttachmentStrategy).sub(Subresource::STATUS)
}
