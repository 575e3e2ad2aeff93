//! Deployment: rolls a template out over ReplicaSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy as UpdateStrategy};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::restore;
use crate::api::rules::{given, immutable, json, label, not_negative, share};
use crate::api::{Cell, Column, Kind, ScaleView, Strategy, Subresource, Surroundings};

/// What a Deployment does.
#[derive(Debug)]
struct DeploymentStrategy;

impl Strategy for DeploymentStrategy {
    type Object = Deployment;

    fn default(&self, object: &mut Deployment) {
        let spec = object.spec.get_or_insert_default();
        default_template(&mut spec.template);
        spec.replicas.get_or_insert(1);
        let strategy = spec.strategy.get_or_insert_default();
        text(&mut strategy.type_, "RollingUpdate");
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            for bound in [&mut rolling.max_unavailable, &mut rolling.max_surge] {
                bound.get_or_insert_with(|| IntOrString::String("25%".to_owned()));
            }
        }
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        object.status.get_or_insert_default();
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    fn prepare_create(&self, object: &mut Deployment, _: &Surroundings) {
        object.status = Some(DeploymentStatus::default());
    }

    fn prepare_update(&self, new: &mut Deployment, old: &Deployment, _: &Surroundings) {
        restore(&mut new.status, &old.status);
    }

    fn prepare_status(&self, new: &mut Deployment, old: &Deployment, _: &Surroundings) {
        restore(&mut new.spec, &old.spec);
        new.metadata.labels.clone_from(&old.metadata.labels);
    }

    /// Annotations count too: they go on to the ReplicaSets.
    fn generation_changes(&self, new: &Deployment, old: &Deployment) -> Option<bool> {
        let annotations = |of: &Deployment| of.metadata.annotations.clone().unwrap_or_default();
        Some(new.spec != old.spec || annotations(new) != annotations(old))
    }

    fn validate(&self, object: &Deployment, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let no_spec = DeploymentSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        not_negative(errors, &path.child("replicas"), spec.replicas.unwrap_or(0));
        pod_template::validate_selector(errors, &path.child("selector"), &spec.selector, "deployment");
        pod_template::validate_running(errors, &path, &spec.template, &spec.selector, "ReplicaSet");
        validate_strategy(errors, &path.child("strategy"), &spec.strategy.clone().unwrap_or_default());
        let ready = spec.min_ready_seconds.unwrap_or(0);
        not_negative(errors, &path.child("minReadySeconds"), ready);
        not_negative(errors, &path.child("revisionHistoryLimit"), spec.revision_history_limit.unwrap_or(0));
        if let Some(deadline) = spec.progress_deadline_seconds {
            let path = path.child("progressDeadlineSeconds");
            not_negative(errors, &path, deadline);
            if deadline <= ready {
                errors.invalid(&path, deadline, "must be greater than minReadySeconds");
            }
        }
    }

    fn validate_update(&self, new: &Deployment, old: &Deployment, around: &Surroundings, errors: &mut FieldErrors) {
        self.validate(new, around, errors);
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            immutable(errors, &Path::new("spec").child("selector"), &new.selector, &old.selector);
        }
    }

    fn validate_status(&self, new: &Deployment, old: &Deployment, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("status");
        let no_status = DeploymentStatus::default();
        let status = new.status.as_ref().unwrap_or(&no_status);
        let before = old.status.as_ref().unwrap_or(&no_status);
        not_negative(errors, &path.child("observedGeneration"), status.observed_generation.unwrap_or(0));
        let [all, ready] = [status.replicas, status.ready_replicas].map(Option::unwrap_or_default);
        for (field, count, most, text) in [
            ("replicas", status.replicas, i32::MAX, ""),
            ("updatedReplicas", status.updated_replicas, all, "cannot be greater than status.replicas"),
            ("readyReplicas", status.ready_replicas, all, "cannot be greater than status.replicas"),
            ("availableReplicas", status.available_replicas, all, "cannot be greater than status.replicas"),
            ("availableReplicas", status.available_replicas, ready, "cannot be greater than readyReplicas"),
            ("unavailableReplicas", status.unavailable_replicas, i32::MAX, ""),
            ("terminatingReplicas", status.terminating_replicas, i32::MAX, ""),
            ("collisionCount", status.collision_count, i32::MAX, ""),
        ] {
            let count = count.unwrap_or(0);
            not_negative(errors, &path.child(field), count);
            if count > most {
                errors.invalid(&path.child(field), count, text);
            }
        }
        if status.collision_count < before.collision_count {
            let count = status.collision_count.unwrap_or(0);
            errors.invalid(&path.child("collisionCount"), count, "cannot be decremented");
        }
    }

    fn warnings(&self, new: &Deployment, old: Option<&Deployment>) -> Vec<String> {
        let template = |object: &Deployment| object.spec.as_ref().map(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::text("Ready", "Number of the pod with ready state"),
            Column::text(
                "Up-to-date",
                "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
            ),
            Column::text(
                "Available",
                "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this deployment.",
            ),
            Column::age(),
            containers,
            images,
            Column::text(
                "Selector",
                "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels.",
            )
            .wide(),
        ]
    }

    fn cells(&self, object: &Deployment, now: Timestamp) -> Vec<Cell> {
        let (no_spec, no_status) = (DeploymentSpec::default(), DeploymentStatus::default());
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let status = object.status.as_ref().unwrap_or(&no_status);
        let [containers, images] = container_cells(Some(&spec.template));
        vec![
            Cell::name(&object.metadata),
            format!("{}/{}", status.ready_replicas.unwrap_or(0), spec.replicas.unwrap_or(0)).into(),
            status.updated_replicas.unwrap_or(0).into(),
            status.available_replicas.unwrap_or(0).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
            label::selector_query(&spec.selector).into(),
        ]
    }

    fn scale(&self, object: &Deployment) -> Option<ScaleView> {
        let spec = object.spec.as_ref()?;
        Some(ScaleView {
            replicas: spec.replicas.unwrap_or(0),
            observed: object.status.as_ref().and_then(|status| status.replicas).unwrap_or(0),
            selector: label::selector_query(&spec.selector),
        })
    }

    fn set_scale(&self, object: &mut Deployment, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

fn validate_strategy(errors: &mut FieldErrors, path: &Path<'_>, strategy: &UpdateStrategy) {
    let rolling_path = path.child("rollingUpdate");
    match (given(&strategy.type_), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            errors.forbidden(&rolling_path, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => errors.required(&rolling_path, "this should be defaulted and never be nil"),
        ("RollingUpdate", Some(rolling)) => {
            let zero = IntOrString::Int(0);
            let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
            let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
            let unavailable_path = rolling_path.child("maxUnavailable");
            share::check(errors, &unavailable_path, unavailable);
            share::check(errors, &rolling_path.child("maxSurge"), surge);
            if share::is_zero(unavailable) && share::is_zero(surge) {
                errors.invalid(&unavailable_path, json(unavailable), "may not be 0 when `maxSurge` is 0");
            }
            share::at_most_all(errors, &unavailable_path, unavailable);
        }
        _ => errors.not_supported(path, json(strategy), &["Recreate", "RollingUpdate"]),
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(DeploymentStrategy)
        .short(&["deploy"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
}
