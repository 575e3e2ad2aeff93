//! [`Census`]: how many pods of a kind are in each domain, for a class of pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;

use super::{BROKEN, Constraint, HOSTNAME, NO_LABEL, PodTopologySpread, constraints, evened, weighted};
use crate::scheduler::framework::{Mark, Refusal, Tally};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// A domain: on how many nodes it is counted, and how many pods there are.
#[derive(Clone, Copy, Debug, Default)]
struct Domain {
    nodes: i64,
    pods: i64,
}

/// The count of one constraint.
#[derive(Debug)]
struct Count {
    constraint: Constraint,
    /// Each node is a domain of its own: its count is in its key.
    on_node: bool,
    /// Whether a pod of the class counts itself.
    itself: bool,
    values: HashMap<String, usize>,
    /// By number of the value.
    domains: Vec<Domain>,
    /// How many domains have so many pods; of domains that are nodes, too.
    levels: BTreeMap<i64, usize>,
}

impl Count {
    fn new(constraint: Constraint, pod: &PodInfo, on_node: bool) -> Self {
        let itself = constraint.selects(pod);
        Self { constraint, on_node, itself, values: HashMap::default(), domains: Vec::new(), levels: BTreeMap::new() }
    }

    fn number(&mut self, value: &str) -> usize {
        if let Some(number) = self.values.get(value) {
            return *number;
        }
        self.domains.push(Domain::default());
        self.values.insert(value.to_owned(), self.domains.len() - 1);
        self.domains.len() - 1
    }

    fn level(&mut self, pods: i64, add: bool) {
        let domains = self.levels.entry(pods).or_default();
        *domains = if add { *domains + 1 } else { domains.saturating_sub(1) };
        if *domains == 0 {
            self.levels.remove(&pods);
        }
    }

    /// Counts a node of a domain in or out, with so many pods.
    fn count(&mut self, value: i64, pods: i64, sign: i64) {
        if self.on_node {
            return self.level(pods, sign > 0);
        }
        let Some(domain) = usize::try_from(value).ok().and_then(|value| self.domains.get(value).copied()) else {
            return;
        };
        if domain.nodes > 0 {
            self.level(domain.pods, false);
        }
        let domain = Domain { nodes: domain.nodes + sign, pods: domain.pods + sign * pods };
        if domain.nodes > 0 {
            self.level(domain.pods, true);
        }
        if let Some(place) = usize::try_from(value).ok().and_then(|value| self.domains.get_mut(value)) {
            *place = domain;
        }
    }

    fn pods(&self, value: i64) -> i64 {
        usize::try_from(value).ok().and_then(|value| self.domains.get(value)).map_or(0, |domain| domain.pods)
    }

    /// What the domain with the fewest pods has.
    fn lowest(&self) -> i64 {
        if self.constraint.min_domains > 1 && self.levels.values().sum::<usize>() < self.constraint.min_domains {
            return 0;
        }
        self.levels.first_key_value().map_or(0, |(pods, _)| *pods)
    }
}

/// How many pods of a kind are in each domain, for each constraint of a class of pods.
#[derive(Debug)]
pub(super) struct Census {
    plugin: PodTopologySpread,
    pod: Arc<PodInfo>,
    hard: Vec<Count>,
    soft: Vec<Count>,
    /// Whether nodes without one of the labels of the soft constraints score nothing.
    all_keys: bool,
}

/// What a key has for each constraint: the number of the domain (or 1 where it is the node), -1 where the label is
/// missing; and the pods on the node, where that is the domain.
const PARTS: usize = 2;

fn no_label(parts: &[i64]) -> bool {
    parts[0] < 0
}

