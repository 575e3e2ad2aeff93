//! ImageLocality: nodes that have the pod's images already.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Container;

use crate::scheduler::framework::{MAX_SCORE, Mark, NodeScore, Plugin, Reads, Score, Tally};
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

    fn reads(&self, pod: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        let wanted = Wanted::by(pod);
        let spread = vec![0; wanted.images.len()];
        Reads::Counts(Box::new(Holdings { wanted, nodes: 0, spread }))
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
        Some(Box::new(Images { wanted: Wanted::by(pod), cluster }))
    }
}

/// The name with its tag, as nodes report it.
fn full_name(image: &str) -> String {
    if image.rfind(':') <= image.rfind('/') { format!("{image}:latest") } else { image.to_owned() }
}

/// The images of a pod.
#[derive(Debug)]
struct Wanted {
    images: Vec<String>,
    containers: i64,
}

impl Wanted {
    fn by(pod: &PodInfo) -> Self {
        let all =
            || pod.spec().into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let images = all().filter_map(|container: &Container| container.image.as_deref()).map(full_name).collect();
        Self { images, containers: i64::try_from(all().count()).unwrap_or(i64::MAX) }
    }

    /// The score of a node that has images of these sizes, each of which is on so many nodes of all.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sizes scaled by a share")]
    fn score(&self, sizes: impl Iterator<Item = (i64, usize)>, nodes: usize) -> i64 {
        let nodes = nodes.max(1) as f64;
        let sum: i64 = sizes.map(|(size, on)| (size as f64 * (on as f64 / nodes)) as i64).sum();
        let largest = LARGEST * self.containers;
        let sum = sum.clamp(SMALLEST, largest.max(SMALLEST));
        if largest <= SMALLEST { 0 } else { MAX_SCORE * (sum - SMALLEST) / (largest - SMALLEST) }
    }
}

struct Images<'a> {
    wanted: Wanted,
    cluster: &'a Snapshot,
}

impl NodeScore for Images<'_> {
    fn is_absolute(&self) -> bool {
        true
    }

    fn score(&self, node: &NodeInfo) -> i64 {
        let here = |image: &String| Some((*node.images.get(image)?, self.cluster.nodes_with_image(image)));
        self.wanted.score(self.wanted.images.iter().filter_map(here), self.cluster.nodes().len())
    }
}

/// On how many nodes each image of a class of pods is.
#[derive(Debug)]
struct Holdings {
    wanted: Wanted,
    nodes: usize,
    spread: Vec<usize>,
}

impl Tally for Holdings {
    /// The key has the size of each image, or -1; it is empty where the node has none.
    fn enter(&mut self, node: &NodeInfo) -> Option<Mark> {
        self.nodes += 1;
        if node.images.is_empty() || !self.wanted.images.iter().any(|image| node.images.contains_key(image)) {
            return Some(Mark::default());
        }
        let sizes = self.wanted.images.iter().map(|image| node.images.get(image).copied().unwrap_or(-1));
        let key: Vec<i64> = sizes.collect();
        for (count, size) in self.spread.iter_mut().zip(&key) {
            *count += usize::from(*size >= 0);
        }
        Some(Mark { key, counted: Vec::new() })
    }

    fn leave(&mut self, mark: &Mark) {
        self.nodes -= 1;
        for (count, size) in self.spread.iter_mut().zip(&mark.key) {
            *count -= usize::from(*size >= 0);
        }
    }

    fn scores(&self, groups: &[(&[i64], usize)]) -> Option<Vec<i64>> {
        let score = |key: &[i64]| {
            let here = key.iter().copied().zip(self.spread.iter().copied()).filter(|(size, _)| *size >= 0);
            self.wanted.score(here, self.nodes)
        };
        Some(groups.iter().map(|(key, _)| score(key)).collect())
    }
}
