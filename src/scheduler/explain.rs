//! Why a pod goes where it goes: what every plugin says of every node.

use std::collections::BTreeMap;
use std::fmt;

use super::framework::Refusal;

/// What every plugin says of every node, for one pod. Displays as a table.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// By the node's name.
    pub nodes: BTreeMap<String, NodeExplanation>,
    /// Why no node takes the pod, where that is so.
    pub message: String,
}

/// What the plugins say of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeExplanation {
    /// Every plugin that refuses, and why; empty where the node takes the pod.
    pub refusals: Vec<(&'static str, Refusal)>,
    /// What the plugins with a preference give it, where it takes the pod.
    pub scores: Vec<Scored>,
}

/// What one plugin gives one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// The plugin.
    pub plugin: &'static str,
    /// What its scores count.
    pub weight: i64,
    /// The score, 0 to 100.
    pub score: i64,
}

impl NodeExplanation {
    /// The sum by which nodes are compared.
    pub fn total(&self) -> i64 {
        self.scores.iter().map(|scored| scored.weight * scored.score).sum()
    }
}

impl Explanation {
    /// The nodes with the highest total: the pod goes to one of them.
    pub fn best(&self) -> Vec<&str> {
        let feasible = || self.nodes.iter().filter(|(_, node)| node.refusals.is_empty());
        let best = feasible().map(|(_, node)| node.total()).max();
        feasible().filter(|(_, node)| Some(node.total()) == best).map(|(name, _)| name.as_str()).collect()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, node) in &self.nodes {
            if node.refusals.is_empty() {
                write!(f, "{name}: {}", node.total())?;
                for Scored { plugin, weight, score } in &node.scores {
                    write!(f, " {plugin}={score}*{weight}")?;
                }
                writeln!(f)?;
            }
            for (plugin, refusal) in &node.refusals {
                writeln!(f, "{name}: {plugin}: {}", refusal.reasons.join(", "))?;
            }
        }
        if self.message.is_empty() { Ok(()) } else { writeln!(f, "{}", self.message) }
    }
}
