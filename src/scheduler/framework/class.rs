//! [`Class`]: what is known of every node for pods that no plugin can tell apart.
//!
//! Nodes on which a decision can only fall alike, but for a score that each has of its own, form a group. A decision
//! compares the groups, of which there are few, and takes one of the best nodes of the best group. When a node
//! changes, it moves to another group or to another score within its own.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::points::{MAX_SCORE, Mark, NodeScore, Tally};
use super::verdict::{Diagnosis, Refusal};
use crate::random::Random;
use crate::scheduler::snapshot::{NodeInfo, Snapshot};

/// What was found out about one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    /// The plugin (by its place in their order) that refuses the node by what is on it alone, and why.
    pub(super) refusal: Option<(usize, Refusal)>,
    /// The sum of the scores that stand for themselves.
    pub(super) score: i64,
    /// The scores that are relative to those of other nodes.
    pub(super) relative: Vec<i64>,
    /// What each tally notes of it.
    pub(super) marks: Vec<Mark>,
}

/// Where a node is.
#[derive(Debug)]
struct Slot {
    group: usize,
    score: i64,
    /// Its place among the nodes of that score.
    at: usize,
    /// What each tally noted; empty where none noted anything.
    marks: Vec<Mark>,
}

/// Nodes that differ in their own scores only.
#[derive(Debug)]
struct Group {
    key: Vec<i64>,
    /// Which of the known refusals, where its nodes are refused by what is on them alone.
    refusal: Option<usize>,
    relative: Vec<i64>,
    keys: Vec<Vec<i64>>,
    by_score: BTreeMap<i64, Vec<usize>>,
    nodes: usize,
}

/// A plugin's tally, with the plugin's place in their order and what its scores count.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) plugin: usize,
    pub(super) weight: i64,
    pub(super) tally: Box<dyn Tally>,
}

/// A plugin's scores that are relative to each other.
pub(super) struct Relative<'a> {
    pub(super) weight: i64,
    pub(super) scores: Box<dyn NodeScore + 'a>,
}

/// What is known of every node for one class of pods.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) tallies: Vec<Counted>,
    slots: Vec<Option<Slot>>,
    groups: Vec<Group>,
    /// Groups without nodes, to be used again.
    spare: Vec<usize>,
    by_key: HashMap<Vec<i64>, usize>,
    /// All refusals that there have been.
    refusals: Vec<(usize, Refusal)>,
}

/// A node that was chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) position: usize,
    pub(super) feasible: usize,
}

impl Class {
    pub(super) fn new(tallies: Vec<Counted>) -> Self {
        Self { tallies, ..Self::default() }
    }

    /// How many nodes are known.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Notes what was found out about the node at `position`.
    pub(super) fn set(&mut self, position: usize, finding: Finding) {
        self.clear(position);
        let refusal = finding.refusal.map(|(plugin, refusal)| self.refusal(plugin, refusal));
        let mut key = vec![refusal.map_or(-1, number)];
        key.extend(&finding.relative);
        for mark in &finding.marks {
            key.push(number(mark.key.len()));
            key.extend(&mark.key);
        }
        let group = match self.by_key.get(&key) {
            Some(group) => *group,
            None => self.add_group(key, refusal, finding.relative, &finding.marks),
        };
        let nodes = self.groups[group].by_score.entry(finding.score).or_default();
        nodes.push(position);
        let noted = finding.marks.iter().any(|mark| !mark.counted.is_empty() || !mark.key.is_empty());
        let marks = if noted { finding.marks } else { Vec::new() };
        let slot = Slot { group, score: finding.score, at: nodes.len() - 1, marks };
        self.groups[group].nodes += 1;
        if self.slots.len() <= position {
            self.slots.resize_with(position + 1, || None);
        }
        self.slots[position] = Some(slot);
    }

    /// Forgets the node at `position`.
    pub(super) fn clear(&mut self, position: usize) {
        let Some(slot) = self.slots.get_mut(position).and_then(Option::take) else { return };
        let nothing = Mark::default();
        for (index, counted) in self.tallies.iter_mut().enumerate() {
            counted.tally.leave(slot.marks.get(index).unwrap_or(&nothing));
        }
        let group = &mut self.groups[slot.group];
        group.nodes -= 1;
        if let Some(nodes) = group.by_score.get_mut(&slot.score) {
            nodes.swap_remove(slot.at);
            if let Some(moved) = nodes.get(slot.at)
                && let Some(moved) = &mut self.slots[*moved]
            {
                moved.at = slot.at;
            }
            if nodes.is_empty() {
                group.by_score.remove(&slot.score);
            }
        }
        if group.nodes == 0 {
            self.by_key.remove(&std::mem::take(&mut group.key));
            self.spare.push(slot.group);
        }
    }

