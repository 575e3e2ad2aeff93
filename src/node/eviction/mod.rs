//! Eviction: a node that runs short of memory, disk or processes ends pods, and takes no more that would need them.
//!
//! `config` says what must not become low, `pressure` decides whether it has (a pure function of what was observed),
//! `rank` and `message` choose whom it costs and what is said, `local_storage` knows those who keep more than they may.
//! [`Eviction`] looks and acts.
//!
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/> and
//! `k8s.io/kubernetes/pkg/kubelet/eviction`.

pub(super) mod config;
pub(super) mod local_storage;
mod message;
mod pressure;
mod rank;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Taint};

use self::config::{Pressure, Signal, Threshold};
use self::pressure::{Observations, Watch, is_met, observe};
use self::rank::{Candidate, by_urgency, rank};
use super::agent::Workers;
use super::machine::Machine;
use super::oom::is_critical;
use super::pod_worker::Failure;
use super::reclaim::{self, Images};
use super::stats::summary::measure_now;
use crate::api::kinds::core::pod::qos_class;
use crate::api::rules::placement::tolerates;
use crate::api::stats::Scope;
use crate::client::{EventType, reference};
use crate::runtime::MachineStats;

/// The grace period of pods that are ended because a hard threshold is met, or a limit of their own.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the end of a pod is waited for before the node looks again, and how often it is looked for.
const CLEANED_UP: (u32, Duration) = (30, Duration::from_secs(1));
/// The reason of everything here.
const EVICTED: &str = "Evicted";

/// What a node knows of what it is short of.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    watch: Watch,
    /// The conditions that the node is in.
    conditions: BTreeSet<Pressure>,
    /// A machine that was short of nothing: while it stays as it was, there is nothing to work out.
    enough: Option<MachineStats>,
}

/// What a look has found.
#[derive(Debug)]
struct Found {
    machine: MachineStats,
    observations: Observations,
    /// The thresholds that call for something to be done, the most urgent first.
    due: Vec<Threshold>,
}

impl Eviction {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The conditions that the node is in.
    pub(super) fn conditions(&self) -> BTreeSet<Pressure> {
        self.known().conditions.clone()
    }

    /// Why the node does not take a pod now: reason and message.
    pub(super) fn refuses(&self, pod: &Pod) -> Option<(String, String)> {
        let known = self.known();
        let spec = pod.spec.as_ref().filter(|_| !known.conditions.is_empty() && !is_critical(pod))?;
        if known.conditions == BTreeSet::from([Pressure::Memory]) && takes_under_memory_pressure(spec) {
            return None;
        }
        let conditions: Vec<_> = known.conditions.iter().map(|pressure| pressure.condition()).collect();
        Some((EVICTED.to_owned(), format!("The node had condition: [{}]. ", conditions.join(" "))))
    }

    /// Looks at the machine. Whether there is something to be done, for [`Eviction::act`].
    pub(super) async fn look(&self, machine: &Machine) -> bool {
        let Some(stats) = measure(machine).await else { return false };
        if self.known().enough.is_some_and(|enough| is_as(&stats, &enough)) {
            return false;
        }
        let due = !self.find(machine, stats).due.is_empty();
        let mut known = self.known();
        known.enough = Some(stats).filter(|_| !due && known.watch == Watch::default());
        due
    }

    fn find(&self, machine: &Machine, stats: MachineStats) -> Found {
        let observations = observe(&stats);
        let mut known = self.known();
        let (mut due, conditions) = known.watch.update(&machine.config.eviction, &observations, machine.clock().now());
        known.conditions = conditions;
        due.sort_by(|a, b| by_urgency(a.signal, b.signal));
        Found { machine: stats, observations, due }
    }

    /// Does what there is to do, until nothing is short any more or nothing more can be done.
    pub(super) async fn act(&self, workers: &Workers, images: &Images) {
        loop {
            let evicted = self.once(workers, images).await;
            if evicted.is_empty() {
                return;
            }
            for _ in 0..CLEANED_UP.0 {
                workers.machine.clock().sleep(CLEANED_UP.1).await;
                if evicted.iter().all(|uid| workers.by_uid().get(uid).is_none_or(|handle| handle.is_over())) {
                    break;
                }
            }
        }
    }