impl Census {
    pub(super) fn of(plugin: &PodTopologySpread, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Self {
        let hard = constraints(pod, "DoNotSchedule").into_iter().map(|constraint| {
            let on_node = cluster.is_node_key(&constraint.key);
            Count::new(constraint, pod, on_node)
        });
        let (soft, all_keys) = plugin.soft(pod, cluster);
        let soft = soft.into_iter().map(|constraint| {
            let on_node = constraint.key == HOSTNAME;
            Count::new(constraint, pod, on_node)
        });
        Self { plugin: *plugin, pod: Arc::clone(pod), hard: hard.collect(), soft: soft.collect(), all_keys }
    }

    /// Counts a node in, where `counts`, and adds to `mark` what is noted of it.
    fn enter_one(pod: &PodInfo, count: &mut Count, node: &NodeInfo, counts: bool, mark: &mut Mark) -> bool {
        let Some(value) = node.label(&count.constraint.key) else {
            mark.key.extend([-1, 0]);
            mark.counted.extend([-1, 0]);
            return false;
        };
        let included = counts && count.constraint.includes(node, pod);
        let pods = count.constraint.count_on(node, pod);
        if count.on_node {
            mark.key.extend([1, pods]);
            mark.counted.extend([if included { 1 } else { -1 }, pods]);
        } else {
            let value = i64::try_from(count.number(value)).unwrap_or(i64::MAX);
            mark.key.extend([value, 0]);
            mark.counted.extend([if included { value } else { -1 }, pods]);
        }
        if included {
            let value = mark.key[mark.key.len() - PARTS];
            count.count(value, pods, 1);
        }
        included
    }

    fn is_ignored(&self, soft: &[i64]) -> bool {
        self.all_keys && soft.chunks(PARTS).any(no_label)
    }
}

impl Tally for Census {
    fn enter(&mut self, node: &NodeInfo) -> Option<Mark> {
        let mut mark = Mark::default();
        let has = |counts: &[Count]| counts.iter().all(|count| node.label(&count.constraint.key).is_some());
        let counts = has(&self.hard);
        for count in &mut self.hard {
            let included = Self::enter_one(&self.pod, count, node, counts, &mut mark);
            // Where the node is not one of those that are compared, it stands alone: nobody is there.
            if let Some(pods) = mark.key.last_mut().filter(|_| !included) {
                *pods = 0;
            }
        }
        let counts = !self.all_keys || has(&self.soft);
        for count in &mut self.soft {
            Self::enter_one(&self.pod, count, node, counts, &mut mark);
        }
        Some(mark)
    }

    fn leave(&mut self, mark: &Mark) {
        for (count, counted) in self.hard.iter_mut().chain(&mut self.soft).zip(mark.counted.chunks(PARTS)) {
            if counted[0] >= 0 {
                count.count(counted[0], counted[1], -1);
            }
        }
    }

    fn suits(&self, pod: &PodInfo, cluster: &Snapshot) -> bool {
        let (soft, all_keys) = self.plugin.soft(pod, cluster);
        all_keys == self.all_keys && soft.iter().eq(self.soft.iter().map(|count| &count.constraint))
    }

    fn refuses(&self) -> bool {
        !self.hard.is_empty()
    }

    fn check(&self, key: &[i64]) -> Result<(), Refusal> {
        for (count, parts) in self.hard.iter().zip(key.chunks(PARTS)) {
            if no_label(parts) {
                return Err(Refusal::unresolvable(NO_LABEL));
            }
            let here = if count.on_node { parts[1] } else { count.pods(parts[0]) };
            if here + i64::from(count.itself) - count.lowest() > count.constraint.max_skew {
                return Err(Refusal::new(BROKEN));
            }
        }
        Ok(())
    }

    fn scores(&self, groups: &[(&[i64], usize)]) -> Option<Vec<i64>> {
        if self.soft.is_empty() {
            return None;
        }
        let soft: Vec<&[i64]> = groups.iter().map(|(key, _)| &key[self.hard.len() * PARTS..]).collect();
        let kept: Vec<bool> = soft.iter().map(|soft| !self.is_ignored(soft)).collect();
        let domains = self.soft.iter().enumerate().map(|(index, count)| {
            let kept = groups.iter().zip(&soft).zip(&kept).filter(|(_, kept)| **kept).map(|(group, _)| group);
            if count.on_node {
                kept.map(|((_, nodes), _)| *nodes).sum()
            } else {
                kept.map(|(_, soft)| soft[index * PARTS]).collect::<BTreeSet<_>>().len()
            }
        });
        let domains: Vec<usize> = domains.collect();
        let score = |soft: &&[i64]| {
            let counts = self.soft.iter().zip(soft.chunks(PARTS)).zip(&domains);
            let located = counts.filter(|((_, parts), _)| !no_label(parts));
            weighted(located.map(|((count, parts), domains)| {
                let pods = if count.on_node { parts[1] } else { count.pods(parts[0]) };
                (pods, *domains, count.constraint.max_skew)
            }))
        };
        let mut scores: Vec<i64> = soft.iter().map(score).collect();
        evened(&mut scores, &kept);
        Some(scores)
    }
}
