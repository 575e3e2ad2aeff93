//! A pod worker as the agent holds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::plan::grace_period;
use super::recall;
use super::state::{Ending, Failure, PodState};
use super::wanted::Wanted;
use super::worker::Worker;
use crate::api::kinds::core::pod::is_terminal;
use crate::node::admit::Demand;
use crate::node::machine::Machine;
use crate::node::resize::{self, Pending, Resize, UnderWay};
use crate::runtime::{EventKind, SandboxStatus};

/// A worker, as the agent holds it. Dropping it aborts the worker and leaves the pod running.
#[derive(Debug)]
pub(in crate::node) struct Handle {
    wanted: Arc<Wanted>,
    pub(in crate::node) state: Arc<Mutex<PodState>>,
    /// What the pod takes of the node, in that generation.
    pub(in crate::node) demand: (Option<i64>, Demand),
    poke: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Handle {
    /// Starts a worker, of a pod that the node may have refused (for a reason, with a message). `finished` is called when
    /// the pod is no more.
    pub(in crate::node) fn start(
        machine: &Arc<Machine>,
        pod: &Arc<Pod>,
        refused: Option<(String, String)>,
        mut demand: Demand,
        known: Option<SandboxStatus>,
        finished: impl FnOnce(&str) + Send + 'static,
    ) -> Self {
        let mut state =
            PodState::new(Arc::clone(pod), Arc::clone(&machine.host), accepted_at(pod, machine.clock().now()));
        state.refused = refused;
        state.remember_restarts();
        let had = if known.is_some() { resize::recorded(pod) } else { BTreeMap::new() };
        if !had.is_empty() {
            state.resize = Some(Box::new(Resize { allocated: had, ..Resize::default() }));
            demand = Demand::of(&state.allocated_of(pod));
        }
        state.sandbox = known;
        let ended = is_terminal(pod);
        if ended {
            state.ending = Some(Ending { grace: Duration::ZERO, failure: None, done: state.sandbox.is_none() });
        }
        if state.ending.is_none() && state.sandbox.is_some() {
            state.ending = recall::ending(pod);
        }
        let frozen = ended && state.sandbox.is_none();
        let state = Arc::new(Mutex::new(state));
        let wanted = Arc::new(Wanted::new(Arc::clone(pod)));
        let poke = Arc::new(Notify::new());
        let mut worker =
            Worker::new(Arc::clone(machine), Arc::clone(&state), Arc::clone(&wanted), Arc::clone(&poke), frozen);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let task = tokio::spawn(async move {
            worker.run().await;
            finished(&uid);
        });
        let demand = (pod.metadata.generation, demand);
        Self { wanted, state, demand, poke, _task: AbortOnDropHandle::new(task) }
    }

    /// Passes on the latest version of the pod, or that the API has it no more. Whether it wants other resources than
    /// it has.
    pub(in crate::node) fn change(&mut self, pod: &Arc<Pod>, gone: bool) -> bool {
        let changed = self.demand.0 != pod.metadata.generation;
        if changed {
            let before = self.wanted();
            self.state().keep_resources(&before, pod);
            let allocated = self.state().allocated_of(pod);
            self.demand = (pod.metadata.generation, Demand::of(&allocated));
        }
        self.wanted.set(pod, gone);
        changed && self.wants_resize()
    }

    fn state(&self) -> MutexGuard<'_, PodState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pod wants other resources than it has.
    pub(in crate::node) fn wants_resize(&self) -> bool {
        let state = self.state();
        let over = state.refused.is_some() || state.ending.is_some();
        !over && state.resize.as_ref().is_some_and(|resize| !resize.allocated.is_empty() || resize.pending.is_some())
    }

    /// Whether it has been told that the API has the pod no more.
    pub(in crate::node) fn is_gone(&self) -> bool {
        self.wanted.is_gone()
    }

    /// Whether it waits for room.
    pub(in crate::node) fn is_deferred(&self) -> bool {
        let state = self.state();
        let pending = state.resize.as_ref().and_then(|resize| resize.pending.as_ref());
        state.ending.is_none() && pending.is_some_and(|why| why.reason == "Deferred")
    }

    /// Grants the pod what its spec wants, or notes why not. Whether that is new.
    pub(in crate::node) fn set_resize(&self, pending: Option<Pending>, under_way: UnderWay) -> bool {
        let mut state = self.state();
        let resize = state.resize.get_or_insert_default();
        let before = resize.pending.clone();
        resize.pending = pending;
        let new = if resize.pending.is_none() {
            resize.allocated.clear();
            resize.under_way = Some(under_way);
            true
        } else {
            resize.pending != before
        };
        state.touched = true;
        drop(state);
        self.poke.notify_one();
        new
    }

    /// The latest version that the worker has been told of.
    pub(in crate::node) fn wanted(&self) -> Arc<Pod> {
        self.wanted.pod()
    }

    /// The pod as its worker knows it.
    pub(in crate::node) fn pod(&self) -> Arc<Pod> {
        Arc::clone(&self.state().pod)
    }

    /// Ends the pod, for a reason of the node's: it has failed. Within its own grace period, or that one. Whether the
    /// node had not been ending it.
    pub(in crate::node) fn fail(&self, failure: Failure, grace: Option<Duration>) -> bool {
        let mut state = self.state();
        if !state.is_active() || (grace.is_none() && state.ending.is_some()) {
            return false;
        }
        let grace = grace.unwrap_or_else(|| grace_period(&state.pod));
        (state.ending, state.touched) = (Some(Ending { grace, failure: Some(failure), done: false }), true);
        drop(state);
        self.poke.notify_one();
        true
    }

    /// Has the worker look for sandboxes of the pod that it does not know, where `found` is one.
    pub(in crate::node) fn compare(&self, found: &SandboxStatus) {
        let mut state = self.state();
        if state.sandbox.as_ref().is_none_or(|known| known.id != found.id) {
            state.doubled = true;
            drop(state);
            self.poke.notify_one();
        }
    }

    /// Whether the pod takes nothing of the node any more, or never did.
    pub(in crate::node) fn is_over(&self) -> bool {
        let state = self.state();
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
