//! ReplicationController: keeps a number of pods running.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{label, not_negative};
use crate::api::{Cell, Column, Kind, Propagation, ScaleView, Strategy, Subresource, Surroundings};

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

    fn propagation(&self) -> Option<Propagation> {
        Some(Propagation::Orphan)
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    separate_status!();
    spec_generation!();

    fn validate(&self, object: &ReplicationController, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let spec = object.spec.clone().unwrap_or_default();
        not_negative(errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or(0));
        let selector = LabelSelector { match_labels: spec.selector, match_expressions: None };
        if label::selects_everything(&selector) {
            errors.required(&path.child("selector"), "");
        }
        match spec.replicas {
            Some(replicas) => not_negative(errors, &path.child("replicas"), replicas),
            None => errors.required(&path.child("replicas"), ""),
        }
        match &spec.template {
            Some(template) => {
                pod_template::validate_running(errors, &path, template, &selector, "ReplicationController");
            }
            None => errors.required(&path.child("template"), ""),
        }
    }

    fn warnings(&self, new: &ReplicationController, old: Option<&ReplicationController>) -> Vec<String> {
        let template = |object: &ReplicationController| object.spec.as_ref().and_then(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

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
