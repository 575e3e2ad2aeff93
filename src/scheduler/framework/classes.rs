//! The classes of pods that are known, brought up to date with the cluster when a pod of theirs comes.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use super::class::{Class, Counted, Finding, Relative};
use super::points::{NodeFilter, NodeScore, Plugin, Prepared, Reads};
use super::verdict::Refusal;
use super::{Filters, Framework};
use crate::scheduler::Placement;
use crate::scheduler::snapshot::{Moment, NodeInfo, PodInfo, Snapshot};

/// How many classes are remembered (those that pods came of most recently), and how many nodes in all of them.
const REMEMBERED: (usize, usize) = (256, 1_000_000);

/// What is known, by class of pods.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// The most recent last.
    known: VecDeque<Known>,
    /// How many nodes all of them know.
    nodes: usize,
}

#[derive(Debug)]
struct Known {
    class: Class,
    pod: Arc<PodInfo>,
    moment: Moment,
    surroundings: Snapshot,
    roles: Roles,
}

/// Which plugins (by their places in their order) have a say about a class.
#[derive(Debug, Default)]
struct Roles {
    /// Those that look at nothing but the node.
    filters: Vec<usize>,
    scores: Vec<usize>,
    /// Whether a plugin that counts can refuse.
    counted_filters: bool,
}

/// The plugins that look at nothing but the node, prepared.
struct Judges<'a> {
    filters: Vec<(usize, Box<dyn NodeFilter<'a> + 'a>)>,
    absolute: Vec<(i64, Box<dyn NodeScore + 'a>)>,
    relative: Vec<Relative<'a>>,
}

impl Framework {
    /// Decides by what is known of the pod's class; `None` where some plugin has to be asked anew.
    pub(super) fn run_by_class(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Option<Placement> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = classes.take(pod, cluster);
        if known.as_ref().is_none_or(|known| !known.suits(pod, cluster)) {
            known = Some(self.learn(pod, cluster)?);
        }
        let mut known = known?;
        if known.roles.counted_filters && cluster.has_nominated() {
            classes.keep(known);
            return None;
        }
        let judges = self.judges(&known.roles, pod, cluster);
        if !known.catch_up(&judges, cluster) {
            // A tally has to be made anew.
            known = self.learn(pod, cluster)?;
            if !known.catch_up(&judges, cluster) {
                return None;
            }
        }
        let placement = self.decide(&known, &judges, pod, cluster);
        classes.keep(known);
        drop(classes);
        Some(placement)
    }

    fn decide(&self, known: &Known, judges: &Judges<'_>, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Placement {
        let mut cleared = None;
        if let Some(position) = pod.nominated_node().and_then(|name| cluster.position(name)) {
            let node = &cluster.nodes()[position];
            // Its own nomination does not stand in its way, which the class cannot know.
            match self.check_cleared(pod, cluster, node) {
                Ok(()) => return Placement::on(node.name()),
                Err((plugin, refusal)) => cleared = Some((position, plugin, refusal)),
            }
        }
        let evaluated = known.class.len();
        if let Some(choice) = known.class.choose(&judges.relative, cluster, &self.random) {
            let name = cluster.nodes()[choice.position].name().to_owned();
            return Placement::Node { name, evaluated, feasible: choice.feasible };
        }
        let names: Vec<_> = self.plugins().map(Plugin::name).collect();
        let diagnosis = known.class.diagnose(&names, cleared);
        let filters = Filters::prepare(self.plugins(), pod, cluster);
        let filters = filters.unwrap_or_else(|_| Filters::none(pod, cluster));
        self.give_up(pod, cluster, &filters.that_are_local(!known.roles.counted_filters), diagnosis)
    }

    fn check_cleared(
        &self,
        pod: &Arc<PodInfo>,
        cluster: &Snapshot,
        node: &NodeInfo,
    ) -> Result<(), (&'static str, Refusal)> {
        match Filters::prepare(self.plugins(), pod, cluster) {
            Ok(filters) => filters.check_with_nominated(node),
            Err(diagnosis) => {
                let refused = diagnosis.refusals.into_iter().next();
                Err(refused.map_or_else(|| ("", Refusal::unresolvable("")), |all| (all.plugin, all.refusal)))
            }
        }
    }

