//! NodeMetrics: what a node uses.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

use super::{Usage, api_type, cells, columns, no_time, row};
use crate::api::{Cell, Column, GoDuration, Kind, Strategy};

/// What a node uses.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeMetrics {
    /// The node's name and labels.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The end of the time over which it was measured.
    #[serde(default = "no_time")]
    pub timestamp: Time,
    /// The length of that time.
    #[serde(default)]
    pub window: GoDuration,
    /// CPU on average over that time, and memory (the working set) at its end.
    #[serde(default)]
    pub usage: Usage,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        Self {
            metadata: ObjectMeta::default(),
            timestamp: no_time(),
            window: GoDuration::default(),
            usage: Usage::new(),
        }
    }
}

api_type!(
    NodeMetrics,
    "NodeMetrics",
    "nodes",
    "What a node uses.",
    k8s_openapi::ClusterResourceScope,
    [metadata: ObjectMeta, timestamp: Time, window: GoDuration, usage: Usage]
);

/// What NodeMetrics do.
#[derive(Debug)]
struct NodeMetricsStrategy;

impl Strategy for NodeMetricsStrategy {
    type Object = NodeMetrics;

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn cells(&self, node: &NodeMetrics, _: Timestamp) -> Vec<Cell> {
        let used = cells(std::iter::once(&node.usage), node.window);
        std::iter::once(Cell::name(&node.metadata)).chain(used).collect()
    }
}

pub(crate) fn kind() -> Kind {
    row(NodeMetricsStrategy)
}
