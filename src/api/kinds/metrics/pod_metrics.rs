//! PodMetrics: what the containers of a pod use.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

#[cfg(feature = "http")]
use super::schema;
use super::{Usage, api_type, cells, columns, no_time, row};
use crate::api::{Cell, Column, GoDuration, Kind, Strategy};

/// What the containers of a pod use.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PodMetrics {
    /// The pod's name, namespace and labels.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The end of the time over which it was measured.
    #[serde(default = "no_time")]
    pub timestamp: Time,
    /// The length of that time.
    #[serde(default)]
    pub window: GoDuration,
    /// The containers that run.
    #[serde(default)]
    pub containers: Vec<ContainerMetrics>,
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerMetrics {
    /// Its name in the pod.
    pub name: String,
    /// CPU on average over the time that the pod's metrics tell of, and memory (the working set) at its end.
    pub usage: Usage,
}

impl Default for PodMetrics {
    fn default() -> Self {
        Self {
            metadata: ObjectMeta::default(),
            timestamp: no_time(),
            window: GoDuration::default(),
            containers: Vec::new(),
        }
    }
}

api_type!(
    PodMetrics,
    "PodMetrics",
    "pods",
    "What the containers of a pod use.",
    k8s_openapi::NamespaceResourceScope,
    [metadata: ObjectMeta, timestamp: Time, window: GoDuration, containers: Vec<ContainerMetrics>]
);

#[cfg(feature = "http")]
schema!(ContainerMetrics, "What a container uses.", [name: String, usage: Usage]);

/// What PodMetrics do.
#[derive(Debug)]
struct PodMetricsStrategy;

impl Strategy for PodMetricsStrategy {
    type Object = PodMetrics;

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn cells(&self, pod: &PodMetrics, _: Timestamp) -> Vec<Cell> {
        let used = cells(pod.containers.iter().map(|container| &container.usage), pod.window);
        std::iter::once(Cell::name(&pod.metadata)).chain(used).collect()
    }
}

pub(crate) fn kind() -> Kind {
    row(PodMetricsStrategy)
}
