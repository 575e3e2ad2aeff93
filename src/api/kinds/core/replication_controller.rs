//! ReplicationController: keeps a number of pods running.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ReplicationController;

use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::label;
use crate::api::{Cell, Column, Kind, ScaleView, Strategy, Subresource};

use super::pod_template::{container_cells, container_columns, default_template};

/// What a ReplicationController does.
#[derive(Debug)]
struct ReplicationControllerStrategy;

impl Strategy for ReplicationControllerStrategy {
    type Object = ReplicationController;

    fn default(&self, object: &mut ReplicationController) {
        let spec = object.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        if let Some(template) = &mut spec.template {
            default_template(template);
            let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
            if let Some(labels) = labels {
                for slot in [&mut spec.selector, &mut object.metadata.labels] {
                    if slot.as_ref().is_none_or(|map| map.is_empty()) {
                        *slot = Some(labels.clone());
                    }
                }
            }
        }
        object.status.get_or_insert_default();
    }

    separate_status!();
    spec_generation!();

    fn field<'a>(&self, object: &'a ReplicationController, field: &str) -> Cow<'a, str> {
        match field {
            "status.replicas" => object.status.as_ref().map_or(0, |status| status.replicas).to_string().into(),
            _ => Cow::Borrowed(""),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::integer("Desired", "Replicas is the number of desired replicas."),
            Column::integer("Current", "Replicas is the most recently observed number of replicas."),
            Column::integer("Ready", "The number of ready replicas for this replication controller."),
            Column::age(),
            containers,
            images,
            Column::text("Selector", "Selector is a label query over pods that should match the Replicas count.")
                .wide(),
        ]
    }

    fn cells(&self, object: &ReplicationController, now: Timestamp) -> Vec<Cell> {
        let (spec, status) = (object.spec.clone().unwrap_or_default(), object.status.clone().unwrap_or_default());
        let [containers, images] = container_cells(spec.template.as_ref());
        vec![
            Cell::name(&object.metadata),
            spec.replicas.unwrap_or(0).into(),
            status.replicas.into(),
            status.ready_replicas.unwrap_or(0).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
            label::map_text(spec.selector.as_ref()).into(),
        ]
    }

    fn scale(&self, object: &ReplicationController) -> Option<ScaleView> {
        let spec = object.spec.as_ref();
        let selector: Vec<_> = spec
            .and_then(|spec| spec.selector.as_ref())
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Some(ScaleView {
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(0),
            observed: object.status.as_ref().map_or(0, |status| status.replicas),
            selector: selector.join(","),
        })
    }

    fn set_scale(&self, object: &mut ReplicationController, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ReplicationControllerStrategy)
        .short(&["rc"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
        .selectable(&["status.replicas"])
}
