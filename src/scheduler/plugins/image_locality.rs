//! ImageLocality: nodes that have the pod's images already.

use k8s_openapi::api::core::v1::Container;

use crate::scheduler::framework::{MAX_SCORE, NodeScore, Plugin, Score};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

const MEGABYTE: i64 = 1024 * 1024;
/// Images smaller than this (altogether) count for nothing.
const SMALLEST: i64 = 23 * MEGABYTE;
/// Images larger than this (per container) count no more.
const LARGEST: i64 = 1000 * MEGABYTE;

/// Prefers nodes that have the pod's images, the larger the better, and the better the more nodes have them: so
/// that a node with a rare image does not draw all pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for ImageLocality {
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
        _: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let spec = pod.spec()?;
        let containers: Vec<&Container> = spec.init_containers.iter().flatten().chain(&spec.containers).collect();
        let images = containers.iter().filter_map(|container| container.image.as_deref()).map(full_name).collect();
        let count = i64::try_from(containers.len()).unwrap_or(i64::MAX);
        Some(Box::new(Images { images, count, cluster }))
    }
}

/// The name with its tag, as nodes report it.
fn full_name(image: &str) -> String {
    if image.rfind(':') <= image.rfind('/') { format!("{image}:latest") } else { image.to_owned() }
}

struct Images<'a> {
    images: Vec<String>,
    count: i64,
    cluster: &'a Snapshot,
}

impl NodeScore for Images<'_> {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sizes scaled by a share")]
    fn score(&self, node: &NodeInfo) -> i64 {
        let nodes = self.cluster.nodes().len().max(1) as f64;
        let sizes = self.images.iter().filter_map(|image| {
            let size = node.images.get(image)?;
            Some((*size as f64 * (self.cluster.nodes_with_image(image) as f64 / nodes)) as i64)
        });
        let largest = LARGEST * self.count;
        let sum = sizes.sum::<i64>().clamp(SMALLEST, largest.max(SMALLEST));
        if largest <= SMALLEST { 0 } else { MAX_SCORE * (sum - SMALLEST) / (largest - SMALLEST) }
    }
}
