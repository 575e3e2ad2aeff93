//! PodTemplate, and what every workload does with the pod template that it embeds.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodTemplate, PodTemplateSpec};

use crate::api::rules::label;
use crate::api::{Cell, Column, Kind, Strategy};

use super::pod;

/// Fills in a template.
pub(crate) fn default_template(template: &mut PodTemplateSpec) {
    pod::default_pod_spec(template.spec.get_or_insert_default());
}

/// The columns `Containers` and `Images` of a workload.
pub(crate) fn container_columns() -> [Column; 2] {
    [
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text("Images", "Images referenced by each container in the template.").wide(),
    ]
}

/// The cells of [`container_columns`].
pub(crate) fn container_cells(template: Option<&PodTemplateSpec>) -> [Cell; 2] {
    let containers = template.and_then(|template| template.spec.as_ref()).map_or(&[][..], |spec| &spec.containers);
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<_> = containers.iter().map(|container| container.image.as_deref().unwrap_or_default()).collect();
    [names.join(",").into(), images.join(",").into()]
}

/// What a PodTemplate does.
#[derive(Debug)]
struct PodTemplateStrategy;

impl Strategy for PodTemplateStrategy {
    type Object = PodTemplate;

    fn default(&self, object: &mut PodTemplate) {
        default_template(object.template.get_or_insert_default());
    }

    fn generation_changes(&self, new: &PodTemplate, old: &PodTemplate) -> Option<bool> {
        Some(new.template != old.template)
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns().map(|column| Column { priority: 0, ..column });
        vec![Column::name(), containers, images, Column::text("Pod Labels", "The labels for the pod template.")]
    }

    fn cells(&self, object: &PodTemplate, _: Timestamp) -> Vec<Cell> {
        let [containers, images] = container_cells(object.template.as_ref());
        let labels = object.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
        vec![Cell::name(&object.metadata), containers, images, label::map_text(labels).into()]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(PodTemplateStrategy)
}
