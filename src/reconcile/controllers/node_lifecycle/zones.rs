//! How fast nodes may be given up.
//!
//! Rates and thresholds are kube-controller-manager's: one node of a zone every ten seconds; where most of a zone
//! fails one every hundred seconds, or none in a small cluster; and none at all where everything fails, for then the
//! fault is more likely with whoever watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;

use super::state;
use super::taints::Eviction;

const PACE: Duration = Duration::from_secs(10);
const SLOW_PACE: Duration = Duration::from_secs(100);
/// From this share of failing nodes on, a zone counts as failing.
const UNHEALTHY: (usize, usize) = (55, 100);
/// A cluster of up to so many nodes counts as small.
const SMALL: usize = 50;

/// When the last node of each zone was given up.
#[derive(Debug, Default)]
pub(super) struct Zones {
    last: BTreeMap<String, (Duration, String)>,
}

fn zone(node: &Node) -> String {
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default();
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

fn fails(node: &Node) -> bool {
    state(node, "Ready") != "True"
}

impl Zones {
    /// Whether the pods of `node`, one of `nodes`, may be evicted now. The others are only looked at where it fails.
    pub(super) fn may_evict(&mut self, node: &Node, nodes: impl FnOnce() -> Vec<Arc<Node>>, now: Duration) -> Eviction {
        let is_it = |other: &Node| other.metadata.name == node.metadata.name;
        // The view may not show yet what has just been found out about the node.
        let failing = |other: &Node| if is_it(other) { fails(node) } else { fails(other) };
        if !fails(node) {
            return Eviction::Go;
        }
        let nodes = nodes();
        if nodes.iter().all(|other| failing(other)) {
            return Eviction::Never;
        }
        let zone = zone(node);
        let here: Vec<_> = nodes.iter().filter(|other| self::zone(other) == zone).collect();
        let bad = here.iter().filter(|other| failing(other)).count();
        let mostly = bad > 2 && bad * UNHEALTHY.1 >= here.len() * UNHEALTHY.0;
        let pace = match mostly {
            true if here.len() <= SMALL => return Eviction::Wait,
            true => SLOW_PACE,
            false => PACE,
        };
        let name = node.metadata.name.clone().unwrap_or_default();
        match self.last.get(&zone) {
            Some((_, last)) if *last == name => Eviction::Go,
            Some((at, _)) if *at + pace > now => Eviction::Wait,
            _ => {
                self.last.insert(zone, (now, name));
                Eviction::Go
            }
        }
    }
}
