//! InterPodAffinity: pods near to, or away from, other pods.

mod neighbours;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::neighbours::Neighbours;
use crate::scheduler::framework::{
    ClusterEvent, Filter, MAX_SCORE, NodeFilter, NodeScore, Plugin, Prepared, Reads, Refusal, Score,
};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot, Term};

const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const NOT_AWAY: &str = "node(s) didn't match pod anti-affinity rules";
const UNWELCOME: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Rules out nodes that a required affinity or anti-affinity between pods forbids; prefers by the preferred ones.
#[derive(Clone, Copy, Debug)]
pub struct InterPodAffinity {
    /// What a required affinity of a pod that is there counts for the pods that match it.
    hard_weight: i64,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { hard_weight: 1 }
    }
}

impl InterPodAffinity {
    /// With another weight (0 to 100) of required affinities of pods that are there: 1 by default.
    pub fn with_hard_weight(weight: i64) -> Self {
        Self { hard_weight: weight.clamp(0, 100) }
    }
}

/// How much there is in each domain: by topology key and value.
type Domains<'a> = BTreeMap<(&'a str, String), i64>;

fn count<'a>(domains: &mut Domains<'a>, term: &'a Term, node: &NodeInfo, by: i64) {
    if let Some(value) = node.label(&term.topology_key) {
        let entry = domains.entry((&term.topology_key, value.to_owned()));
        *entry.or_default() += by;
    }
}

fn in_domain(domains: &Domains<'_>, key: &str, node: &NodeInfo) -> i64 {
    node.label(key).and_then(|value| domains.get(&(key, value.to_owned()))).copied().unwrap_or_default()
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn reads(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Reads {
        if pod.has_affinity() || cluster.has_affinity() {
            return Reads::Counts(Box::new(Neighbours::of(pod, cluster, self.hard_weight)));
        }
        Reads::Node
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::Node { new: None, .. } => false,
            ClusterEvent::Node { old: Some(old), new: Some(new) } => old.metadata.labels != new.metadata.labels,
            // A new pod may be the one to be near; one that went, the one to be away from.
            ClusterEvent::Pod { old: None, .. } => !pod.affinity.is_empty(),
            ClusterEvent::Pod { old: Some(old), new: Some(new) } => old.labels() != new.labels(),
            ClusterEvent::Pod { old: Some(old), new: None } => {
                !pod.anti_affinity.is_empty() || !old.anti_affinity.is_empty()
            }
            _ => true,
        }
    }
}

impl Filter for InterPodAffinity {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, cluster: &'a Snapshot) -> Prepared<'a> {
        let mut rules = Rules {
            pod,
            cluster,
            near: Domains::new(),
            away: Domains::new(),
            unwelcome: BTreeMap::new(),
            goes_first: pod.affinity.iter().all(|term| term.matches(pod, &cluster.namespaces)),
        };
        let own = !(pod.affinity.is_empty() && pod.anti_affinity.is_empty());
        if !own && !cluster.has_anti_affinity() {
            return Prepared::Pass;
        }
        for node in cluster.nodes().iter().filter(|node| own || node.has_anti_affinity()) {
            node.pods().iter().for_each(|other| rules.count(other, node, 1));
        }
        if own || !rules.unwelcome.is_empty() { Prepared::Check(Box::new(rules)) } else { Prepared::Pass }
    }
}

/// What the pods that are there mean for one pod.
#[derive(Clone, Debug)]
struct Rules<'a> {
    pod: &'a PodInfo,
    cluster: &'a Snapshot,
    /// Pods that match all of the pod's affinity, by the domains of its terms.
    near: Domains<'a>,
    /// Pods that match its anti-affinity.
    away: Domains<'a>,
    /// Pods whose anti-affinity matches it, by key and value.
    unwelcome: BTreeMap<(String, String), i64>,
    /// Whether it matches its own affinity: then it may be the first of its kind.
    goes_first: bool,
}

