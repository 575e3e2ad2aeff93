//! DefaultPreemption: an important pod takes the place of less important ones.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::api::rules::label::{selector_matches, selects_everything};
use crate::random::Random;
use crate::scheduler::framework::{Diagnosis, Filters, Nomination, Plugin, PostFilter, Refusal, Remedy};
use crate::scheduler::snapshot::{Moment, NodeInfo, PodInfo, Snapshot};

/// Clears a node for a pod that fits nowhere, by removing pods of lower priority: as few and as unimportant as will
/// do, and against a disruption budget only where there is no other way.
#[derive(Clone, Debug)]
pub struct DefaultPreemption {
    random: Random,
    /// The search ends when this share of the nodes that come into question would do …
    min_percentage: usize,
    /// … but not before so many would.
    min_absolute: usize,
    memory: Arc<Mutex<Memory>>,
}

impl DefaultPreemption {
    /// With upstream's limits; `random` says at which node the search begins.
    pub fn new(random: Random) -> Self {
        Self { random, min_percentage: 10, min_absolute: 100, memory: Arc::default() }
    }

    /// With other limits to the search.
    #[must_use]
    pub fn candidates(mut self, min_percentage: u8, min_absolute: usize) -> Self {
        (self.min_percentage, self.min_absolute) = (min_percentage.min(100).into(), min_absolute);
        self
    }
}

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }
}

/// A node that would do, and what it would cost.
#[derive(Clone, Debug)]
struct Candidate {
    position: usize,
    /// The most important first.
    victims: Arc<[Arc<PodInfo>]>,
    cost: Cost,
}

/// By what candidates are compared, the least being the best: broken disruption budgets, the highest priority among
/// the victims, the sum of their priorities, their number, and how late the most important of them was started.
type Cost = (usize, i32, i64, usize, Reverse<Option<Timestamp>>);

/// For how many classes of pods it is remembered what the nodes would cost.
const REMEMBERED: usize = 8;

/// What was worked out of each node for pods of some class. It stands until the node changes.
#[derive(Debug, Default)]
struct Memory {
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    pod: Arc<PodInfo>,
    moment: Moment,
    budgets: Arc<Vec<Arc<PodDisruptionBudget>>>,
    /// By the node's position.
    candidates: Vec<Option<Result<Candidate, Refusal>>>,
}

impl Memory {
    /// Takes out what is known for pods like `pod`, as far as it still stands.
    fn take(&mut self, pod: &Arc<PodInfo>, cluster: &Snapshot) -> Known {
        let same = |known: &Known| {
            known.pod.is_of_the_class_of(pod)
                && known.moment.is_of(cluster)
                && Arc::ptr_eq(&known.budgets, &cluster.budgets)
        };
        let known = self.known.iter().position(same).and_then(|index| self.known.remove(index));
        let mut known = known.unwrap_or_else(|| Known {
            pod: Arc::clone(pod),
            moment: cluster.moment(),
            budgets: Arc::clone(&cluster.budgets),
            candidates: Vec::new(),
        });
        match cluster.changed_since(&known.moment) {
            Some(changed) => changed.for_each(|position| {
                if let Some(candidate) = known.candidates.get_mut(position) {
                    *candidate = None;
                }
            }),
            None => known.candidates.clear(),
        }
        known.candidates.resize_with(cluster.nodes().len(), || None);
        known.moment = cluster.moment();
        known
    }

    fn keep(&mut self, known: Known) {
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(known);
    }
}

fn start_time(pod: &PodInfo) -> Timestamp {
    pod.start_time().unwrap_or(Timestamp::MAX)
}

/// The order of importance: by priority, then by age. The most important is the least.
fn importance(pod: &PodInfo) -> (Reverse<i32>, Timestamp) {
    (Reverse(pod.priority()), start_time(pod))
}

