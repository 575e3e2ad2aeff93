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

/// A refusal that several nodes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The plugin that refused.
    pub plugin: &'static str,
    /// Why.
    pub refusal: Refusal,
    /// How many nodes.
    pub nodes: usize,
}

/// Why a pod was not placed, over all nodes. Displays as the message that users know:
/// `0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub nodes: usize,
    /// The refusals of the nodes that were looked at.
    pub refusals: Vec<Refused>,
    /// The nodes (their positions in the snapshot) where removing pods could help.
    pub resolvable: Vec<usize>,
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
    /// Counts the refusal of so many more nodes.
    pub fn refuse(&mut self, plugin: &'static str, refusal: Refusal, nodes: usize) {
        self.plugins.insert(plugin);
        let same = |other: &&mut Refused| other.plugin == plugin && other.refusal == refusal;
        match self.refusals.iter_mut().find(same) {
            Some(refused) => refused.nodes += nodes,
            None => self.refusals.push(Refused { plugin, refusal, nodes }),
        }
    }

    /// How many nodes have a refusal of their own.
    pub fn looked_at(&self) -> usize {
        self.refusals.iter().map(|refused| refused.nodes).sum()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0/{} nodes are available:", self.nodes)?;
        if self.before.is_empty() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for refused in &self.refusals {
                for reason in &refused.refusal.reasons {
                    *counts.entry(reason).or_default() += refused.nodes;
                }
            }
            let looked_at = self.looked_at();
            if let Some(reason) = &self.others
                && looked_at < self.nodes
            {
                *counts.entry(reason).or_default() += self.nodes - looked_at;
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