    /// Begins to get to know a class; `None` where that is no use.
    fn learn(&self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Option<Known> {
        let mut roles = Roles::default();
        let mut tallies = Vec::new();
        for (index, (plugin, weight)) in self.plugins.iter().enumerate() {
            let filter = plugin.as_filter();
            let score = plugin.as_score().filter(|_| *weight != 0);
            if filter.is_none() && score.is_none() {
                continue;
            }
            match plugin.reads(pod, cluster) {
                Reads::Everything => return None,
                Reads::Counts(tally) => {
                    roles.counted_filters |= filter.is_some() && tally.refuses();
                    let weight = if score.is_some() { *weight } else { 0 };
                    tallies.push(Counted { plugin: index, weight, tally });
                }
                Reads::Node => {
                    match filter.map(|filter| filter.prepare(pod, cluster)) {
                        None | Some(Prepared::Pass) => {}
                        Some(Prepared::Check(_)) => roles.filters.push(index),
                        // Few nodes come into question, or none: these are soon asked.
                        Some(Prepared::Refuse(_) | Prepared::Among(..)) => return None,
                    }
                    if score.is_some_and(|score| score.prepare(pod, cluster, &[]).is_some()) {
                        roles.scores.push(index);
                    }
                }
            }
        }
        let (class, pod) = (Class::new(tallies), Arc::clone(pod));
        Some(Known { class, pod, moment: Moment::never(), surroundings: cluster.surroundings(), roles })
    }

    fn judges<'a>(&'a self, roles: &Roles, pod: &'a PodInfo, cluster: &'a Snapshot) -> Judges<'a> {
        let filters =
            roles.filters.iter().filter_map(|index| match self.plugins[*index].0.as_filter()?.prepare(pod, cluster) {
                Prepared::Check(check) => Some((*index, check)),
                _ => None,
            });
        let mut judges = Judges { filters: filters.collect(), absolute: Vec::new(), relative: Vec::new() };
        for index in &roles.scores {
            let (plugin, weight) = &self.plugins[*index];
            let Some(scores) = plugin.as_score().and_then(|score| score.prepare(pod, cluster, &[])) else { continue };
            if scores.is_absolute() {
                judges.absolute.push((*weight, scores));
            } else {
                judges.relative.push(Relative { weight: *weight, scores });
            }
        }
        judges
    }
}

impl Judges<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), (usize, Refusal)> {
        self.filters.iter().try_for_each(|(plugin, filter)| filter.check(node).map_err(|refusal| (*plugin, refusal)))
    }

    /// As `check`, also with the pods that the node is being cleared for.
    fn check_with_nominated(&self, pod: &PodInfo, node: &NodeInfo, cluster: &Snapshot) -> Result<(), (usize, Refusal)> {
        let nominated = cluster.nominated_to(node.name()).iter();
        let others: Vec<_> = nominated.filter(|other| other.priority() >= pod.priority()).collect();
        if !others.is_empty() {
            let mut node = node.clone();
            let mut forks: Vec<_> = self.filters.iter().map(|(plugin, filter)| (*plugin, filter.fork())).collect();
            for other in others {
                node.add(Arc::clone(other));
                forks.iter_mut().for_each(|(_, filter)| filter.suppose(other, &node));
            }
            forks.iter().try_for_each(|(plugin, filter)| filter.check(&node).map_err(|refusal| (*plugin, refusal)))?;
        }
        self.check(node)
    }

    fn judge(&self, pod: &PodInfo, node: &NodeInfo, cluster: &Snapshot) -> Finding {
        let refusal = self.check_with_nominated(pod, node, cluster).err();
        let mut finding = Finding { refusal, ..Finding::default() };
        if finding.refusal.is_none() {
            finding.score = self.absolute.iter().map(|(weight, scores)| weight * scores.score(node)).sum();
            finding.relative = self.relative.iter().map(|relative| relative.scores.score(node)).collect();
        }
        finding
    }
}

impl Known {
    /// Whether nothing has changed around the nodes that the class depends on.
    fn suits(&self, pod: &PodInfo, cluster: &Snapshot) -> bool {
        self.surroundings.has_surroundings_of(cluster)
            || (self.surroundings.counts_like(cluster)
                && self.class.tallies.iter().all(|counted| counted.tally.suits(pod, cluster)))
    }

    /// Looks at the nodes that have changed. `false`: a tally gave up.
    fn catch_up(&mut self, judges: &Judges<'_>, cluster: &Snapshot) -> bool {
        if !self.surroundings.has_surroundings_of(cluster) {
            self.surroundings = cluster.surroundings();
        }
        let nodes = cluster.nodes();
        match cluster.changed_since(&self.moment) {
            Some(changed) => {
                let mut last = None;
                for position in changed {
                    // One node is often filled in a row.
                    if last != Some(position) && !self.look_at(position, judges, cluster) {
                        return false;
                    }
                    last = Some(position);
                }
            }
            None => {
                self.class.truncate(0);
                if !(0..nodes.len()).all(|position| self.look_at(position, judges, cluster)) {
                    return false;
                }
            }
        }
        self.class.truncate(nodes.len());
        self.moment = cluster.moment();
        true
    }

    fn look_at(&mut self, position: usize, judges: &Judges<'_>, cluster: &Snapshot) -> bool {
        self.class.clear(position);
        let Some(node) = cluster.nodes().get(position) else { return true };
        let mut finding = judges.judge(&self.pod, node, cluster);
        for counted in &mut self.class.tallies {
            let Some(mark) = counted.tally.enter(node) else { return false };
            finding.marks.push(mark);
        }
        self.class.set(position, finding);
        true
    }
}

impl Classes {
    /// Takes out what is known of the class of `pod` in that cluster.
    fn take(&mut self, pod: &PodInfo, cluster: &Snapshot) -> Option<Known> {
        let same = |known: &Known| known.pod.is_of_the_class_of(pod) && known.moment.is_of(cluster);
        let index = self.known.iter().rposition(same)?;
        let known = self.known.remove(index)?;
        self.nodes -= known.class.len();
        Some(known)
    }

    fn keep(&mut self, known: Known) {
        self.nodes += known.class.len();
        self.known.push_back(known);
        while self.known.len() > REMEMBERED.0 || (self.nodes > REMEMBERED.1 && self.known.len() > 1) {
            let forgotten = self.known.pop_front();
            self.nodes -= forgotten.map_or(0, |forgotten| forgotten.class.len());
        }
    }
}
