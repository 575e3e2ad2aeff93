//! PodTopologySpread: pods of one kind spread over zones and nodes.

mod census;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use self::census::Census;
use super::node_affinity::Required;
use super::taint_toleration::has_untolerated;
use crate::api::rules::label::selector_matches;
use crate::scheduler::framework::{
    ClusterEvent, Filter, MAX_SCORE, NodeFilter, NodeScore, Plugin, Prepared, Reads, Refusal, Score,
};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const BROKEN: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// Rules out nodes where a constraint `DoNotSchedule` would be broken; prefers those that a constraint
/// `ScheduleAnyway` does. Pods without constraints are spread by zone and node with the others of their service or
/// workload.
#[derive(Clone, Copy, Debug)]
pub struct PodTopologySpread {
    defaults: bool,
}

impl Default for PodTopologySpread {
    fn default() -> Self {
        Self { defaults: true }
    }
}

impl PodTopologySpread {
    /// Leaves pods without constraints alone.
    pub fn without_defaults() -> Self {
        Self { defaults: false }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Constraint {
    max_skew: i64,
    key: String,
    /// All must match; empty matches nothing.
    selectors: Vec<LabelSelector>,
    min_domains: usize,
    honor_affinity: bool,
    honor_taints: bool,
}

impl Constraint {
    fn of(constraint: &TopologySpreadConstraint, pod: &PodInfo) -> Self {
        let mut selectors: Vec<_> = constraint.label_selector.clone().into_iter().collect();
        let keys = constraint.match_label_keys.iter().flatten();
        let values = keys.filter_map(|key| Some((key, pod.labels()?.get(key)?)));
        let same = values.map(|(key, value)| LabelSelectorRequirement {
            key: key.clone(),
            operator: "In".to_owned(),
            values: Some(vec![value.clone()]),
        });
        if let Some(selector) = selectors.first_mut() {
            selector.match_expressions.get_or_insert_default().extend(same);
        }
        Self {
            max_skew: constraint.max_skew.into(),
            key: constraint.topology_key.clone(),
            selectors,
            min_domains: constraint.min_domains.and_then(|number| number.try_into().ok()).unwrap_or(1),
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    fn selects(&self, pod: &PodInfo) -> bool {
        !self.selectors.is_empty() && self.selectors.iter().all(|selector| selector_matches(selector, pod.labels()))
    }

    /// Whether `other` is one of the pods that are to be spread with `pod`.
    fn counts(&self, other: &PodInfo, pod: &PodInfo) -> bool {
        other.key.namespace == pod.key.namespace && !other.is_terminating() && self.selects(other)
    }

    fn count_on(&self, node: &NodeInfo, pod: &PodInfo) -> i64 {
        i64::try_from(node.count(|other| self.counts(other, pod))).unwrap_or(i64::MAX)
    }

    /// Whether `node` is one of those over which `pod` is spread.
    fn includes(&self, node: &NodeInfo, pod: &PodInfo) -> bool {
        (!self.honor_affinity || Required::of(pod).matches(&node.node))
            && (!self.honor_taints || !has_untolerated(node.taints(), pod.tolerations()))
    }
}

fn constraints(pod: &PodInfo, action: &str) -> Vec<Constraint> {
    let all = pod.spec().into_iter().flat_map(|spec| spec.topology_spread_constraints.iter().flatten());
    all.filter(|constraint| constraint.when_unsatisfiable == action).map(|c| Constraint::of(c, pod)).collect()
}

fn has_all_keys(node: &NodeInfo, constraints: &[Constraint]) -> bool {
    constraints.iter().all(|constraint| node.label(&constraint.key).is_some())
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn reads(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Reads {
        Reads::Counts(Box::new(Census::of(self, pod, cluster)))
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let spread = constraints(pod, "DoNotSchedule");
        let concerns = |other: &PodInfo| {
            other.key.namespace == pod.key.namespace && spread.iter().any(|constraint| constraint.selects(other))
        };
        match event {
            ClusterEvent::Node { old: Some(old), new: Some(new) } => {
                let spec = |node: &k8s_openapi::api::core::v1::Node| node.spec.as_ref().and_then(|s| s.taints.clone());
                old.metadata.labels != new.metadata.labels || spec(old) != spec(new)
            }
            ClusterEvent::Pod { old, new } => old.iter().chain(new).any(|other| concerns(other)),
            _ => true,
        }
    }
}

impl Filter for PodTopologySpread {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, cluster: &'a Snapshot) -> Prepared<'a> {
        let constraints = constraints(pod, "DoNotSchedule");
        if constraints.is_empty() {
            return Prepared::Pass;
        }
        let mut skew = Skew { pod, domains: vec![Domains::default(); constraints.len()], constraints };
        for node in cluster.nodes().iter().filter(|node| has_all_keys(node, &skew.constraints)) {
            for (constraint, domains) in skew.constraints.iter().zip(&mut skew.domains) {
                if let Some(value) = node.label(&constraint.key).filter(|_| constraint.includes(node, pod)) {
                    *domains.counts.entry(value.to_owned()).or_default() += constraint.count_on(node, pod);
                }
            }
        }
        skew.domains.iter_mut().for_each(Domains::find_lowest);
        Prepared::Check(Box::new(skew))
    }
}

/// How many pods are in each domain of a constraint.
#[derive(Clone, Debug, Default)]
struct Domains {
    counts: BTreeMap<String, i64>,
    lowest: i64,
}

impl Domains {
    fn find_lowest(&mut self) {
        self.lowest = self.counts.values().copied().min().unwrap_or(i64::from(i32::MAX));
    }
}

#[derive(Clone, Debug)]
struct Skew<'a> {
    pod: &'a PodInfo,
    constraints: Vec<Constraint>,
    domains: Vec<Domains>,
}

impl Skew<'_> {
    fn count(&mut self, other: &PodInfo, node: &NodeInfo, by: i64) {
        if !has_all_keys(node, &self.constraints) {
            return;
        }
        for (constraint, domains) in self.constraints.iter().zip(&mut self.domains) {
            let counted = other.key.namespace == self.pod.key.namespace
                && constraint.selects(other)
                && constraint.includes(node, self.pod);
            if let Some(value) = node.label(&constraint.key).filter(|_| counted) {
                *domains.counts.entry(value.to_owned()).or_default() += by;
                domains.find_lowest();
            }
        }
    }
}

impl<'a> NodeFilter<'a> for Skew<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        for (constraint, domains) in self.constraints.iter().zip(&self.domains) {
            let Some(value) = node.label(&constraint.key) else {
                return Err(Refusal::unresolvable(NO_LABEL));
            };
            let lowest = if domains.counts.len() < constraint.min_domains { 0 } else { domains.lowest };
            let here = domains.counts.get(value).copied().unwrap_or_default();
            if here + i64::from(constraint.selects(self.pod)) - lowest > constraint.max_skew {
                return Err(Refusal::new(BROKEN));
            }
        }
        Ok(())
    }

    fn suppose(&mut self, other: &PodInfo, node: &NodeInfo) {
        self.count(other, node, 1);
    }

    fn suppose_gone(&mut self, other: &PodInfo, node: &NodeInfo) {
        self.count(other, node, -1);
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}

impl PodTopologySpread {
    fn soft(&self, pod: &PodInfo, cluster: &Snapshot) -> (Vec<Constraint>, bool) {
        let asked = pod.spec().is_some_and(|spec| spec.topology_spread_constraints.iter().flatten().next().is_some());
        if asked || !self.defaults {
            return (constraints(pod, "ScheduleAnyway"), true);
        }
        let selectors: Vec<LabelSelector> = cluster.group_selectors(pod).into_iter().cloned().collect();
        let default = |(key, max_skew): (&str, i64)| Constraint {
            max_skew,
            key: key.to_owned(),
            selectors: selectors.clone(),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        };
        let constraints =
            if selectors.is_empty() { Vec::new() } else { [(ZONE, 3), (HOSTNAME, 5)].map(default).into() };
        (constraints, false)
    }
}

impl Score for PodTopologySpread {
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
        nodes: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let (constraints, all_keys) = self.soft(pod, cluster);
        if constraints.is_empty() {
            return None;
        }
        let eligible = |node: &NodeInfo| !all_keys || has_all_keys(node, &constraints);
        let scored: Vec<_> = nodes.iter().filter(|node| eligible(node)).collect();
        let spreads = constraints.iter().map(|constraint| {
            let mut counts: BTreeMap<String, i64> = BTreeMap::new();
            if constraint.key != HOSTNAME {
                let values = scored.iter().map(|node| node.label(&constraint.key).unwrap_or_default());
                counts.extend(values.map(|value| (value.to_owned(), 0)));
                for node in cluster.nodes().iter().filter(|n| eligible(n) && constraint.includes(n, pod)) {
                    if let Some(count) = counts.get_mut(node.label(&constraint.key).unwrap_or_default()) {
                        *count += constraint.count_on(node, pod);
                    }
                }
            }
            let domains = if constraint.key == HOSTNAME { scored.len() } else { counts.len() };
            Spread { constraint: constraint.clone(), counts, domains }
        });
        Some(Box::new(Spreads { pod, spreads: spreads.collect(), all_keys }))
    }
}

/// How the pods of one constraint are spread. The counts of single nodes are made when they are asked for.
struct Spread {
    constraint: Constraint,
    counts: BTreeMap<String, i64>,
    domains: usize,
}

/// The score (less is better) of a node from its constraints: the pods in its domain, the number of domains, and the
/// skew that is allowed. Few domains with many pods count no more than many with few.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "numbers of pods and domains")]
fn weighted(constraints: impl Iterator<Item = (i64, usize, i64)>) -> i64 {
    let scores =
        constraints.map(|(pods, domains, max_skew)| pods as f64 * ((domains + 2) as f64).ln() + (max_skew - 1) as f64);
    scores.sum::<f64>().round() as i64
}

/// Turns scores of which less is better into scores from 0 to [`MAX_SCORE`]; those that are not kept become 0.
fn evened(scores: &mut [i64], kept: &[bool]) {
    let all = || scores.iter().zip(kept).filter(|(_, kept)| **kept).map(|(score, _)| *score);
    let (lowest, highest) = (all().min().unwrap_or_default(), all().max().unwrap_or_default());
    for (score, kept) in scores.iter_mut().zip(kept) {
        *score = match highest {
            _ if !kept => 0,
            0 => MAX_SCORE,
            highest => MAX_SCORE * (highest + lowest - *score) / highest,
        };
    }
}

struct Spreads<'a> {
    pod: &'a PodInfo,
    spreads: Vec<Spread>,
    all_keys: bool,
}

impl Spreads<'_> {
    fn ignores(&self, node: &NodeInfo) -> bool {
        self.all_keys && self.spreads.iter().any(|spread| node.label(&spread.constraint.key).is_none())
    }
}

impl NodeScore for Spreads<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        if self.ignores(node) {
            return 0;
        }
        weighted(self.spreads.iter().filter_map(|Spread { constraint, counts, domains }| {
            let value = node.label(&constraint.key)?;
            let pods = counts.get(value).copied().unwrap_or_else(|| constraint.count_on(node, self.pod));
            Some((pods, *domains, constraint.max_skew))
        }))
    }

    fn normalize(&self, nodes: &[&NodeInfo], scores: &mut [i64]) {
        let kept: Vec<bool> = nodes.iter().map(|node| !self.ignores(node)).collect();
        evened(scores, &kept);
    }
}
