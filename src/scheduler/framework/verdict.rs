//! Why a pod does not go somewhere: one node's refusal, and the account over all nodes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why one node (or the whole cluster) refuses a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the user is told; each reason is counted over the nodes.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether removing pods from the node could help. Where not, preemption passes the node over.
    pub resolvable: bool,
}

impl Refusal {
    /// A refusal that removing pods could undo.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }

    /// A refusal that stands whatever else is on the node.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }
}

/// Why a pod was not placed, over all nodes. Displays as the message that users know:
/// `0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub nodes: usize,
    /// The refusal of each node that was looked at, and the plugin that gave it.
    pub refusals: BTreeMap<String, (&'static str, Refusal)>,
    /// The reason given for every node that has no refusal of its own.
    pub others: Option<Cow<'static, str>>,
    /// Why no node was looked at at all.
    pub before: String,
    /// What preemption says.
    pub after: String,
    /// The plugins that refused: a change that none of them cares about cannot help the pod.
    pub plugins: BTreeSet<&'static str>,
}

impl Diagnosis {
    /// Whether the refusal of `node` could be undone by removing pods from it.
    pub fn is_resolvable(&self, node: &str) -> bool {
        self.refusals.get(node).is_some_and(|(_, refusal)| refusal.resolvable)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0/{} nodes are available:", self.nodes)?;
        if self.before.is_empty() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for reason in self.refusals.values().flat_map(|(_, refusal)| &refusal.reasons) {
                *counts.entry(reason).or_default() += 1;
            }
            if let Some(reason) = &self.others
                && self.refusals.len() < self.nodes
            {
                *counts.entry(reason).or_default() += self.nodes - self.refusals.len();
            }
            let mut reasons: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            if !reasons.is_empty() {
                write!(f, " {}.", reasons.join(", "))?;
            }
        } else {
            write!(f, " {}.", self.before)?;
        }
        if self.after.is_empty() { Ok(()) } else { write!(f, " {}", self.after) }
    }
}
