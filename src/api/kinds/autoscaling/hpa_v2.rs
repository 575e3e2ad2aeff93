//! HorizontalPodAutoscaler of `autoscaling/v2`, the form that is stored: as many pods as their use asks for.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// The wanted use of CPU where nothing is said, in percent of what is requested.
const DEFAULT_CPU: i32 = 80;
const METRIC_TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
/// So many metrics are shown in a row.
const SHOWN: usize = 2;

/// What a HorizontalPodAutoscaler does.
#[derive(Debug)]
struct HpaStrategy;

impl Strategy for HpaStrategy {
    type Object = HorizontalPodAutoscaler;

    separate_status!();
    spec_generation!();

    fn default(&self, scaler: &mut HorizontalPodAutoscaler) {
        default(scaler);
    }

    fn validate(&self, scaler: &HorizontalPodAutoscaler, _: &Surroundings, errors: &mut FieldErrors) {
        check(scaler, errors);
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn cells(&self, scaler: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<Cell> {
        cells(scaler, now)
    }
}

/// The metric that keeps the use of CPU at that percentage of what is requested.
pub(super) fn cpu(percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: "cpu".into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(percent),
                ..Default::default()
            },
        }),
        ..Default::default()
    }
}

pub(super) fn default(scaler: &mut HorizontalPodAutoscaler) {
    let spec = &mut scaler.spec;
    spec.min_replicas.get_or_insert(1);
    if spec.metrics.as_ref().is_none_or(Vec::is_empty) {
        spec.metrics = Some(vec![cpu(DEFAULT_CPU)]);
    }
    if let Some(behavior) = &mut spec.behavior {
        let policy = |type_: &str, value| HPAScalingPolicy { type_: type_.into(), value, period_seconds: 15 };
        let up = behavior.scale_up.get_or_insert_default();
        up.stabilization_window_seconds.get_or_insert(0);
        default_rules(up, || vec![policy("Pods", 4), policy("Percent", 100)]);
        default_rules(behavior.scale_down.get_or_insert_default(), || vec![policy("Percent", 100)]);
    }
    let status = scaler.status.get_or_insert_default();
    status.current_replicas.get_or_insert_default();
}

fn default_rules(rules: &mut HPAScalingRules, policies: impl FnOnce() -> Vec<HPAScalingPolicy>) {
    rules.select_policy.get_or_insert_with(|| "Max".into());
    rules.policies.get_or_insert_with(policies);
}

pub(super) fn check(scaler: &HorizontalPodAutoscaler, errors: &mut FieldErrors) {
    let (path, spec) = (Path::new("spec"), &scaler.spec);
    let at = path.child("scaleTargetRef");
    for (field, value) in [("kind", &spec.scale_target_ref.kind), ("name", &spec.scale_target_ref.name)] {
        if value.is_empty() {
            errors.required(&at.child(field), "");
        }
    }
    if let Some(least) = spec.min_replicas.filter(|least| *least < 1) {
        errors.invalid(&path.child("minReplicas"), least, "must be greater than or equal to 1");
    }
    let at = path.child("maxReplicas");
    if spec.max_replicas < 1 {
        errors.invalid(&at, spec.max_replicas, "must be greater than 0");
    }
    if spec.min_replicas.is_some_and(|least| spec.max_replicas < least) {
        errors.invalid(&at, spec.max_replicas, "must be greater than or equal to `minReplicas`");
    }
    let at = path.child("metrics");
    for (index, metric) in spec.metrics.iter().flatten().enumerate() {
        check_metric(metric, &at.index(index), errors);
    }
}

