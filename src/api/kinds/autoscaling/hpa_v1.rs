//! HorizontalPodAutoscaler of `autoscaling/v1`: the older form, which knows one metric, the use of CPU. What it
//! cannot say stands in annotations, so that nothing is lost on the way through it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hpa_v2;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::{
    ApiError, Body, Cell, Column, Conversion, FieldErrors, Kind, Object, Strategy, Subresource, Surroundings, WrongKind,
};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// What a HorizontalPodAutoscaler does.
#[derive(Debug)]
struct HpaStrategy;

impl Strategy for HpaStrategy {
    type Object = HorizontalPodAutoscaler;

    separate_status!();
    spec_generation!();

    fn default(&self, scaler: &mut HorizontalPodAutoscaler) {
        scaler.spec.min_replicas.get_or_insert(1);
        scaler.status.get_or_insert_default();
    }

    fn validate(&self, scaler: &HorizontalPodAutoscaler, _: &Surroundings, errors: &mut FieldErrors) {
        hpa_v2::check(&stored(scaler), errors);
    }

    fn columns(&self) -> Vec<Column> {
        hpa_v2::columns()
    }

    fn cells(&self, scaler: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<Cell> {
        hpa_v2::cells(&stored(scaler), now)
    }
}

/// Takes a value out of an annotation.
fn take<T: DeserializeOwned>(meta: &mut ObjectMeta, name: &str) -> Option<T> {
    let annotations = meta.annotations.as_mut()?;
    let value = serde_json::from_str(annotations.get(name)?).ok()?;
    annotations.remove(name);
    if annotations.is_empty() {
        meta.annotations = None;
    }
    Some(value)
}

/// Puts a value into an annotation.
fn put<T: Serialize>(meta: &mut ObjectMeta, name: &str, value: Option<&T>) {
    if let Some(text) = value.and_then(|value| serde_json::to_string(value).ok()) {
        meta.annotations.get_or_insert_default().insert(name.to_owned(), text);
    }
}

fn is_cpu(metric: &v2::MetricSpec) -> Option<i32> {
    metric.resource.as_ref().filter(|resource| resource.name == "cpu")?.target.average_utilization
}

fn stored(scaler: &HorizontalPodAutoscaler) -> v2::HorizontalPodAutoscaler {
    let HorizontalPodAutoscaler { mut metadata, spec, status } = scaler.clone();
    let mut metrics: Vec<v2::MetricSpec> = take(&mut metadata, METRICS).unwrap_or_default();
    metrics.extend(spec.target_cpu_utilization_percentage.map(hpa_v2::cpu));
    let behavior = take(&mut metadata, BEHAVIOR);
    let current_metrics = take(&mut metadata, CURRENT_METRICS);
    let conditions = take(&mut metadata, CONDITIONS);
    let target = spec.scale_target_ref;
    let mut stored = v2::HorizontalPodAutoscaler {
        metadata,
        spec: v2::HorizontalPodAutoscalerSpec {
            scale_target_ref: v2::CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind,
                name: target.name,
            },
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            metrics: Some(metrics),
            behavior,
        },
        status: status.map(|status| v2::HorizontalPodAutoscalerStatus {
            observed_generation: status.observed_generation,
            last_scale_time: status.last_scale_time,
            current_replicas: Some(status.current_replicas),
            desired_replicas: status.desired_replicas,
            current_metrics,
            conditions,
        }),
    };
    hpa_v2::default(&mut stored);
    stored
}

fn served(scaler: &v2::HorizontalPodAutoscaler) -> HorizontalPodAutoscaler {
    let v2::HorizontalPodAutoscaler { mut metadata, spec, status } = scaler.clone();
    let mut metrics = spec.metrics.unwrap_or_default();
    let cpu = metrics.iter().position(|metric| is_cpu(metric).is_some());
    let target_cpu_utilization_percentage = cpu.and_then(|index| is_cpu(&metrics.remove(index)));
    put(&mut metadata, METRICS, Some(&metrics).filter(|metrics| !metrics.is_empty()));
    put(&mut metadata, BEHAVIOR, spec.behavior.as_ref());
    let current = status.as_ref().and_then(|status| status.current_metrics.as_ref());
    put(&mut metadata, CURRENT_METRICS, current);
    put(&mut metadata, CONDITIONS, status.as_ref().and_then(|status| status.conditions.as_ref()));
    let used = current.into_iter().flatten().find_map(|metric| {
        metric.resource.as_ref().filter(|resource| resource.name == "cpu")?.current.average_utilization
    });
    HorizontalPodAutoscaler {
        metadata,
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: spec.scale_target_ref.api_version,
                kind: spec.scale_target_ref.kind,
                name: spec.scale_target_ref.name,
            },
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            target_cpu_utilization_percentage,
        },
        status: status.map(|status| HorizontalPodAutoscalerStatus {
            observed_generation: status.observed_generation,
            last_scale_time: status.last_scale_time,
            current_replicas: status.current_replicas.unwrap_or_default(),
            desired_replicas: status.desired_replicas,
            current_cpu_utilization_percentage: used,
        }),
    }
}

fn to_stored(body: &dyn Body) -> Result<Arc<dyn Body>, ApiError> {
    let scaler: &HorizontalPodAutoscaler =
        body.as_any().downcast_ref().ok_or(WrongKind { wanted: "HorizontalPodAutoscaler", found: "another".into() })?;
    Ok(Arc::new(stored(scaler)))
}

fn from_stored(object: &Object) -> Result<Arc<dyn Body>, ApiError> {
    Ok(Arc::new(served(&*object.typed::<v2::HorizontalPodAutoscaler>()?)))
}

pub(crate) fn kind() -> Kind {
    let stored = ("autoscaling", "v2", "HorizontalPodAutoscaler");
    Kind::builtin(HpaStrategy)
        .short(&["hpa"])
        .categories(&["all"])
        .sub(Subresource::STATUS)
        .converted(Conversion { stored, to_stored, from_stored }, "horizontalpodautoscalers")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_v1_autoscaler_survives_the_way_through_v2() {
        let mut scaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "maxReplicas": 5,
                      "targetCPUUtilizationPercentage": 60 },
        }))
        .unwrap();
        HpaStrategy.default(&mut scaler);
        assert_eq!(served(&stored(&scaler)), scaler);
        let row = hpa_v2::cells(&stored(&scaler), Timestamp::UNIX_EPOCH);
        assert_eq!(row[1..4], ["Deployment/web", "cpu: <unknown>/60%", "1"].map(Cell::from));
    }

    #[test]
    fn what_v1_cannot_say_is_kept() {
        let mut scaler: v2::HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "maxReplicas": 5,
                "metrics": [{ "type": "Resource", "resource":
                    { "name": "memory", "target": { "type": "AverageValue", "averageValue": "10Mi" } } }],
                "behavior": { "scaleDown": { "stabilizationWindowSeconds": 60 } },
            },
        }))
        .unwrap();
        hpa_v2::default(&mut scaler);
        assert_eq!(stored(&served(&scaler)), scaler);
    }
}
