//! Deployment: rolls a template out over ReplicaSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::separate_status;
use crate::api::rules::label;
use crate::api::{Cell, Column, Kind, ScaleView, Strategy, Subresource};

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

    separate_status!();

    /// Annotations count too: they go on to the ReplicaSets.
    fn generation_changes(&self, new: &Deployment, old: &Deployment) -> Option<bool> {
        let annotations = |of: &Deployment| of.metadata.annotations.clone().unwrap_or_default();
        Some(new.spec != old.spec || annotations(new) != annotations(old))
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

pub(crate) fn kind() -> Kind {
    Kind::builtin(DeploymentStrategy)
        .short(&["deploy"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
}
