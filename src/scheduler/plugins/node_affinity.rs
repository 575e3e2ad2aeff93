//! NodeAffinity: pods choose nodes by their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, NodeAffinity as Affinity, NodeSelectorRequirement, NodeSelectorTerm};

use crate::api::rules::placement::term_matches;
use crate::scheduler::framework::{
    ClusterEvent, Filter, NodeFilter, NodeScore, Plugin, Prepared, Reads, Refusal, Score, normalize_by_highest,
};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Rules out nodes that `spec.nodeSelector` or the required node affinity does not match; prefers those that the
/// preferred one matches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeAffinity;

/// What a pod requires of nodes.
#[derive(Clone, Debug)]
pub(super) struct Required<'a> {
    labels: Option<&'a BTreeMap<String, String>>,
    /// One of these must match, where there are any requirements at all.
    terms: Option<&'a [NodeSelectorTerm]>,
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
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
        let required = Required::of(pod);
        matches!(event, ClusterEvent::Itself)
            || event
                .node_gain()
                .is_some_and(|(old, new)| required.matches(new) && old.is_none_or(|old| !required.matches(old)))
    }
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

impl<'a> Required<'a> {
    pub(super) fn of(pod: &'a PodInfo) -> Self {
        let labels = pod.spec().and_then(|spec| spec.node_selector.as_ref()).filter(|labels| !labels.is_empty());
        let required = affinity(pod).and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        Self { labels, terms: required.map(|selector| selector.node_selector_terms.as_slice()) }
    }

    pub(super) fn matches(&self, node: &Node) -> bool {
        let has = |key, value| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value);
        self.labels.into_iter().flatten().all(|(key, value)| has(key, value))
            && self.terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, node)))
    }

    /// The only nodes that can match, where every term names its nodes.
    fn names(&self) -> Option<BTreeSet<String>> {
        let names = |term: &NodeSelectorTerm| {
            let by_name = |r: &&NodeSelectorRequirement| r.key == "metadata.name" && r.operator == "In";
            let lists = term.match_fields.iter().flatten().filter(by_name);
            let sets = lists.map(|r| r.values.iter().flatten().cloned().collect::<BTreeSet<_>>());
            sets.reduce(|a, b| a.intersection(&b).cloned().collect())
        };
        let terms = self.terms.filter(|terms| !terms.is_empty())?;
        terms.iter().map(names).try_fold(BTreeSet::new(), |mut all, names| {
            all.extend(names?);
            Some(all)
        })
    }
}

impl Filter for NodeAffinity {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let required = Required::of(pod);
        if required.labels.is_none() && required.terms.is_none() {
            return Prepared::Pass;
        }
        match required.names() {
            Some(names) if names.is_empty() => Prepared::Refuse(Refusal::unresolvable("pod affinity terms conflict")),
            Some(names) => Prepared::Among(names, Box::new(required)),
            None => Prepared::Check(Box::new(required)),
        }
    }
}

impl<'a> NodeFilter<'a> for Required<'a> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if self.matches(&node.node) {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }

    fn fork(&self) -> Box<dyn NodeFilter<'a> + 'a> {
        Box::new(self.clone())
    }
}

struct Preferred<'a>(&'a Affinity);

impl Score for NodeAffinity {
    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot, _: &[&'a NodeInfo]) -> Option<Box<dyn NodeScore + 'a>> {
        let affinity = affinity(pod)?;
        affinity.preferred_during_scheduling_ignored_during_execution.as_ref().filter(|terms| !terms.is_empty())?;
        Some(Box::new(Preferred(affinity)))
    }
}

impl NodeScore for Preferred<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let terms = self.0.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        terms.filter(|term| term_matches(&term.preference, &node.node)).map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, _: &[&NodeInfo], scores: &mut [i64]) {
        normalize_by_highest(scores, false);
    }
}
