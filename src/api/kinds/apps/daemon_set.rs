//! DaemonSet: one pod on each node.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{restore, spec_generation};
use crate::api::rules::{given, immutable, json, label, not_negative, share};
use crate::api::{Cell, Column, Kind, Strategy, Subresource, Surroundings};

/// Counts the versions of the template, for clients older than ControllerRevisions.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

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

    fn prepare_create(&self, object: &mut DaemonSet, _: &Surroundings) {
        object.status = Some(Default::default());
        set_template_generation(object, 1);
    }

    fn prepare_update(&self, new: &mut DaemonSet, old: &DaemonSet, _: &Surroundings) {
        restore(&mut new.status, &old.status);
        let template = |object: &DaemonSet| object.spec.as_ref().map(|spec| spec.template.clone());
        let generation = template_generation(old);
        set_template_generation(new, if template(new) == template(old) { generation } else { generation + 1 });
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    fn prepare_status(&self, new: &mut DaemonSet, old: &DaemonSet, _: &Surroundings) {
        restore(&mut new.spec, &old.spec);
    }

    spec_generation!();

    fn validate(&self, object: &DaemonSet, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let no_spec = DaemonSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let template_path = path.child("template");
        label::selector(errors, &path.child("selector"), &spec.selector);
        pod_template::selects(errors, &template_path, &spec.template, &spec.selector);
        if label::selects_everything(&spec.selector) {
            let text = "empty selector is invalid for daemonset";
            errors.invalid(&path.child("selector"), json(&spec.selector), text);
        }
        pod_template::validate_template(errors, &template_path, &spec.template);
        pod_template::runs_on(errors, &template_path.child("spec"), &spec.template, "DaemonSet");
        not_negative(errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or(0));
        validate_update_strategy(errors, &path.child("updateStrategy"), spec);
        not_negative(errors, &path.child("revisionHistoryLimit"), spec.revision_history_limit.unwrap_or(0));
    }

    fn validate_update(&self, new: &DaemonSet, old: &DaemonSet, around: &Surroundings, errors: &mut FieldErrors) {
        self.validate(new, around, errors);
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            immutable(errors, &Path::new("spec").child("selector"), &new.selector, &old.selector);
        }
    }

    fn warnings(&self, new: &DaemonSet, old: Option<&DaemonSet>) -> Vec<String> {
        let template = |object: &DaemonSet| object.spec.as_ref().map(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

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

fn template_generation(object: &DaemonSet) -> i64 {
    let annotations = object.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(TEMPLATE_GENERATION)?.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut DaemonSet, generation: i64) {
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
}

fn validate_update_strategy(errors: &mut FieldErrors, path: &Path<'_>, spec: &DaemonSetSpec) {
    let update = spec.update_strategy.clone().unwrap_or_default();
    let rolling_path = path.child("rollingUpdate");
    match (given(&update.type_), &update.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.required(&rolling_path, ""),
        ("RollingUpdate", Some(rolling)) => {
            let zero = IntOrString::Int(0);
            let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
            let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
            let (unavailable_path, surge_path) = (rolling_path.child("maxUnavailable"), rolling_path.child("maxSurge"));
            share::check(errors, &unavailable_path, unavailable);
            share::check(errors, &surge_path, surge);
            share::at_most_all(errors, &unavailable_path, unavailable);
            share::at_most_all(errors, &surge_path, surge);
            match (share::is_zero(unavailable), share::is_zero(surge)) {
                (false, false) => {
                    errors.invalid(&surge_path, json(surge), "may not be set when maxUnavailable is non-zero");
                }
                (true, true) => errors.required(&unavailable_path, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => errors.not_supported(path, json(&update), &["RollingUpdate", "OnDelete"]),
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(DaemonSetStrategy).short(&["ds"]).categories(&["all"]).sub(Subresource::STATUS)
}
