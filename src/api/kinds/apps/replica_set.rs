//! ReplicaSet: keeps a number of pods of one template running.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{immutable, label, not_negative};
use crate::api::{Cell, Column, Kind, ScaleView, Strategy, Subresource, Surroundings};

/// What a ReplicaSet does.
#[derive(Debug)]
struct ReplicaSetStrategy;

impl Strategy for ReplicaSetStrategy {
    type Object = ReplicaSet;

    fn default(&self, object: &mut ReplicaSet) {
        let spec = object.spec.get_or_insert_default();
        default_template(spec.template.get_or_insert_default());
        spec.replicas.get_or_insert(1);
        object.status.get_or_insert_default();
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    separate_status!();
    spec_generation!();

    fn validate(&self, object: &ReplicaSet, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let no_spec = ReplicaSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        not_negative(errors, &path.child("replicas"), spec.replicas.unwrap_or(0));
        not_negative(errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or(0));
        // Upstream names the deployment here.
        pod_template::validate_selector(errors, &path.child("selector"), &spec.selector, "deployment");
        let template = spec.template.clone().unwrap_or_default();
        pod_template::validate_running(errors, &path, &template, &spec.selector, "ReplicaSet");
    }

    fn validate_update(&self, new: &ReplicaSet, old: &ReplicaSet, around: &Surroundings, errors: &mut FieldErrors) {
        self.validate(new, around, errors);
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            immutable(errors, &Path::new("spec").child("selector"), &new.selector, &old.selector);
        }
    }

    fn validate_status(&self, new: &ReplicaSet, _: &ReplicaSet, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("status");
        let status = new.status.clone().unwrap_or_default();
        not_negative(errors, &path.child("observedGeneration"), status.observed_generation.unwrap_or(0));
        let (all, ready) = (status.replicas, status.ready_replicas.unwrap_or(0));
        for (field, count, most, text) in [
            ("replicas", Some(all), i32::MAX, ""),
            ("fullyLabeledReplicas", status.fully_labeled_replicas, all, "cannot be greater than status.replicas"),
            ("readyReplicas", status.ready_replicas, all, "cannot be greater than status.replicas"),
            ("availableReplicas", status.available_replicas, all, "cannot be greater than status.replicas"),
            ("availableReplicas", status.available_replicas, ready, "cannot be greater than readyReplicas"),
        ] {
            let count = count.unwrap_or(0);
            not_negative(errors, &path.child(field), count);
            if count > most {
                errors.invalid(&path.child(field), count, text);
            }
        }
    }

    fn warnings(&self, new: &ReplicaSet, old: Option<&ReplicaSet>) -> Vec<String> {
        let template = |object: &ReplicaSet| object.spec.as_ref().and_then(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

    fn field<'a>(&self, object: &'a ReplicaSet, field: &str) -> Cow<'a, str> {
        match field {
            "status.replicas" => object.status.as_ref().map_or(0, |status| status.replicas).to_string().into(),
            _ => Cow::Borrowed(""),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::integer("Desired", "Replicas is the number of desired pods."),
            Column::integer("Current", "Replicas is the most recently observed number of non-terminating pods."),
            Column::integer("Ready", "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition."),
            Column::age(),
            containers,
            images,
            Column::text(
                "Selector",
                "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set.",
            )
            .wide(),
        ]
    }

    fn cells(&self, object: &ReplicaSet, now: Timestamp) -> Vec<Cell> {
        let no_spec = ReplicaSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let status = object.status.clone().unwrap_or_default();
        let [containers, images] = container_cells(spec.template.as_ref());
        vec![
            Cell::name(&object.metadata),
            spec.replicas.unwrap_or(0).into(),
            status.replicas.into(),
            status.ready_replicas.unwrap_or(0).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
            label::selector_text(Some(&spec.selector)).into(),
        ]
    }

    fn scale(&self, object: &ReplicaSet) -> Option<ScaleView> {
        let spec = object.spec.as_ref()?;
        Some(ScaleView {
            replicas: spec.replicas.unwrap_or(0),
            observed: object.status.as_ref().map_or(0, |status| status.replicas),
            selector: label::selector_query(&spec.selector),
        })
    }

    fn set_scale(&self, object: &mut ReplicaSet, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ReplicaSetStrategy)
        .short(&["rs"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
        .selectable(&["status.replicas"])
}
