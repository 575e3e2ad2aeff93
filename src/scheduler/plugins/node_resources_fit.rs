//! NodeResourcesFit: pods go where there is room, and by default where there is most.

use std::borrow::Cow;
use std::sync::Arc;

use crate::scheduler::framework::{
    ClusterEvent, Filter, MAX_SCORE, NodeFilter, NodeScore, Plugin, Prepared, Reads, Refusal, Score,
};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Resources, Snapshot};

/// Rules out nodes that lack what the pod asks for; prefers nodes by how full they are.
#[derive(Clone, Debug)]
pub struct NodeResourcesFit {
    strategy: ScoringStrategy,
    /// Resources by which nodes are compared, and what each counts.
    resources: Vec<(String, i64)>,
}

/// Which nodes are preferred.
#[derive(Clone, Debug, Default)]
pub enum ScoringStrategy {
    /// Those with the most left: pods spread.
    #[default]
    LeastAllocated,
    /// Those with the least left: pods are packed.
    MostAllocated,
    /// By a function of how much is in use.
    RequestedToCapacityRatio(Shape),
}

/// A function from utilisation (0 to 100) to a score (0 to 10), linear between its points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<(i64, i64)>);

impl Shape {
    /// A function through these points.
    ///
    /// # Errors
    /// What is wrong with them: there must be one at least, their utilisations must rise within 0 to 100, and
    /// their scores lie within 0 to 10.
    pub fn try_new(points: Vec<(i64, i64)>) -> Result<Self, &'static str> {
        if points.is_empty() {
            return Err("at least one point must be specified");
        }
        if !points.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Err("utilization values must be sorted in increasing order");
        }
        if !points.iter().all(|(utilization, score)| (0..=100).contains(utilization) && (0..=10).contains(score)) {
            return Err("utilization must be within 0-100 and score within 0-10");
        }
        Ok(Self(points.into_iter().map(|(utilization, score)| (utilization, score * MAX_SCORE / 10)).collect()))
    }

    fn at(&self, utilization: i64) -> i64 {
        let next = self.0.partition_point(|(bound, _)| *bound < utilization);
        match (next.checked_sub(1).map(|before| self.0[before]), self.0.get(next).copied()) {
            (_, Some((bound, score))) if bound == utilization => score,
            (None, Some((_, score))) | (Some((_, score)), None) => score,
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (utilization - x0) / (x1 - x0),
            (None, None) => 0,
        }
    }
}

impl Default for NodeResourcesFit {
    fn default() -> Self {
        Self::new(ScoringStrategy::default(), [("cpu", 1), ("memory", 1)])
    }
}

impl NodeResourcesFit {
    /// Compares nodes by `strategy`, over these resources with their weights.
    pub fn new<'r>(strategy: ScoringStrategy, resources: impl IntoIterator<Item = (&'r str, i64)>) -> Self {
        let resources = resources.into_iter().map(|(name, weight)| (name.to_owned(), weight.max(1))).collect();
        Self { strategy, resources }
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn reads(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        Reads::Node
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn concerns(&self, event: &ClusterEvent) -> bool {
        !event.is_pod_added()
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let frees =
            |less: &PodInfo| pod.requests.iter().any(|(name, amount)| amount > 0 && less.requests.get(name) > 0);
        match event {
            ClusterEvent::Itself => true,
            // Every pod that goes makes room: for one more pod, if for nothing else.
            ClusterEvent::Pod { old: Some(_), new: None } => true,
            ClusterEvent::Pod { old: Some(old), new: Some(new) } => frees(old) && old.requests != new.requests,
            _ => event.node_gain().is_some_and(|(old, new)| {
                let room = |node: &k8s_openapi::api::core::v1::Node| {
                    Resources::of(node.status.as_ref().and_then(|status| status.allocatable.as_ref()))
                };
                let (before, now) = (old.map(room).unwrap_or_default(), room(new));
                let grown = now.pods > before.pods || pod.requests.iter().any(|(n, _)| now.get(n) > before.get(n));
                let fits = now.pods > 0 && pod.requests.iter().all(|(name, amount)| amount <= now.get(name));
                fits && (old.is_none() || grown)
            }),
        }
    }
}

impl Filter for NodeResourcesFit {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        Prepared::Check(Box::new(Needs(&pod.requests)))
    }
}

#[derive(Clone, Debug)]
struct Needs<'a>(&'a Resources);

impl<'a> NodeFilter<'a> for Needs<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let mut refusal = Refusal { reasons: Vec::new(), resolvable: true };
        let pods = i64::try_from(node.pods().len()).unwrap_or(i64::MAX);
        if pods + 1 > node.allocatable.pods {
            refusal.reasons.push("Too many pods".into());
        }
        for (name, amount) in self.0.iter().filter(|(_, amount)| *amount > 0) {
            let all = node.allocatable.get(name);
            if amount > all - node.requested.get(name) {
                refusal.reasons.push(insufficient(name));
                refusal.resolvable &= amount <= all;
            }
        }
        if refusal.reasons.is_empty() { Ok(()) } else { Err(refusal) }
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}

fn insufficient(resource: &str) -> Cow<'static, str> {
    match resource {
        "cpu" => Cow::Borrowed("Insufficient cpu"),
        "memory" => Cow::Borrowed("Insufficient memory"),
        "ephemeral-storage" => Cow::Borrowed("Insufficient ephemeral-storage"),
        other => Cow::Owned(format!("Insufficient {other}")),
    }
}

impl Score for NodeResourcesFit {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[&'a NodeInfo]) -> Option<Box<dyn NodeScore + 'a>> {
        Some(Box::new(Fullness { plugin: self, pod }))
    }
}

struct Fullness<'a> {
    plugin: &'a NodeResourcesFit,
    pod: &'a PodInfo,
}

impl NodeScore for Fullness<'_> {
    fn is_absolute(&self) -> bool {
        true
    }

    fn score(&self, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for (name, weight) in &self.plugin.resources {
            let all = node.allocatable.get(name);
            let wanted = self.pod.estimate.get(name);
            let special = !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
            if all == 0 || (special && wanted == 0) {
                continue;
            }
            let used = node.estimate.get(name) + wanted;
            let score = match &self.plugin.strategy {
                ScoringStrategy::LeastAllocated if used > all => 0,
                ScoringStrategy::LeastAllocated => (all - used).saturating_mul(MAX_SCORE) / all,
                ScoringStrategy::MostAllocated => used.min(all).saturating_mul(MAX_SCORE) / all,
                ScoringStrategy::RequestedToCapacityRatio(shape) if used > all => shape.at(100),
                ScoringStrategy::RequestedToCapacityRatio(shape) => shape.at(used.saturating_mul(100) / all),
            };
            // Upstream leaves resources that score nothing out of the ratio strategy's mean.
            if score > 0 || !matches!(self.plugin.strategy, ScoringStrategy::RequestedToCapacityRatio(_)) {
                sum += score * weight;
                weights += weight;
            }
        }
        match (weights, &self.plugin.strategy) {
            (0, _) => 0,
            (_, ScoringStrategy::RequestedToCapacityRatio(_)) => (2 * sum + weights) / (2 * weights),
            _ => sum / weights,
        }
    }
}
