//! The probes of a pod: when each is due, and what their outcomes amount to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use super::{Aspect, Outcome, seconds};
use crate::node::pod_worker::state::{PodState, Role, containers};
use crate::runtime::{ContainerId, ContainerState};

/// A container's aspect.
pub(in crate::node) type Key = (String, Aspect);

#[derive(Debug)]
struct Prober {
    id: ContainerId,
    container: Container,
    probe: Probe,
    due: Timestamp,
    in_flight: bool,
    last: Option<bool>,
    /// How often the last outcome came in a row.
    run: i32,
    /// What counts now.
    holds: Option<bool>,
}

/// A probe to be made now.
#[derive(Debug)]
pub(in crate::node) struct Due {
    pub(in crate::node) key: Key,
    pub(in crate::node) id: ContainerId,
    pub(in crate::node) container: Container,
    pub(in crate::node) probe: Probe,
}

/// What counts of an aspect from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Verdict {
    pub(in crate::node) holds: bool,
}

/// The probes of a pod.
#[derive(Debug, Default)]
pub(in crate::node) struct Table(BTreeMap<Key, Prober>);

impl Table {
    /// Begins the probes of containers that run, ends those of others, and tells what holds without a probe.
    pub(in crate::node) fn sync(&mut self, state: &mut PodState, now: Timestamp) {
        let ending = state.ending.is_some();
        let mut kept = Vec::new();
        let pod = Arc::clone(&state.pod);
        for (role, container) in pod.spec.iter().flat_map(containers) {
            if !matches!(role, Role::Main | Role::Sidecar) {
                continue;
            }
            let Some(instances) = state.containers.get_mut(&container.name) else { continue };
            let Some(last) = &instances.last else { continue };
            let ContainerState::Running { started_at } = last.state else { continue };
            if !instances.hooked {
                continue;
            }
            if container.startup_probe.is_none() {
                instances.started = true;
            }
            if instances.started && container.readiness_probe.is_none() {
                instances.ready = true;
            }
            for aspect in Aspect::ALL {
                let Some(probe) = aspect.of(&container) else { continue };
                // Others wait for the startup probe, and that ends with its success.
                if (aspect == Aspect::Startup) == instances.started || (ending && aspect != Aspect::Readiness) {
                    continue;
                }
                let key = (container.name.clone(), aspect);
                kept.push(key.clone());
                if self.0.get(&key).is_none_or(|prober| prober.id != last.id) {
                    let delay = u64::try_from(probe.initial_delay_seconds.unwrap_or(0)).unwrap_or(0);
                    let due = started_at.checked_add(Duration::from_secs(delay)).unwrap_or(Timestamp::MAX);
                    let prober = Prober {
                        id: last.id.clone(),
                        container: Container::clone(&container),
                        probe: probe.clone(),
                        due: due.max(now),
                        in_flight: false,
                        last: None,
                        run: 0,
                        holds: None,
                    };
                    self.0.insert(key, prober);
                }
            }
        }
        self.0.retain(|key, _| kept.contains(key));
    }

    /// The probes to be made now.
    pub(in crate::node) fn due(&mut self, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        for (key, prober) in &mut self.0 {
            if prober.due <= now && !prober.in_flight {
                prober.in_flight = true;
                let period = seconds(prober.probe.period_seconds, 10);
                prober.due = now.checked_add(period).unwrap_or(Timestamp::MAX);
                due.push(Due {
                    key: key.clone(),
                    id: prober.id.clone(),
                    container: prober.container.clone(),
                    probe: prober.probe.clone(),
                });
            }
        }
        due
    }

    /// When the next probe is due.
    pub(in crate::node) fn next(&self) -> Option<Timestamp> {
        self.0.values().filter(|prober| !prober.in_flight).map(|prober| prober.due).min()
    }

    /// Takes in an outcome; a verdict where it changes what counts.
    pub(in crate::node) fn record(&mut self, key: &Key, id: &ContainerId, outcome: &Outcome) -> Option<Verdict> {
        let prober = self.0.get_mut(key).filter(|prober| prober.id == *id)?;
        prober.in_flight = false;
        let well = match outcome {
            Outcome::Success => true,
            Outcome::Failure(_) => false,
            Outcome::Error(_) => return None, // counts neither way
        };
        prober.run = if prober.last == Some(well) { prober.run.saturating_add(1) } else { 1 };
        prober.last = Some(well);
        let threshold = if well { prober.probe.success_threshold } else { prober.probe.failure_threshold };
        if prober.run < threshold.unwrap_or(if well { 1 } else { 3 }) || prober.holds == Some(well) {
            return None;
        }
        prober.holds = Some(well);
        Some(Verdict { holds: well })
    }
}
