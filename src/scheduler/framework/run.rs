//! One decision: filter, score, choose.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::points::{NodeFilter, Plugin, Prepared};
use super::verdict::{Diagnosis, Refusal};
use super::{Framework, Nomination};
use crate::scheduler::explain::{Explanation, NodeExplanation, Scored};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};
use crate::scheduler::{Placement, Unplaced};

/// Clusters smaller than this are searched whole.
const MIN_FEASIBLE: usize = 100;

type Prepare<'a> = (&'static str, Box<dyn NodeFilter<'a> + 'a>);

/// The filters of one pod, prepared: judges nodes, also under suppositions.
#[derive(Debug)]
pub struct Filters<'a> {
    pod: &'a PodInfo,
    cluster: &'a Snapshot,
    checks: Vec<Prepare<'a>>,
    /// The only nodes that come into question, and the plugins that said so.
    among: Option<(BTreeSet<String>, BTreeSet<&'static str>)>,
}

impl<'a> Filters<'a> {
    /// Prepares the filters of `plugins`; where one refuses all nodes, or no node is left, says why.
    fn prepare(
        plugins: impl Iterator<Item = &'a dyn Plugin>,
        pod: &'a PodInfo,
        cluster: &'a Snapshot,
    ) -> Result<Self, Box<Diagnosis>> {
        let mut filters = Self { pod, cluster, checks: Vec::new(), among: None };
        let refused = |before: String, plugins: BTreeSet<&'static str>, refusal: &Refusal| {
            let plugin = plugins.iter().next().copied().unwrap_or_default();
            let nodes = cluster.nodes();
            let refusals = nodes.iter().map(|node| (node.name().to_owned(), (plugin, refusal.clone()))).collect();
            Box::new(Diagnosis { nodes: nodes.len(), before, plugins, refusals, ..Diagnosis::default() })
        };
        for plugin in plugins {
            let Some(filter) = plugin.as_filter() else { continue };
            match filter.prepare(pod, cluster) {
                Prepared::Pass => {}
                Prepared::Refuse(refusal) => {
                    return Err(refused(refusal.reasons.join(", "), [plugin.name()].into(), &refusal));
                }
                Prepared::Check(check) => filters.checks.push((plugin.name(), check)),
                Prepared::Among(names, check) => {
                    filters.checks.push((plugin.name(), check));
                    let (left, by) = filters.among.take().unwrap_or_else(|| (names.clone(), BTreeSet::new()));
                    let left: BTreeSet<String> = left.intersection(&names).cloned().collect();
                    let by: BTreeSet<_> = by.into_iter().chain([plugin.name()]).collect();
                    if left.is_empty() {
                        let names: Vec<_> = by.iter().copied().collect();
                        let why = match &names[..] {
                            [one] => format!("node(s) didn't satisfy plugin {one}"),
                            all => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", all.join(" ")),
                        };
                        return Err(refused(why.clone(), by, &Refusal::unresolvable(why)));
                    }
                    filters.among = Some((left, by));
                }
            }
        }
        Ok(filters)
    }

    /// Whether the pod may go to `node` as it is.
    ///
    /// # Errors
    /// The first plugin that refuses, and why.
    pub fn check(&self, node: &NodeInfo) -> Result<(), (&'static str, Refusal)> {
        self.checks.iter().try_for_each(|(plugin, check)| check.check(node).map_err(|refusal| (*plugin, refusal)))
    }

    /// As [`Filters::check`], with the pods on `node` that it is being cleared for, where these are at least as
    /// important; and also without them, as they may yet go elsewhere.
    ///
    /// # Errors
    /// The first plugin that refuses, and why.
    pub fn check_with_nominated(&self, node: &NodeInfo) -> Result<(), (&'static str, Refusal)> {
        let others: Vec<_> = self
            .cluster
            .nominated_to(node.name())
            .iter()
            .filter(|other| other.uid() != self.pod.uid() && other.priority() >= self.pod.priority())
            .collect();
        if !others.is_empty() {
            let (mut supposed, mut node) = (self.fork(), node.clone());
            for other in others {
                supposed.suppose(other, &mut node);
            }
            supposed.check(&node)?;
        }
        self.check(node)
    }

    /// A copy for suppositions.
    #[must_use]
    pub fn fork(&self) -> Self {
        let checks = self.checks.iter().map(|(plugin, check)| (*plugin, check.fork())).collect();
        Self { pod: self.pod, cluster: self.cluster, checks, among: self.among.clone() }
    }

    /// Supposes that `other` were on `node`, and puts it there.
    pub fn suppose(&mut self, other: &Arc<PodInfo>, node: &mut NodeInfo) {
        node.add(Arc::clone(other));
        self.checks.iter_mut().for_each(|(_, check)| check.suppose(other, node));
    }

    /// Supposes that `other` were not on `node`, and takes it off.
    pub fn suppose_gone(&mut self, other: &PodInfo, node: &mut NodeInfo) {
        node.remove(other.uid());
        self.checks.iter_mut().for_each(|(_, check)| check.suppose_gone(other, node));
    }
}

impl Framework {
    pub(super) fn run(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        if cluster.nodes().is_empty() {
            return Placement::None(Unplaced {
                message: "no nodes available to schedule pods".to_owned(),
                refused_by: Vec::new(),
                nomination: Nomination::Keep,
            });
        }
        let filters = match Filters::prepare(self.plugins(), pod, cluster) {
            Ok(filters) => filters,
            Err(diagnosis) => {
                // Preemption is asked all the same; it has nothing to filter by.
                let none = Filters { pod, cluster, checks: Vec::new(), among: None };
                return self.give_up(pod, cluster, &none, *diagnosis);
            }
        };
        let (feasible, diagnosis) = self.feasible(pod, cluster, &filters);
        let evaluated = feasible.len() + diagnosis.refusals.len();
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

    fn give_up(&self, pod: &Arc<PodInfo>, cluster: &Snapshot, by: &Filters<'_>, mut why: Diagnosis) -> Placement {
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
        let among: Vec<&'a NodeInfo> = match &filters.among {
            None => cluster.nodes().iter().map(|node| &**node).collect(),
            Some((names, by)) => {
                let plugins = by.iter().copied().collect::<Vec<_>>().join(" ");
                diagnosis.others = Some(Cow::Owned(format!("node(s) didn't satisfy plugin(s) [{plugins}]")));
                diagnosis.plugins.extend(by);
                names.iter().filter_map(|name| cluster.node(name)).map(|node| &**node).collect()
            }
        };
        let wanted = self.wanted(among.len());
        let start = self.start.load(Ordering::Relaxed);
        let mut feasible = Vec::new();
        let mut seen = 0;
        for offset in 0..among.len() {
            let node = among[(start + offset) % among.len()];
            seen += 1;
            match filters.check_with_nominated(node) {
                Ok(()) => feasible.push(node),
                Err((plugin, refusal)) => {
                    diagnosis.plugins.insert(plugin);
                    diagnosis.refusals.insert(node.name().to_owned(), (plugin, refusal));
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
                for (name, refusal) in diagnosis.refusals {
                    explanation.nodes.insert(name, NodeExplanation { refusals: vec![refusal], ..Default::default() });
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