impl Rules<'_> {
    fn count(&mut self, other: &PodInfo, node: &NodeInfo, by: i64) {
        let (pod, namespaces) = (self.pod, &self.cluster.namespaces);
        if !pod.affinity.is_empty() && pod.affinity.iter().all(|term| term.matches(other, namespaces)) {
            pod.affinity.iter().for_each(|term| count(&mut self.near, term, node, by));
        }
        for term in pod.anti_affinity.iter().filter(|term| term.matches(other, namespaces)) {
            count(&mut self.away, term, node, by);
        }
        for term in other.anti_affinity.iter().filter(|term| term.matches(pod, namespaces)) {
            if let Some(value) = node.label(&term.topology_key) {
                *self.unwelcome.entry((term.topology_key.clone(), value.to_owned())).or_default() += by;
            }
        }
    }

    fn is_near(&self, node: &NodeInfo) -> bool {
        let terms = &self.pod.affinity;
        let located = terms.iter().all(|term| node.label(&term.topology_key).is_some());
        let met = || terms.iter().all(|term| in_domain(&self.near, &term.topology_key, node) > 0);
        located && (met() || (self.goes_first && self.near.values().all(|count| *count <= 0)))
    }
}

impl<'a> NodeFilter<'a> for Rules<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if !self.is_near(node) {
            return Err(Refusal::unresolvable(NOT_NEAR));
        }
        if self.pod.anti_affinity.iter().any(|term| in_domain(&self.away, &term.topology_key, node) > 0) {
            return Err(Refusal::new(NOT_AWAY));
        }
        let here = |key: &str, value: &str| node.label(key) == Some(value);
        if self.unwelcome.iter().any(|((key, value), count)| *count > 0 && here(key, value)) {
            return Err(Refusal::new(UNWELCOME));
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

/// What the domains are worth: by topology key, then value.
struct Worth(BTreeMap<String, BTreeMap<String, i64>>);

impl Worth {
    fn add(&mut self, term: &Term, node: &NodeInfo, weight: i64) {
        if let Some(value) = node.label(&term.topology_key) {
            let values = self.0.entry(term.topology_key.clone()).or_default();
            *values.entry(value.to_owned()).or_default() += weight;
        }
    }
}

impl Score for InterPodAffinity {
    fn prepare<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
        _: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let mut worth = Worth(BTreeMap::new());
        let own = !pod.preferences.is_empty();
        if !own && !cluster.has_affinity() {
            return None;
        }
        for node in cluster.nodes().iter().filter(|node| own || node.has_affinity()) {
            for other in node.pods().iter().filter(|other| own || other.has_affinity()) {
                for (weight, term) in pod.preferences.iter().filter(|(_, t)| t.matches(other, &cluster.namespaces)) {
                    worth.add(term, node, *weight);
                }
                let hard = other.affinity.iter().map(|term| (self.hard_weight, term));
                let soft = other.preferences.iter().map(|(weight, term)| (*weight, term));
                for (weight, term) in hard.chain(soft).filter(|(_, t)| t.matches(pod, &cluster.namespaces)) {
                    worth.add(term, node, weight);
                }
            }
        }
        if worth.0.is_empty() { None } else { Some(Box::new(worth)) }
    }
}

impl NodeScore for Worth {
    fn score(&self, node: &NodeInfo) -> i64 {
        self.0.iter().filter_map(|(key, values)| values.get(node.label(key)?)).sum()
    }

    fn normalize(&self, _: &[&NodeInfo], scores: &mut [i64]) {
        between_lowest_and_highest(scores);
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a score from 0 to 100")]
fn between_lowest_and_highest(scores: &mut [i64]) {
    let highest = scores.iter().copied().max().unwrap_or_default();
    let lowest = scores.iter().copied().min().unwrap_or_default();
    for score in scores {
        let share = if highest > lowest { (*score - lowest) as f64 / (highest - lowest) as f64 } else { 0.0 };
        *score = (MAX_SCORE as f64 * share) as i64;
    }
}
