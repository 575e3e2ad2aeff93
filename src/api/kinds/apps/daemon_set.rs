//! DaemonSet: one pod on each node.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::label;
use crate::api::{Cell, Column, Kind, Strategy, Subresource};

/// What a DaemonSet does.
#[derive(Debug)]
struct DaemonSetStrategy;

impl Strategy for DaemonSetStrategy {
    type Object = DaemonSet;

    fn default(&self, object: &mut DaemonSet) {
        let spec = object.spec.get_or_insert_default();
        default_template(&mut spec.template);
        let update = spec.update_strategy.get_or_insert_default();
        text(&mut update.type_, "RollingUpdate");
        if update.type_.as_deref() == Some("RollingUpdate") {
            let rolling = update.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        spec.revision_history_limit.get_or_insert(10);
        object.status.get_or_insert_default();
    }

    separate_status!();
    spec_generation!();

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::integer(
                "Desired",
                "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod).",
            ),
            Column::integer(
                "Current",
                "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod.",
            ),
            Column::integer(
                "Ready",
                "numberReady is the number of nodes that should be running the daemon pod and have one or more of the daemon pod running with a Ready Condition.",
            ),
            Column::integer("Up-to-date", "The total number of nodes that are running updated daemon pod"),
            Column::integer(
                "Available",
                "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available",
            ),
            Column::text(
                "Node Selector",
                "NodeSelector is a selector which must be true for the pod to fit on a node.",
            ),
            Column::age(),
            containers,
            images,
            Column::text("Selector", "A label query over pods that are managed by the daemon set.").wide(),
        ]
    }

    fn cells(&self, object: &DaemonSet, now: Timestamp) -> Vec<Cell> {
        let no_spec = DaemonSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let status = object.status.clone().unwrap_or_default();
        let [containers, images] = container_cells(Some(&spec.template));
        let node_selector = spec.template.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
        vec![
            Cell::name(&object.metadata),
            status.desired_number_scheduled.into(),
            status.current_number_scheduled.into(),
            status.number_ready.into(),
            status.updated_number_scheduled.unwrap_or(0).into(),
            status.number_available.unwrap_or(0).into(),
            label::map_text(node_selector).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
            label::selector_text(Some(&spec.selector)).into(),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(DaemonSetStrategy).short(&["ds"]).categories(&["all"]).sub(Subresource::STATUS)
}
