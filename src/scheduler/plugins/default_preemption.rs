//! DefaultPreemption: an important pod takes the place of less important ones.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::api::rules::label::{selector_matches, selects_everything};
use crate::random::Random;
use crate::scheduler::framework::{Diagnosis, Filters, Nomination, Plugin, PostFilter, Refusal, Remedy};
use crate::scheduler::snapshot::{NodeInfo, PodInfo, Snapshot};

/// Clears a node for a pod that fits nowhere, by removing pods of lower priority: as few and as unimportant as will
/// do, and against a disruption budget only where there is no other way.
#[derive(Clone, Debug)]
pub struct DefaultPreemption {
    random: Random,
    /// The search ends when this share of the nodes that come into question would do …
    min_percentage: usize,
    /// … but not before so many would.
    min_absolute: usize,
}

impl DefaultPreemption {
    /// With upstream's limits; `random` says at which node the search begins.
    pub fn new(random: Random) -> Self {
        Self { random, min_percentage: 10, min_absolute: 100 }
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
struct Candidate {
    node: String,
    /// The most important first.
    victims: Vec<Arc<PodInfo>>,
    violations: usize,
}

fn start_time(pod: &PodInfo) -> Timestamp {
    let start = pod.pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    start.map_or(Timestamp::MAX, |time| time.0)
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

impl Candidate {
    /// By what candidates are compared: the least is the best.
    fn cost(&self) -> impl Ord + use<> {
        let highest = self.victims.first().map_or(i32::MIN, |pod| pod.priority());
        // Each victim counts, be its priority negative.
        let sum: i64 = self.victims.iter().map(|pod| i64::from(pod.priority()) + i64::from(i32::MAX) + 1).sum();
        let most_important = self.victims.iter().filter(|pod| pod.priority() == highest);
        let earliest = most_important.map(|pod| start_time(pod)).min();
        (self.violations, highest, sum, self.victims.len(), Reverse(earliest))
    }
}

impl PostFilter for DefaultPreemption {
    fn remedy(&self, pod: &Arc<PodInfo>, cluster: &Snapshot, filters: &Filters<'_>, diagnosis: &Diagnosis) -> Remedy {
        if let Err(message) = eligible(pod, cluster, diagnosis) {
            return Remedy { message: format!("preemption: {message}"), nomination: Nomination::Keep };
        }
        let helpful = |node: &&Arc<NodeInfo>| diagnosis.before.is_empty() && diagnosis.is_resolvable(node.name());
        let nodes: Vec<_> = cluster.nodes().iter().filter(helpful).collect();
        let enough = (nodes.len() * self.min_percentage / 100).max(self.min_absolute).min(nodes.len());
        let offset = self.random.below(nodes.len());
        let mut account = Diagnosis {
            nodes: cluster.nodes().len(),
            others: Some("Preemption is not helpful for scheduling".into()),
            ..Diagnosis::default()
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for index in 0..nodes.len() {
            let node = nodes[(offset + index) % nodes.len()];
            match victims(pod, node, cluster, filters) {
                Ok(candidate) => candidates.push(candidate),
                Err(refusal) => {
                    account.refusals.insert(node.name().to_owned(), (self.name(), refusal));
                }
            }
            if candidates.len() >= enough && candidates.iter().any(|candidate| candidate.violations == 0) {
                break;
            }
        }
        match candidates.into_iter().min_by_key(Candidate::cost) {
            None => Remedy { message: format!("preemption: {account}"), nomination: Nomination::Clear },
            Some(Candidate { node, victims, .. }) => {
                Remedy { message: String::new(), nomination: Nomination::Node { name: node, victims } }
            }
        }
    }
}

fn eligible(pod: &PodInfo, cluster: &Snapshot, diagnosis: &Diagnosis) -> Result<(), &'static str> {
    if pod.spec().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never") {
        return Err("not eligible due to preemptionPolicy=Never.");
    }
    let Some(name) = pod.nominated_node() else { return Ok(()) };
    let lost = diagnosis.refusals.get(name).is_some_and(|(_, refusal)| !refusal.resolvable);
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
fn victims(pod: &PodInfo, node: &NodeInfo, cluster: &Snapshot, filters: &Filters<'_>) -> Result<Candidate, Refusal> {
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
    let mut candidate = Candidate { node: node.name().to_owned(), victims: Vec::new(), violations: 0 };
    for (other, is_protected) in protected.into_iter().map(|p| (p, true)).chain(free.into_iter().map(|p| (p, false))) {
        supposed.suppose(&other, &mut cleared);
        if supposed.check_with_nominated(&cleared).is_err() {
            supposed.suppose_gone(&other, &mut cleared);
            candidate.violations += usize::from(is_protected);
            candidate.victims.push(other);
        }
    }
    candidate.victims.sort_by_key(|other| importance(other));
    Ok(candidate)
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
