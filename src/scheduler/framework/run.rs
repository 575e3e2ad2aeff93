//! One decision: filter, score, choose.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::points::Plugin;
use super::verdict::{Diagnosis, Refusal};
use super::{Filters, Framework, Nomination};
use crate::scheduler::explain::{Explanation, NodeExplanation, Scored};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};
use crate::scheduler::{Placement, Unplaced};

/// Clusters smaller than this are searched whole.
const MIN_FEASIBLE: usize = 100;

impl Framework {
    pub(super) fn run(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        if cluster.nodes().is_empty() {
            return Placement::None(Unplaced {
                message: "no nodes available to schedule pods".to_owned(),
                refused_by: Vec::new(),
                nomination: Nomination::Keep,
            });
        }
        self.run_by_class(pod, cluster).unwrap_or_else(|| self.run_in_full(pod, cluster))
    }

    /// Asks every plugin about every node, or about so many as will do.
    fn run_in_full(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        let filters = match Filters::prepare(self.plugins(), pod, cluster) {
            Ok(filters) => filters,
            // Preemption is asked all the same; it has nothing to filter by.
            Err(diagnosis) => return self.give_up(pod, cluster, &Filters::none(pod, cluster), *diagnosis),
        };
        let (feasible, diagnosis) = self.feasible(pod, cluster, &filters);
        let evaluated = feasible.len() + diagnosis.looked_at();
        match &feasible[..] {
            [] => self.give_up(pod, cluster, &filters, diagnosis),
            [only] => Placement::Node { name: only.name().to_owned(), evaluated, feasible: 1 },
            nodes => {
                let totals = self.totals(&self.scores(pod, cluster, nodes), nodes.len());
                let best = totals.iter().copied().max().unwrap_or_default();
                let tied: Vec<_> = (0..nodes.len()).filter(|index| totals[*index] == best).collect();
                let chosen = tied[self.random.below(tied.len())];
                Placement::Node { name: nodes[chosen].name().to_owned(), evaluated, feasible: nodes.len() }
            }
        }
    }

    pub(super) fn give_up(
        &self,
        pod: &Arc<PodInfo>,
        cluster: &Snapshot,
        by: &Filters<'_>,
        mut why: Diagnosis,
    ) -> Placement {
        let mut nomination = Nomination::Keep;
        let mut messages = Vec::new();
        for post in self.plugins().filter_map(Plugin::as_post_filter) {
            let remedy = post.remedy(pod, cluster, by, &why);
            messages.extend(Some(remedy.message).filter(|message| !message.is_empty()));
            let found = matches!(remedy.nomination, Nomination::Node { .. });
            if remedy.nomination != Nomination::Keep {
                nomination = remedy.nomination;
            }
            if found {
                break;
            }
        }
        why.after = messages.join(", ");
        let refused_by = why.plugins.iter().copied().collect();
        Placement::None(Unplaced { message: why.to_string(), refused_by, nomination })
    }

