//! Which pods make room on a node for one that is critical.
//!
//! Source: the kubelet's `preemption.CriticalPodAdmissionHandler`.

use super::admit::{Demand, Lack};
use super::pod_worker::Failure;
use crate::api::Quantity;

/// What a pod that has to go is told.
pub(super) const REASON: &str = "Preempting";
pub(super) const MESSAGE: &str = "Preempted in order to admit critical pod";

/// What the condition of one that goes says.
pub(super) const CONDITION: &str = "Pod was preempted by Kubelet to accommodate a critical pod.";

/// How a pod ends that makes room.
pub(super) fn failure() -> Failure {
    Failure { reason: REASON, message: MESSAGE.to_owned(), disruption: Some(CONDITION.to_owned()) }
}

/// What is still missing: resource and amount.
type Missing<'a> = Vec<(&'a str, Quantity)>;

/// Those of `others` (by key) that have to go so that `pod` finds what it lacks: as few and as small as possible, those
/// without requests first, those with guaranteed resources last.
///
/// # Errors
/// Where all of them together do not have enough.
pub(super) fn victims<'a, K: Copy>(
    pod: &Demand,
    lacks: &'a [Lack],
    others: impl Iterator<Item = (K, &'a Demand)>,
) -> Result<Vec<K>, String> {
    let mut classes = [("BestEffort", Vec::new()), ("Burstable", Vec::new()), ("Guaranteed", Vec::new())];
    for (key, demand) in others.filter(|(_, other)| pod.goes_before(other)) {
        let class = classes.iter_mut().find(|(class, _)| *class == demand.qos_class);
        class.into_iter().for_each(|(_, pods)| pods.push((key, demand)));
    }
    let [(_, best_effort), (_, burstable), (_, guaranteed)] = classes;
    let all: Missing<'a> = lacks.iter().map(|lack| (lack.resource.as_str(), lack.missing())).collect();
    let without = |sets: &[&[(K, &Demand)]]| sets.iter().copied().flatten().fold(all.clone(), |m, pod| less(m, pod.1));
    let left = without(&[&best_effort, &burstable, &guaranteed]);
    if !left.is_empty() {
        return Err(nobody(&left));
    }
    let guaranteed = nearest(guaranteed, without(&[&best_effort, &burstable]))?;
    let burstable = nearest(burstable, without(&[&best_effort, &guaranteed]))?;
    let best_effort = nearest(best_effort, without(&[&burstable, &guaranteed]))?;
    Ok([best_effort, burstable, guaranteed].into_iter().flatten().map(|(key, _)| key).collect())
}

fn nobody(missing: &Missing<'_>) -> String {
    let told: String = missing
        .iter()
        .map(|(resource, amount)| format!("(res: {resource}, q: {}), ", Lack::unit(resource, *amount)))
        .collect();
    format!("no set of running pods found to reclaim resources: [{told}]")
}

/// What is missing still when a pod has gone.
fn less<'a>(missing: Missing<'a>, pod: &Demand) -> Missing<'a> {
    let left = missing.into_iter().map(|(resource, amount)| (resource, amount - pod.request(resource)));
    left.filter(|(_, amount)| *amount > Quantity::ZERO).collect()
}

/// Takes pods until nothing is missing, each time the one that leaves least.
fn nearest<'a, K: Copy>(
    mut pods: Vec<(K, &'a Demand)>,
    mut missing: Missing<'_>,
) -> Result<Vec<(K, &'a Demand)>, String> {
    let mut taken = Vec::new();
    while !missing.is_empty() {
        let better = |a: &Demand, b: &Demand| {
            let order = distance(&missing, a).total_cmp(&distance(&missing, b));
            order.then_with(|| size(a).cmp(&size(b)))
        };
        let best = (0..pods.len()).min_by(|a, b| better(pods[*a].1, pods[*b].1));
        let best = best.ok_or_else(|| nobody(&missing))?;
        let pod = pods.swap_remove(best);
        missing = less(missing, pod.1);
        taken.push(pod);
    }
    Ok(taken)
}

/// How far what is missing is from being found when the pod goes: each resource counts by its share.
fn distance(missing: &Missing<'_>, pod: &Demand) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "shares are compared, not added up")]
    let share = |(resource, amount): &(&str, Quantity)| {
        let left = Lack::unit(resource, *amount - pod.request(resource)).max(0) as f64;
        (left / Lack::unit(resource, *amount).max(1) as f64).powi(2)
    };
    missing.iter().map(share).sum()
}

/// Of two that are as good the one that requests less memory goes, then the one that requests less CPU.
fn size(pod: &Demand) -> (Quantity, Quantity) {
    (pod.request("memory"), pod.request("cpu"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::node::AgentConfig;
    use crate::node::admit::{Taken, lacks};

    /// A pod of that priority with CPU and memory (MiB) requested, and limited to as much where it is guaranteed.
    fn pod(priority: i32, cpu: i64, memory: i64, guaranteed: bool) -> Demand {
        let amounts = json!({ "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") });
        let resources = match (cpu + memory, guaranteed) {
            (0, _) => json!({}),
            (_, true) => json!({ "requests": amounts, "limits": amounts }),
            (_, false) => json!({ "requests": amounts }),
        };
        let spec = json!({ "priority": priority, "containers": [{ "name": "main", "resources": resources }] });
        Demand::of(&serde_json::from_value::<Pod>(json!({ "spec": spec })).unwrap())
    }

    /// Who goes for a critical pod of that size on a node of 2 CPUs and 2 GiB.
    fn going(cpu: i64, memory: i64, others: &[Demand]) -> Result<Vec<usize>, String> {
        let config =
            AgentConfig::new("n1", [172, 16, 0, 1].into()).with_capacity("cpu", "2").with_capacity("memory", "2Gi");
        let critical = pod(2_000_000_000, cpu, memory, false);
        let lacks = lacks(&config.allocatable(), &critical, &others.iter().collect::<Taken>());
        victims(&critical, &lacks, others.iter().enumerate()).map(|mut going| {
            going.sort_unstable();
            going
        })
    }

    #[test]
    fn as_few_go_as_will_do_and_the_promised_ones_last() {
        let [small, large, promised] = [pod(0, 300, 100, false), pod(0, 900, 100, false), pod(0, 800, 100, true)];
        let others = [small, large, promised];
        assert_eq!(going(200, 100, &others), Ok(vec![0]), "the smaller of two that will do");
        assert_eq!(going(700, 100, &others), Ok(vec![1]), "one rather than two");
        assert_eq!(going(1200, 100, &others), Ok(vec![0, 1]));
        assert_eq!(going(1300, 100, &others), Ok(vec![1, 2]), "only what is missing after all others goes of them");
    }

    #[test]
    fn nobody_goes_for_nothing() {
        let others = [pod(2_000_000_001, 1500, 100, false), pod(0, 300, 100, false)];
        let error = going(1000, 100, &others).unwrap_err();
        assert_eq!(error, "no set of running pods found to reclaim resources: [(res: cpu, q: 500), ]");
        assert_eq!(going(400, 100, &others), Ok(vec![1]), "a more important one stays");
        let memory = [pod(0, 100, 1900, false), pod(0, 1800, 100, false)];
        assert_eq!(going(100, 1000, &memory), Ok(vec![0]), "who has what is missing");
    }
}
