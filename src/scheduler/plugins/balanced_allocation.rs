//! NodeResourcesBalancedAllocation: nodes whose resources are used evenly.

use std::sync::Arc;

use crate::scheduler::framework::{MAX_SCORE, NodeScore, Plugin, Reads, Score};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Prefers nodes where, with the pod on them, the shares of the resources in use are close to each other.
#[derive(Clone, Debug)]
pub struct BalancedAllocation {
    resources: Vec<String>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self::new(["cpu", "memory"])
    }
}

impl BalancedAllocation {
    /// Compares the shares of these resources.
    pub fn new<'r>(resources: impl IntoIterator<Item = &'r str>) -> Self {
        Self { resources: resources.into_iter().map(str::to_owned).collect() }
    }
}

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn reads(&self, _: &Arc<PodInfo>, _: &Snapshot) -> Reads {
        Reads::Node
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl Score for BalancedAllocation {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[&'a NodeInfo]) -> Option<Box<dyn NodeScore + 'a>> {
        // A pod that asks for nothing leaves the balance as it is: it would only ever draw more of its kind to the
        // node that is balanced best.
        let asks = self.resources.iter().any(|name| pod.requests.get(name) > 0);
        asks.then(|| Box::new(Balance { resources: &self.resources, pod }) as Box<dyn NodeScore>)
    }
}

struct Balance<'a> {
    resources: &'a [String],
    pod: &'a PodInfo,
}

impl NodeScore for Balance<'_> {
    fn is_absolute(&self) -> bool {
        true
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "shares, and a score from 0 to 100"
    )]
    fn score(&self, node: &NodeInfo) -> i64 {
        let shares: Vec<f64> = self
            .resources
            .iter()
            .map(|name| (node.requested.get(name) + self.pod.requests.get(name), node.allocatable.get(name)))
            .filter(|(_, all)| *all > 0)
            .map(|(used, all)| (used as f64 / all as f64).min(1.0))
            .collect();
        let deviation = match &shares[..] {
            [] | [_] => 0.0,
            [a, b] => ((a - b) / 2.0).abs(),
            many => {
                let mean = many.iter().sum::<f64>() / many.len() as f64;
                let variance = many.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / many.len() as f64;
                variance.sqrt()
            }
        };
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }
}