    /// Searches nodes until enough have passed. A node that was cleared for the pod goes before all others.
    fn feasible<'a>(
        &self,
        pod: &PodInfo,
        cluster: &'a Snapshot,
        filters: &Filters<'_>,
    ) -> (Vec<&'a NodeInfo>, Diagnosis) {
        if let Some(node) = pod.nominated_node().and_then(|name| cluster.node(name))
            && filters.among.as_ref().is_none_or(|(names, _)| names.contains(node.name()))
            && filters.check_with_nominated(node).is_ok()
        {
            return (vec![node], Diagnosis::default());
        }
        let mut diagnosis = Diagnosis { nodes: cluster.nodes().len(), ..Diagnosis::default() };
        let among: Vec<usize> = match &filters.among {
            None => cluster.in_turn().to_vec(),
            Some((names, by)) => {
                let plugins = by.iter().copied().collect::<Vec<_>>().join(" ");
                diagnosis.others = Some(Cow::Owned(format!("node(s) didn't satisfy plugin(s) [{plugins}]")));
                diagnosis.plugins.extend(by);
                names.iter().filter_map(|name| cluster.position(name)).collect()
            }
        };
        let wanted = self.wanted(among.len());
        let start = self.start.load(Ordering::Relaxed);
        let mut feasible = Vec::new();
        let mut seen = 0;
        for offset in 0..among.len() {
            let position = among[(start + offset) % among.len()];
            let node = &*cluster.nodes()[position];
            seen += 1;
            match filters.check_with_nominated(node) {
                Ok(()) => feasible.push(node),
                Err((plugin, refusal)) => {
                    diagnosis.resolvable.extend(refusal.resolvable.then_some(position));
                    diagnosis.refuse(plugin, refusal, 1);
                }
            }
            if feasible.len() == wanted {
                break;
            }
        }
        self.start.store((start + seen) % cluster.nodes().len(), Ordering::Relaxed);
        (feasible, diagnosis)
    }

    /// How many nodes of `all` have to pass before the search ends.
    fn wanted(&self, all: usize) -> usize {
        if all < MIN_FEASIBLE {
            return all;
        }
        let percentage = self.percentage.map_or_else(|| 50_usize.saturating_sub(all / 125).max(5), usize::from);
        (all * percentage.min(100) / 100).max(MIN_FEASIBLE)
    }

    /// For each scoring plugin that has a preference: its name, its weight, and what it gives each node.
    fn scores(&self, pod: &PodInfo, cluster: &Snapshot, nodes: &[&NodeInfo]) -> Vec<(&'static str, i64, Vec<i64>)> {
        let scoring = self.plugins.iter().filter(|(_, weight)| *weight != 0);
        scoring
            .filter_map(|(plugin, weight)| {
                let prepared = plugin.as_score()?.prepare(pod, cluster, nodes)?;
                let mut scores: Vec<i64> = nodes.iter().map(|node| prepared.score(node)).collect();
                prepared.normalize(nodes, &mut scores);
                Some((plugin.name(), *weight, scores))
            })
            .collect()
    }

    fn totals(&self, scores: &[(&'static str, i64, Vec<i64>)], nodes: usize) -> Vec<i64> {
        let total = |node: usize| scores.iter().map(|(_, weight, scores)| weight * scores[node]).sum();
        (0..nodes).map(total).collect()
    }

    pub(super) fn explanation(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Explanation {
        let mut explanation = Explanation::default();
        let filters = match Filters::prepare(self.plugins(), pod, cluster) {
            Ok(filters) => filters,
            Err(diagnosis) => {
                explanation.message = diagnosis.to_string();
                let refusals: Vec<_> = diagnosis.refusals.into_iter().map(|all| (all.plugin, all.refusal)).collect();
                for node in cluster.nodes() {
                    let refused = NodeExplanation { refusals: refusals.clone(), ..NodeExplanation::default() };
                    explanation.nodes.insert(node.name().to_owned(), refused);
                }
                return explanation;
            }
        };
        let mut feasible: Vec<&NodeInfo> = Vec::new();
        for node in cluster.nodes() {
            let mut refusals: Vec<_> = filters
                .checks
                .iter()
                .filter_map(|(plugin, check)| check.check(node).err().map(|refusal| (*plugin, refusal)))
                .collect();
            if let Some((names, by)) = &filters.among
                && !names.contains(node.name())
                && refusals.is_empty()
            {
                let plugin = by.iter().next().copied().unwrap_or_default();
                refusals.push((plugin, Refusal::unresolvable("node(s) didn't satisfy plugin(s)")));
            }
            if refusals.is_empty() {
                feasible.push(node);
            }
            explanation.nodes.insert(node.name().to_owned(), NodeExplanation { refusals, ..Default::default() });
        }
        let scores = self.scores(pod, cluster, &feasible);
        for (index, node) in feasible.iter().enumerate() {
            let Some(entry) = explanation.nodes.get_mut(node.name()) else { continue };
            entry.scores = scores
                .iter()
                .map(|(plugin, weight, scores)| Scored { plugin, weight: *weight, score: scores[index] })
                .collect();
        }
        if feasible.is_empty()
            && let Placement::None(unplaced) = self.run(pod, cluster)
        {
            explanation.message = unplaced.message;
        }
        explanation
    }
}