fn check_metric(metric: &MetricSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let (field, target) = match metric.type_.as_str() {
        "" => return errors.required(&path.child("type"), "must specify a metric source type"),
        "Object" => ("object", metric.object.as_ref().map(|source| &source.target)),
        "Pods" => ("pods", metric.pods.as_ref().map(|source| &source.target)),
        "Resource" => ("resource", metric.resource.as_ref().map(|source| &source.target)),
        "ContainerResource" => ("containerResource", metric.container_resource.as_ref().map(|source| &source.target)),
        "External" => ("external", metric.external.as_ref().map(|source| &source.target)),
        other => return errors.not_supported(&path.child("type"), other, METRIC_TYPES),
    };
    let path = path.child(field);
    let Some(target) = target else {
        return errors.required(&path, "must populate information for the given metric source");
    };
    let path = path.child("target");
    match target.type_.as_str() {
        "" => errors.required(&path.child("type"), "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            errors.invalid(&path.child("type"), other, "must be either Utilization, Value, or AverageValue");
        }
    }
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
    }
}

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::name(),
        Column::text("Reference", "scaleTargetRef points to the target resource to scale."),
        Column::text("Targets", "metrics contains the specifications used to calculate the desired replica count."),
        Column::text("MinPods", "minReplicas is the lower limit for the number of replicas."),
        Column::text("MaxPods", "maxReplicas is the upper limit for the number of replicas."),
        Column::text("Replicas", "currentReplicas is current number of replicas of pods."),
        Column::age(),
    ]
}

pub(super) fn cells(scaler: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<Cell> {
    let (spec, status) = (&scaler.spec, scaler.status.as_ref());
    let current = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
    vec![
        Cell::name(&scaler.metadata),
        format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name).into(),
        targets(spec.metrics.as_deref().unwrap_or_default(), current).into(),
        spec.min_replicas.map_or_else(|| "<unset>".into(), |count| count.to_string().into()),
        spec.max_replicas.into(),
        status.and_then(|status| status.current_replicas).unwrap_or_default().into(),
        Cell::age(&scaler.metadata, now),
    ]
}

fn targets(metrics: &[MetricSpec], current: &[MetricStatus]) -> String {
    if metrics.is_empty() {
        return "<none>".into();
    }
    let shown: Vec<_> =
        metrics.iter().take(SHOWN).enumerate().map(|(index, metric)| target(metric, current.get(index))).collect();
    let shown = shown.join(", ");
    if metrics.len() > SHOWN { format!("{shown} + {} more...", metrics.len() - SHOWN) } else { shown }
}

fn target(metric: &MetricSpec, current: Option<&MetricStatus>) -> String {
    let of = |value: fn(&MetricStatus) -> Option<&MetricValueStatus>| current.and_then(value);
    if let Some(source) = &metric.resource {
        let now = of(|status| status.resource.as_ref().map(|resource| &resource.current));
        return format!("{}: {}", source.name, utilization(&source.target, now));
    }
    if let Some(source) = &metric.container_resource {
        let now = of(|status| status.container_resource.as_ref().map(|resource| &resource.current));
        return format!("{}: {}", source.name, utilization(&source.target, now));
    }
    if let Some(source) = &metric.pods {
        let now = of(|status| status.pods.as_ref().map(|pods| &pods.current));
        return pair(now.and_then(|now| now.average_value.as_ref()), source.target.average_value.as_ref());
    }
    let (target, now) = match (&metric.object, &metric.external) {
        (Some(source), _) => (&source.target, of(|status| status.object.as_ref().map(|object| &object.current))),
        (_, Some(source)) => (&source.target, of(|status| status.external.as_ref().map(|external| &external.current))),
        _ => return "<unknown type>".into(),
    };
    if target.average_value.is_some() {
        format!("{} (avg)", pair(now.and_then(|now| now.average_value.as_ref()), target.average_value.as_ref()))
    } else {
        pair(now.and_then(|now| now.value.as_ref()), target.value.as_ref())
    }
}

fn pair(current: Option<&Quantity>, target: Option<&Quantity>) -> String {
    let text = |amount: Option<&Quantity>| amount.map_or_else(|| "<unknown>".to_owned(), |amount| amount.0.clone());
    format!("{}/{}", text(current), text(target))
}

fn utilization(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if target.average_value.is_some() {
        return pair(current.and_then(|now| now.average_value.as_ref()), target.average_value.as_ref());
    }
    let percent = |percent: Option<i32>, otherwise: &str| {
        percent.map_or_else(|| otherwise.to_owned(), |percent| format!("{percent}%"))
    };
    let now = percent(current.and_then(|now| now.average_utilization), "<unknown>");
    format!("{now}/{}", percent(target.average_utilization, "<auto>"))
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(HpaStrategy).short(&["hpa"]).categories(&["all"]).sub(Subresource::STATUS)
}