    /// Ends the pods that keep more than they may, or else does what helps most against what is short. The UIDs of those
    /// that are ended.
    async fn once(&self, workers: &Workers, images: &Images) -> Vec<String> {
        let machine = &*workers.machine;
        let Some(stats) = measure(machine).await else { return Vec::new() };
        let found = self.find(machine, stats);
        let dedicated = found.machine.image_disk.is_some();
        if machine.config.eviction.local_storage {
            let evicted = limit_local_storage(workers, &found.machine).await;
            if !evicted.is_empty() {
                return evicted;
            }
        }
        let Some(first) = found.due.first().copied() else { return Vec::new() };
        if let Some(node) = machine.node() {
            let message = format!("Attempting to reclaim {}", first.signal.resource());
            machine.events.warning(&*node, "EvictionThresholdMet", message);
        }
        if reclaims(first.signal, dedicated) {
            reclaim::containers(workers).await;
            images.remove_unused(machine).await;
            let left = machine.runtime.machine().await.map(|stats| observe(&stats));
            let thresholds = &machine.config.eviction.thresholds;
            if left.is_ok_and(|left| !thresholds.iter().any(|threshold| is_met(threshold, &left, true))) {
                return Vec::new();
            }
        }
        let scope = if first.signal.pressure() == Pressure::Disk { Scope::All } else { Scope::CpuAndMemory };
        let mut candidates = candidates(workers, &found.machine, scope, |_| true).await;
        rank(&mut candidates, first.signal, dedicated);
        for candidate in &candidates {
            let (message, annotations) = message::of(candidate, &found.due, &found.observations);
            let grace = if first.is_hard() {
                AT_ONCE
            } else {
                let own = candidate.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
                let own = own.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
                own.unwrap_or(Duration::MAX).min(machine.config.eviction.longest_grace)
            };
            let failure = Failure { reason: EVICTED, disruption: Some(message.clone()), message };
            if let Some(uid) = evict(workers, &candidate.pod, failure, annotations, grace) {
                return vec![uid];
            }
        }
        Vec::new()
    }
}

/// What the machine has, where the runtime tells.
async fn measure(machine: &Machine) -> Option<MachineStats> {
    let stats = machine.runtime.machine().await;
    stats.inspect_err(|error| tracing::debug!(%error, "the runtime does not tell what the machine has")).ok()
}

/// Whether a machine has as much of everything as another.
fn is_as(one: &MachineStats, other: &MachineStats) -> bool {
    MachineStats { at: other.at, cpu_nanos: other.cpu_nanos, ..*one } == *other
}

/// Whether a node that is short of memory alone takes such a pod.
fn takes_under_memory_pressure(spec: &PodSpec) -> bool {
    let taint = Taint {
        key: "node.kubernetes.io/memory-pressure".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    qos_class(spec) != "BestEffort" || tolerates(spec.tolerations.as_deref().unwrap_or_default(), &taint)
}

/// Whether what the node itself keeps is what a signal is about: images and dead containers.
fn reclaims(signal: Signal, dedicated: bool) -> bool {
    match signal {
        Signal::ImageFsAvailable | Signal::ImageFsInodesFree => true,
        Signal::NodeFsAvailable | Signal::NodeFsInodesFree => !dedicated,
        Signal::MemoryAvailable | Signal::PidAvailable => false,
    }
}

/// The pods that may be ended, and what they use.
async fn candidates(
    workers: &Workers,
    machine: &MachineStats,
    scope: Scope,
    which: impl Fn(&PodSpec) -> bool,
) -> Vec<Candidate> {
    let active: Vec<Arc<Pod>> = {
        let by_uid = workers.by_uid();
        let states = by_uid.values().map(|handle| handle.state.lock().unwrap_or_else(PoisonError::into_inner));
        let active = states.filter(|state| state.is_active() && which(state.spec()));
        active.map(|state| Arc::clone(&state.pod)).collect()
    };
    let stats =
        measure_now(workers, machine, scope, |uid| active.iter().any(|pod| pod.metadata.uid.as_deref() == Some(uid)));
    let mut stats: BTreeMap<String, _> =
        stats.await.into_iter().map(|stats| (stats.pod_ref.uid.clone(), stats)).collect();
    let candidate =
        |pod: Arc<Pod>| Candidate { stats: pod.metadata.uid.as_ref().and_then(|uid| stats.remove(uid)), pod };
    active.into_iter().map(candidate).collect()
}

/// Ends the pods that keep more on the disk than they may.
async fn limit_local_storage(workers: &Workers, machine: &MachineStats) -> Vec<String> {
    let limited = candidates(workers, machine, Scope::All, local_storage::is_limited).await;
    let exceeding = limited.iter().filter_map(|candidate| {
        let message = local_storage::excess(&candidate.pod, candidate.stats.as_ref()?, machine.image_disk.is_some())?;
        let failure = Failure { reason: EVICTED, message, disruption: None };
        evict(workers, &candidate.pod, failure, BTreeMap::new(), AT_ONCE)
    });
    exceeding.collect()
}

/// Ends a pod, and says so. Its UID; none where it is one that the node cannot do without.
fn evict(
    workers: &Workers,
    pod: &Pod,
    failure: Failure,
    annotations: BTreeMap<String, String>,
    grace: Duration,
) -> Option<String> {
    if is_critical(pod) {
        tracing::warn!(pod = pod.metadata.name, "a critical pod is not evicted");
        return None;
    }
    let uid = pod.metadata.uid.clone()?;
    let message = failure.message.clone();
    let by_uid = workers.by_uid();
    by_uid.get(&uid)?.fail(failure, Some(grace));
    let events = &workers.machine.events;
    events.record_annotated(reference(pod), EventType::Warning, EVICTED, message, annotations);
    Some(uid)
}
