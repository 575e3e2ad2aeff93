//! [`Neighbours`]: what the pods that are there mean for a class of pods, counted by topology domain.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use super::{NOT_AWAY, NOT_NEAR, UNWELCOME, between_lowest_and_highest};
use crate::scheduler::framework::{Mark, Refusal, Tally};
use crate::scheduler::snapshot::{Namespaces, NodeInfo, PodInfo, Snapshot};

/// What is counted in a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Pods that match all of the class's affinity.
    near: i64,
    /// Pods that match its anti-affinity.
    away: i64,
    /// Pods whose anti-affinity matches it.
    unwelcome: i64,
    /// What the preferences, its own and those of others, add up to.
    worth: i64,
}

impl Counts {
    fn fields(self) -> [i64; 4] {
        [self.near, self.away, self.unwelcome, self.worth]
    }

    fn add(&mut self, fields: &[i64], sign: i64) {
        let all = [&mut self.near, &mut self.away, &mut self.unwelcome, &mut self.worth];
        all.into_iter().zip(fields).for_each(|(field, by)| *field += sign * by);
    }
}

/// A node label by which domains are told apart.
#[derive(Debug)]
struct Key {
    label: String,
    /// Each node is a domain of its own: its counts are in its key.
    on_node: bool,
    /// Whether required terms of the class name it.
    affinity: bool,
    anti_affinity: bool,
    values: HashMap<String, usize>,
    /// By number of the value.
    domains: Vec<Counts>,
}

/// What the pods that are there mean for a class of pods.
#[derive(Debug)]
pub(super) struct Neighbours {
    pod: Arc<PodInfo>,
    namespaces: Arc<Namespaces>,
    hard_weight: i64,
    /// Whether the class matches its own affinity: then one of it may be the first of its kind.
    goes_first: bool,
    keys: Vec<Key>,
    /// Pods counted as near, over all domains.
    near: i64,
}

/// How many numbers a key takes in a mark's `key` where each node is a domain, and where not; and in `counted`.
const ON_NODE: usize = 5;
const SHARED: usize = 1;
const COUNTED: usize = 5;

impl Neighbours {
    pub(super) fn of(pod: &Arc<PodInfo>, cluster: &Snapshot, hard_weight: i64) -> Self {
        let own = pod.affinity.iter().chain(&pod.anti_affinity).chain(pod.preferences.iter().map(|(_, term)| term));
        let mut labels: BTreeSet<&str> = own.map(|term| term.topology_key.as_str()).collect();
        if cluster.has_affinity() {
            let others = cluster.nodes().iter().filter(|node| node.has_affinity()).flat_map(|node| node.pods());
            for other in others.filter(|other| other.has_affinity()) {
                let soft = other.preferences.iter().map(|(_, term)| term);
                for term in other.affinity.iter().chain(&other.anti_affinity).chain(soft) {
                    if !labels.contains(&*term.topology_key) && term.matches(pod, &cluster.namespaces) {
                        labels.insert(&term.topology_key);
                    }
                }
            }
        }
        let keys = labels.into_iter().map(|label| Key {
            label: label.to_owned(),
            on_node: cluster.is_node_key(label),
            affinity: pod.affinity.iter().any(|term| term.topology_key == label),
            anti_affinity: pod.anti_affinity.iter().any(|term| term.topology_key == label),
            values: HashMap::default(),
            domains: Vec::new(),
        });
        Self {
            keys: keys.collect(),
            namespaces: Arc::clone(&cluster.namespaces),
            hard_weight,
            goes_first: pod.affinity.iter().all(|term| term.matches(pod, &cluster.namespaces)),
            pod: Arc::clone(pod),
            near: 0,
        }
    }

    /// What the pods on `node` count for, by key; `None` where a key is not known.
    fn count(&self, node: &NodeInfo) -> Option<Vec<Counts>> {
        let mut counts = vec![Counts::default(); self.keys.len()];
        let own = self.pod.has_affinity();
        if !own && !node.has_affinity() {
            return Some(counts);
        }
        let index = |label: &str| self.keys.iter().position(|key| key.label == label);
        let (pod, namespaces) = (&*self.pod, &*self.namespaces);
        for other in node.pods() {
            if own {
                if !pod.affinity.is_empty() && pod.affinity.iter().all(|term| term.matches(other, namespaces)) {
                    for term in &pod.affinity {
                        counts[index(&term.topology_key)?].near += 1;
                    }
                }
                for term in pod.anti_affinity.iter().filter(|term| term.matches(other, namespaces)) {
                    counts[index(&term.topology_key)?].away += 1;
                }
                for (weight, term) in pod.preferences.iter().filter(|(_, term)| term.matches(other, namespaces)) {
                    counts[index(&term.topology_key)?].worth += weight;
                }
            }
            for term in other.anti_affinity.iter().filter(|term| term.matches(pod, namespaces)) {
                counts[index(&term.topology_key)?].unwelcome += 1;
            }
            let hard = other.affinity.iter().map(|term| (self.hard_weight, term));
            let soft = other.preferences.iter().map(|(weight, term)| (*weight, term));
            for (weight, term) in hard.chain(soft).filter(|(_, term)| term.matches(pod, namespaces)) {
                counts[index(&term.topology_key)?].worth += weight;
            }
        }
        Some(counts)
    }

