//! StatefulSet: pods with stable names and volumes of their own.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::label;
use crate::api::{Cell, Column, Kind, ScaleView, Strategy, Subresource};

/// What a StatefulSet does.
#[derive(Debug)]
struct StatefulSetStrategy;

impl Strategy for StatefulSetStrategy {
    type Object = StatefulSet;

    fn default(&self, object: &mut StatefulSet) {
        let spec = object.spec.get_or_insert_default();
        default_template(&mut spec.template);
        text(&mut spec.pod_management_policy, "OrderedReady");
        let update = spec.update_strategy.get_or_insert_default();
        text(&mut update.type_, "RollingUpdate");
        if update.type_.as_deref() == Some("RollingUpdate") {
            let rolling = update.rolling_update.get_or_insert_default();
            rolling.partition.get_or_insert(0);
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        text(&mut retention.when_deleted, "Retain");
        text(&mut retention.when_scaled, "Retain");
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        for claim in spec.volume_claim_templates.iter_mut().flatten() {
            text(&mut claim.status.get_or_insert_default().phase, "Pending");
            claim.spec.get_or_insert_default().volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        }
        object.status.get_or_insert_default();
    }

    separate_status!();
    spec_generation!();

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::text("Ready", "Number of the pod with ready state"),
            Column::age(),
            containers,
            images,
        ]
    }

    fn cells(&self, object: &StatefulSet, now: Timestamp) -> Vec<Cell> {
        let no_spec = StatefulSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let ready = object.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let [containers, images] = container_cells(Some(&spec.template));
        vec![
            Cell::name(&object.metadata),
            format!("{ready}/{}", spec.replicas.unwrap_or(0)).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
        ]
    }

    fn scale(&self, object: &StatefulSet) -> Option<ScaleView> {
        let spec = object.spec.as_ref()?;
        Some(ScaleView {
            replicas: spec.replicas.unwrap_or(0),
            observed: object.status.as_ref().map_or(0, |status| status.replicas),
            selector: label::selector_query(&spec.selector),
        })
    }

    fn set_scale(&self, object: &mut StatefulSet, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(StatefulSetStrategy)
        .short(&["sts"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
}
