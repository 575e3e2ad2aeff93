//! A pod worker as the agent holds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::plan::grace_period;
use super::state::{Ending, PodState};
use super::worker::Worker;
use crate::node::admit::Demand;
use crate::node::machine::Machine;
use crate::runtime::{EventKind, SandboxStatus};

/// What is wanted of a pod.
#[derive(Clone, Debug)]
pub(in crate::node) struct Wanted {
    /// Its latest version.
    pub(in crate::node) pod: Arc<Pod>,
    /// Whether the API has it no more.
    pub(in crate::node) gone: bool,
    /// Why the node refuses it: reason and message.
    pub(in crate::node) refused: Option<(String, String)>,
}

/// A worker, as the agent holds it. Dropping it aborts the worker and leaves the pod running.
#[derive(Debug)]
pub(in crate::node) struct Handle {
    pub(in crate::node) wanted: watch::Sender<Wanted>,
    pub(in crate::node) state: Arc<Mutex<PodState>>,
    /// What the pod takes of the node, in that generation.
    pub(in crate::node) demand: (Option<i64>, Demand),
    poke: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Handle {
    /// Starts a worker. `finished` is called when the pod is no more.
    pub(in crate::node) fn start(
        machine: &Arc<Machine>,
        wanted: Wanted,
        demand: Demand,
        known: Option<SandboxStatus>,
        finished: impl FnOnce(&str) + Send + 'static,
    ) -> Self {
        let pod = Arc::clone(&wanted.pod);
        let mut state =
            PodState::new(Arc::clone(&pod), machine.config.address, accepted_at(&pod, machine.clock().now()));
        state.refused = wanted.refused.clone();
        state.remember_restarts();
        state.sandbox = known;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let ended = matches!(phase, Some("Succeeded" | "Failed"));
        if ended {
            state.ending = Some(Ending { grace: Duration::ZERO, failure: None, done: state.sandbox.is_none() });
        }
        let frozen = ended && state.sandbox.is_none();
        let state = Arc::new(Mutex::new(state));
        let (wanted, receiver) = watch::channel(wanted);
        let poke = Arc::new(Notify::new());
        let worker = Worker::new(Arc::clone(machine), Arc::clone(&state), receiver, Arc::clone(&poke), frozen);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let task = tokio::spawn(async move {
            worker.run().await;
            finished(&uid);
        });
        let demand = (pod.metadata.generation, demand);
        Self { wanted, state, demand, poke, _task: AbortOnDropHandle::new(task) }
    }

    /// Passes on the latest version of the pod, or that the API has it no more.
    pub(in crate::node) fn change(&mut self, pod: &Arc<Pod>, gone: bool) {
        if self.demand.0 != pod.metadata.generation {
            self.demand = (pod.metadata.generation, Demand::of(pod));
        }
        self.wanted.send_modify(|wanted| (wanted.pod, wanted.gone) = (Arc::clone(pod), wanted.gone || gone));
    }

    /// The pod as its worker knows it.
    pub(in crate::node) fn pod(&self) -> Arc<Pod> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).pod)
    }

    /// Ends the pod, for a reason of the node's: it has failed. Whether it had not been ending.
    pub(in crate::node) fn end(&self, reason: &'static str, message: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ending.is_some() {
            return false;
        }
        let failure = Some((reason, message.to_owned()));
        state.ending = Some(Ending { grace: grace_period(&state.pod), failure, done: false });
        drop(state);
        self.poke.notify_one();
        true
    }

    /// Whether the pod takes nothing of the node any more, or never did.
    pub(in crate::node) fn is_over(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refused.is_some() || state.ending.as_ref().is_some_and(|ending| ending.done)
    }

    /// Something has happened in the runtime.
    pub(in crate::node) fn poke(&self, _: &EventKind) {
        self.poke.notify_one();
    }
}

fn accepted_at(pod: &Pod, now: Timestamp) -> Timestamp {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    started.map_or(now, |time| time.0)
}