    /// What there is in the domains of a node with the key `key`; `None` where it is in none.
    fn domains<'s>(&'s self, key: &'s [i64]) -> impl Iterator<Item = (&'s Key, Option<Counts>)> {
        let mut rest = key;
        self.keys.iter().map(move |known| {
            let (mine, others) = rest.split_at(if known.on_node { ON_NODE } else { SHARED });
            rest = others;
            let counts = match mine {
                [located, near, away, unwelcome, worth] => {
                    (*located > 0).then_some(Counts { near: *near, away: *away, unwelcome: *unwelcome, worth: *worth })
                }
                _ => mine.first().and_then(|value| known.domains.get(usize::try_from(*value).ok()?)).copied(),
            };
            (known, counts)
        })
    }

    fn tally(&mut self, counted: &[i64], sign: i64) {
        for (key, counted) in self.keys.iter_mut().zip(counted.chunks(COUNTED)) {
            let Some(value) = counted.first().and_then(|value| usize::try_from(*value).ok()) else { continue };
            let fields = &counted[1..];
            self.near += sign * fields[0];
            if let Some(domain) = key.domains.get_mut(value) {
                domain.add(fields, sign);
            }
        }
    }
}

impl Tally for Neighbours {
    /// The key has, for a label whose domains are nodes, what there is on the node, and else the number of the value.
    fn enter(&mut self, node: &NodeInfo) -> Option<Mark> {
        let counts = self.count(node)?;
        let mut mark = Mark::default();
        for (key, counts) in self.keys.iter_mut().zip(counts) {
            let value = node.label(&key.label).map(|value| {
                if key.on_node {
                    return 0;
                }
                let known = key.values.get(value).copied();
                known.unwrap_or_else(|| {
                    key.domains.push(Counts::default());
                    key.values.insert(value.to_owned(), key.domains.len() - 1);
                    key.domains.len() - 1
                })
            });
            let number = value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
            if key.on_node {
                let Counts { near, away, unwelcome, worth } = if value.is_some() { counts } else { Counts::default() };
                let some = |count: i64| i64::from(count > 0);
                mark.key.extend([i64::from(value.is_some()), some(near), some(away), some(unwelcome), worth]);
            } else {
                mark.key.push(number);
            }
            mark.counted.push(number);
            mark.counted.extend(counts.fields());
        }
        self.tally(&mark.counted, 1);
        Some(mark)
    }

    fn leave(&mut self, mark: &Mark) {
        self.tally(&mark.counted, -1);
    }

    fn suits(&self, _: &PodInfo, cluster: &Snapshot) -> bool {
        Arc::ptr_eq(&self.namespaces, &cluster.namespaces)
    }

    fn check(&self, key: &[i64]) -> Result<(), Refusal> {
        let mut located = true;
        let mut met = true;
        let mut away = false;
        let mut unwelcome = false;
        for (key, counts) in self.domains(key) {
            located &= !key.affinity || counts.is_some();
            let counts = counts.unwrap_or_default();
            met &= !key.affinity || counts.near > 0;
            away |= key.anti_affinity && counts.away > 0;
            unwelcome |= counts.unwelcome > 0;
        }
        if !located || !(met || (self.goes_first && self.near == 0)) {
            return Err(Refusal::unresolvable(NOT_NEAR));
        }
        if away {
            return Err(Refusal::new(NOT_AWAY));
        }
        if unwelcome { Err(Refusal::new(UNWELCOME)) } else { Ok(()) }
    }

    fn scores(&self, groups: &[(&[i64], usize)]) -> Option<Vec<i64>> {
        let worth = |key| self.domains(key).filter_map(|(_, counts)| counts).map(|counts| counts.worth).sum();
        let mut scores: Vec<i64> = groups.iter().map(|(key, _)| worth(*key)).collect();
        between_lowest_and_highest(&mut scores);
        Some(scores)
    }
}