fn is_being_preempted(pod: &PodInfo) -> bool {
    let conditions = pod.pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let target = conditions.into_iter().find(|condition| condition.type_ == "DisruptionTarget");
    pod.is_terminating()
        && target.is_some_and(|c| c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler"))
}

fn cost(victims: &[Arc<PodInfo>], violations: usize) -> Cost {
    let highest = victims.first().map_or(i32::MIN, |pod| pod.priority());
    // Each victim counts, be its priority negative.
    let sum: i64 = victims.iter().map(|pod| i64::from(pod.priority()) + i64::from(i32::MAX) + 1).sum();
    let most_important = victims.iter().filter(|pod| pod.priority() == highest);
    let earliest = most_important.map(|pod| start_time(pod)).min();
    (violations, highest, sum, victims.len(), Reverse(earliest))
}

impl PostFilter for DefaultPreemption {
    fn remedy(&self, pod: &Arc<PodInfo>, cluster: &Snapshot, filters: &Filters<'_>, diagnosis: &Diagnosis) -> Remedy {
        if let Err(message) = eligible(pod, cluster, diagnosis) {
            return Remedy { message: format!("preemption: {message}"), nomination: Nomination::Keep };
        }
        let nodes = &diagnosis.resolvable;
        let enough = (nodes.len() * self.min_percentage / 100).max(self.min_absolute).min(nodes.len());
        let offset = self.random.below(nodes.len());
        let mut account = Diagnosis {
            nodes: cluster.nodes().len(),
            others: Some("Preemption is not helpful for scheduling".into()),
            ..Diagnosis::default()
        };
        let memory = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = filters.are_local().then(|| memory().take(pod, cluster));
        let own = pod.nominated_node().and_then(|name| cluster.position(name));
        let (mut found, mut spares_budgets, mut best) = (0, false, None::<Candidate>);
        for index in 0..nodes.len() {
            let position = nodes[(offset + index) % nodes.len()];
            // On the node that is being cleared for it already, it does not stand in its own way: one of its class does.
            let place = known.as_mut().filter(|_| own != Some(position)).map(|known| &mut known.candidates[position]);
            let work_out = || victims(pod, position, cluster, filters);
            let mut unknown = None;
            match place.unwrap_or(&mut unknown).get_or_insert_with(work_out) {
                Ok(candidate) => {
                    found += 1;
                    spares_budgets |= candidate.cost.0 == 0;
                    if best.as_ref().is_none_or(|best| candidate.cost < best.cost) {
                        best = Some(candidate.clone());
                    }
                }
                // Why others do not serve is of interest only where none does.
                Err(refusal) if best.is_none() => account.refuse(self.name(), refusal.clone(), 1),
                Err(_) => {}
            }
            if found >= enough && spares_budgets {
                break;
            }
        }
        if let Some(known) = known {
            memory().keep(known);
        }
        match best {
            None => Remedy { message: format!("preemption: {account}"), nomination: Nomination::Clear },
            Some(candidate) => {
                let name = cluster.nodes()[candidate.position].name().to_owned();
                let victims = candidate.victims.to_vec();
                Remedy { message: String::new(), nomination: Nomination::Node { name, victims } }
            }
        }
    }
}

fn eligible(pod: &PodInfo, cluster: &Snapshot, diagnosis: &Diagnosis) -> Result<(), &'static str> {
    if pod.spec().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never") {
        return Err("not eligible due to preemptionPolicy=Never.");
    }
    let Some(name) = pod.nominated_node() else { return Ok(()) };
    let lost = cluster.position(name).is_none_or(|position| !diagnosis.resolvable.contains(&position));
    let leaving = |node: &Arc<NodeInfo>| {
        node.pods().iter().any(|other| other.priority() < pod.priority() && is_being_preempted(other))
    };
    if !lost && cluster.node(name).is_some_and(leaving) {
        return Err("not eligible due to a terminating pod on the nominated node.");
    }
    Ok(())
}

/// The pods that have to leave `node` for `pod`: all less important ones go in thought, and then come back, the most
/// important first, as long as the pod still fits.
fn victims(pod: &PodInfo, position: usize, cluster: &Snapshot, filters: &Filters<'_>) -> Result<Candidate, Refusal> {
    let node: &NodeInfo = &cluster.nodes()[position];
    let (mut supposed, mut cleared) = (filters.fork(), node.clone());
    let mut lesser: Vec<_> = node.pods().iter().filter(|other| other.priority() < pod.priority()).cloned().collect();
    if lesser.is_empty() {
        return Err(Refusal::unresolvable("No preemption victims found for incoming pod"));
    }
    for other in &lesser {
        supposed.suppose_gone(other, &mut cleared);
    }
    supposed.check_with_nominated(&cleared).map_err(|(_, refusal)| refusal)?;
    lesser.sort_by_key(|other| importance(other));
    let (protected, free) = by_budget(lesser, &cluster.budgets);
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (other, is_protected) in protected.into_iter().map(|p| (p, true)).chain(free.into_iter().map(|p| (p, false))) {
        supposed.suppose(&other, &mut cleared);
        if supposed.check_with_nominated(&cleared).is_err() {
            supposed.suppose_gone(&other, &mut cleared);
            violations += usize::from(is_protected);
            victims.push(other);
        }
    }
    victims.sort_by_key(|other| importance(other));
    Ok(Candidate { position, cost: cost(&victims, violations), victims: victims.into() })
}

/// Splits `pods` into those whose removal, after that of those before them, would break a disruption budget, and the
/// others.
fn by_budget(pods: Vec<Arc<PodInfo>>, budgets: &[Arc<PodDisruptionBudget>]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let status = |budget: &PodDisruptionBudget| budget.status.clone().unwrap_or_default();
    let mut allowed: Vec<i32> =
        budgets.iter().map(|budget| status(budget).disruptions_allowed.unwrap_or_default()).collect();
    pods.into_iter().partition(|pod| {
        let mut breaks = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            let covers =
                budget.metadata.namespace.as_deref() == Some(&*pod.key.namespace)
                    && pod.labels().is_some_and(|labels| !labels.is_empty())
                    && budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|selector| {
                        !selects_everything(selector) && selector_matches(selector, pod.labels())
                    });
            let counted = status(budget).disrupted_pods.is_some_and(|pods| pods.contains_key(&pod.key.name));
            if covers && !counted {
                *allowed -= 1;
                breaks |= *allowed < 0;
            }
        }
        breaks
    })
}