    /// Forgets the nodes from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.slots.len() > len {
            self.clear(self.slots.len() - 1);
            self.slots.pop();
        }
    }

    fn refusal(&mut self, plugin: usize, refusal: Refusal) -> usize {
        let known = self.refusals.iter().position(|(by, other)| *by == plugin && *other == refusal);
        known.unwrap_or_else(|| {
            self.refusals.push((plugin, refusal));
            self.refusals.len() - 1
        })
    }

    fn add_group(&mut self, key: Vec<i64>, refusal: Option<usize>, relative: Vec<i64>, marks: &[Mark]) -> usize {
        let keys = marks.iter().map(|mark| mark.key.clone()).collect();
        let group = Group { key: key.clone(), refusal, relative, keys, by_score: BTreeMap::new(), nodes: 0 };
        let index = if let Some(spare) = self.spare.pop() {
            self.groups[spare] = group;
            spare
        } else {
            self.groups.push(group);
            self.groups.len() - 1
        };
        self.by_key.insert(key, index);
        index
    }

    /// Who refuses a group first, in the order of the plugins, and why.
    fn verdict(&self, group: &Group) -> Result<(), (usize, Refusal)> {
        let alone = group.refusal.map(|index| &self.refusals[index]);
        for (counted, key) in self.tallies.iter().zip(&group.keys) {
            if alone.is_some_and(|(plugin, _)| *plugin < counted.plugin) {
                break;
            }
            counted.tally.check(key).map_err(|refusal| (counted.plugin, refusal))?;
        }
        alone.map_or(Ok(()), |refusal| Err(refusal.clone()))
    }

    fn open(&self) -> Vec<&Group> {
        let occupied = self.groups.iter().filter(|group| group.nodes > 0);
        // Most refusals are of the node alone: no need to make up a sentence then.
        occupied.filter(|group| group.refusal.is_none() && self.verdict(group).is_ok()).collect()
    }

    /// One of the best nodes; `None` where all refuse.
    pub(super) fn choose(&self, relative: &[Relative<'_>], cluster: &Snapshot, random: &Random) -> Option<Choice> {
        let open = self.open();
        let feasible = open.iter().map(|group| group.nodes).sum();
        let mut totals = vec![0; open.len()];
        if open.len() > 1 {
            self.compare(&open, relative, cluster, &mut totals);
        }
        let best_of = |group: &Group| group.by_score.last_key_value().map_or(0, |(score, _)| *score);
        let best = open.iter().zip(&totals).map(|(group, total)| best_of(group) + total).max()?;
        let tied = || {
            let groups = open.iter().zip(&totals).filter(|(group, total)| best_of(group) + *total == best);
            groups.filter_map(|(group, _)| group.by_score.last_key_value().map(|(_, nodes)| nodes))
        };
        let count = tied().map(Vec::len).sum();
        let mut drawn = if feasible > 1 { random.below(count) } else { 0 };
        for nodes in tied() {
            if let Some(position) = nodes.get(drawn) {
                return Some(Choice { position: *position, feasible });
            }
            drawn -= nodes.len();
        }
        None
    }

    /// Adds what the groups get beside the scores that their nodes have of their own.
    fn compare(&self, open: &[&Group], relative: &[Relative<'_>], cluster: &Snapshot, totals: &mut [i64]) {
        let one_of = |group: &&Group| -> Option<&NodeInfo> {
            let (_, nodes) = group.by_score.last_key_value()?;
            Some(&*cluster.nodes()[*nodes.first()?])
        };
        let nodes: Vec<&NodeInfo> =
            if relative.is_empty() { Vec::new() } else { open.iter().filter_map(one_of).collect() };
        for (index, Relative { weight, scores }) in relative.iter().enumerate() {
            let mut all: Vec<i64> = open.iter().map(|group| group.relative[index]).collect();
            scores.normalize(&nodes, &mut all);
            totals.iter_mut().zip(all).for_each(|(total, score)| *total += weight * score);
        }
        for (index, counted) in self.tallies.iter().enumerate().filter(|(_, counted)| counted.weight != 0) {
            let groups: Vec<_> = open.iter().map(|group| (group.keys[index].as_slice(), group.nodes)).collect();
            let scores = counted.tally.scores(&groups).into_iter().flatten();
            debug_assert!(scores.clone().all(|score| (0..=MAX_SCORE).contains(&score)));
            totals.iter_mut().zip(scores).for_each(|(total, score)| *total += counted.weight * score);
        }
    }

    /// Why every node refuses. `instead`: the refusal of one node that differs from what is known here.
    pub(super) fn diagnose(
        &self,
        plugins: &[&'static str],
        instead: Option<(usize, &'static str, Refusal)>,
    ) -> Diagnosis {
        let mut diagnosis = Diagnosis { nodes: self.slots.len(), ..Diagnosis::default() };
        let special = instead.as_ref().map(|(position, ..)| *position);
        let group_of = special.and_then(|position| self.slots.get(position)?.as_ref()).map(|slot| slot.group);
        for (index, group) in self.groups.iter().enumerate().filter(|(_, group)| group.nodes > 0) {
            let Err((plugin, refusal)) = self.verdict(group) else { continue };
            if refusal.resolvable {
                let nodes = group.by_score.values().flatten().copied();
                diagnosis.resolvable.extend(nodes.filter(|position| Some(*position) != special));
            }
            let others = group.nodes - usize::from(group_of == Some(index));
            if others > 0 {
                diagnosis.refuse(plugins[plugin], refusal, others);
            }
        }
        if let Some((position, plugin, refusal)) = instead {
            diagnosis.resolvable.extend(refusal.resolvable.then_some(position));
            diagnosis.refuse(plugin, refusal, 1);
        }
        diagnosis
    }
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
