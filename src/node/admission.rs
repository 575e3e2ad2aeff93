//! Taking pods in: what happens to one that is new, and to one that wants more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio_util::task::AbortOnDropHandle;

use super::admit::{Demand, Lack, Taken, Verdict, admit, lacks};
use super::agent::Workers;
use super::pod_worker::Handle;
use super::pod_worker::state::PodState;
use super::preempt;
use super::register::initial;
use super::resize::{self, Pending, UnderWay};
use super::sysctl;
use crate::api::Quantity;
use crate::api::rules::resources::amount_of;
use crate::client::EventType;

/// Pods that are not started yet, by UID, and who will start them.
pub(super) type Held = BTreeMap<String, (Arc<Pod>, AbortOnDropHandle<()>)>;

/// What the pods of a node took together when so many had ended.
#[derive(Debug)]
pub(super) struct Totals {
    taken: Taken,
    endings: u64,
}

impl Workers {
    /// Starts a pod that is not to be found in the API.
    pub(super) fn accept(self: &Arc<Self>, uid: String, pod: &Arc<Pod>) {
        self.start(uid, pod, self.by_uid(), false);
    }

    /// Gives a new pod its worker, unless others have to make room for it first. `current`: whether the node was looked at
    /// for it.
    pub(super) fn start(
        self: &Arc<Self>,
        uid: String,
        pod: &Arc<Pod>,
        mut workers: MutexGuard<'_, BTreeMap<String, Handle>>,
        current: bool,
    ) {
        let demand = Demand::of(pod);
        let refused = match self.verdict(pod, &demand, &workers) {
            Verdict::Admitted => None,
            // Labels and taints may have changed since they were seen.
            Verdict::Refused((reason, _)) if !current && matches!(&*reason, "NodeAffinity" | "TaintToleration") => {
                drop(workers);
                return self.start_with_current_node(uid, pod);
            }
            Verdict::Refused(refusal) => Some(refusal),
            Verdict::Lacking(lacks) => match self.make_room(pod, &demand, &lacks, &workers) {
                Ok(victims) => {
                    drop(workers);
                    return self.start_after(uid, pod, victims);
                }
                Err(error) => Some((
                    "UnexpectedAdmissionError".to_owned(),
                    format!("Unexpected error while attempting to recover from admission failure: {error}"),
                )),
            },
        };
        let refused = refused.map(|(reason, why)| {
            self.machine.event(pod, EventType::Warning, &reason, why.clone());
            (reason, format!("Pod was rejected: {why}"))
        });
        let known = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            // Oldest first: one before the last is a leftover, and goes with those of pods that are no more.
            found.iter().rposition(|sandbox| sandbox.uid == uid).map(|at| found.remove(at))
        };
        let weak: Weak<Self> = Arc::downgrade(self);
        let finished = move |uid: &str| {
            if let Some(workers) = weak.upgrade() {
                workers.finish(uid);
            }
        };
        let handle = Handle::start(&self.machine, pod, refused, demand, known, finished);
        if let Some(totals) = &mut *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
            && !handle.is_over()
        {
            totals.taken.add(&handle.demand.1);
        }
        workers.insert(uid.clone(), handle);
        // What it has may be another than its spec wants: an agent before this one may have been about to change it.
        let resize = workers.get(&uid).is_some_and(Handle::wants_resize);
        drop(workers);
        if resize {
            self.resize(&uid);
        }
    }

    /// Whether the node takes a pod that it has not seen before.
    fn verdict(&self, pod: &Pod, demand: &Demand, workers: &BTreeMap<String, Handle>) -> Verdict {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let had = found.iter().any(|sandbox| Some(&sandbox.uid) == pod.metadata.uid.as_ref());
        drop(found);
        // What an agent before this one has taken stays.
        if had || phase.is_some_and(|phase| phase != "Pending") || pod.metadata.deletion_timestamp.is_some() {
            return Verdict::Admitted;
        }
        if let Some(refusal) = self.eviction.refuses(pod) {
            return Verdict::Refused(refusal);
        }
        let config = &self.machine.config;
        let (node, Some(spec)) = (self.machine.node(), &pod.spec) else { return Verdict::Admitted };
        if let Some(refusal) = sysctl::refuses(spec, &config.allowed_unsafe_sysctls) {
            return Verdict::Refused(refusal);
        }
        let node = node.unwrap_or_else(|| Arc::new(initial(config)));
        self.totals(workers, |taken| admit(&self.machine.allocatable, &node, spec, demand, taken))
    }

    /// What the pods of the node take together: added up anew only where one has ended or changed since.
    fn totals<R>(&self, workers: &BTreeMap<String, Handle>, read: impl FnOnce(&Taken) -> R) -> R {
        let endings = self.machine.endings();
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let current = totals.take().filter(|totals| totals.endings == endings);
        let add_up = || workers.values().filter(|handle| !handle.is_over()).map(|handle| &handle.demand.1).collect();
        read(&totals.insert(current.unwrap_or_else(|| Totals { taken: add_up(), endings })).taken)
    }

    /// Ends pods that are less important, so that a critical one finds what it lacks: those that it must wait for.
    fn make_room(
        &self,
        pod: &Pod,
        demand: &Demand,
        lacks: &[Lack],
        workers: &BTreeMap<String, Handle>,
    ) -> Result<Vec<Arc<Mutex<PodState>>>, String> {
        let others = workers.iter().filter(|(_, handle)| !handle.is_over());
        let others = others.map(|(uid, handle)| (uid.as_str(), &handle.demand.1));
        let victims = preempt::victims(demand, lacks, others);
        let victims =
            victims.map_err(|error| format!("preemption: error finding a set of pods to preempt: {error}"))?;
        tracing::info!(pod = pod.metadata.name, count = victims.len(), "pods make room for a critical one");
        let handles = victims.into_iter().filter_map(|uid| workers.get(uid));
        let ended = handles.map(|handle| {
            if handle.fail(preempt::failure(), None) {
                self.machine.event(&handle.pod(), EventType::Warning, preempt::REASON, preempt::MESSAGE);
            }
            Arc::clone(&handle.state)
        });
        Ok(ended.collect())
    }

    /// Starts a pod when others have ended.
    fn start_after(self: &Arc<Self>, uid: String, pod: &Arc<Pod>, victims: Vec<Arc<Mutex<PodState>>>) {
        let machine = Arc::clone(&self.machine);
        self.hold(uid, pod, false, async move {
            loop {
                let ended = machine.ended.notified();
                let is_over = |state: &Arc<Mutex<PodState>>| {
                    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.ending.as_ref().is_some_and(|ending| ending.done)
                };
                if victims.iter().all(is_over) {
                    return;
                }
                ended.await;
            }
        });
    }

    /// Looks at the node, and then at the pod once more.
    fn start_with_current_node(self: &Arc<Self>, uid: String, pod: &Arc<Pod>) {
        let machine = Arc::clone(&self.machine);
        self.hold(uid, pod, true, async move {
            match machine.client.all::<Node>().get(&machine.config.name).await {
                Ok(node) => machine.set_node(node),
                Err(error) => tracing::debug!(%error, "the node is judged by what it was"),
            }
        });
    }

    /// Keeps a pod waiting for something before it is started.
    fn hold(
        self: &Arc<Self>,
        uid: String,
        pod: &Arc<Pod>,
        current: bool,
        ready: impl Future<Output = ()> + Send + 'static,
    ) {
        let (weak, key) = (Arc::downgrade(self), uid.clone());
        let mut held = self.held(); // so that it is there when it is ready
        let task = tokio::spawn(async move {
            ready.await;
            if let Some(workers) = weak.upgrade() {
                let found = workers.held().remove(&key);
                if let Some((pod, this)) = found {
                    workers.start(key, &pod, workers.by_uid(), current);
                    drop(this); // this task, which has nothing left to do
                }
            }
        });
        held.insert(uid, (Arc::clone(pod), AbortOnDropHandle::new(task)));
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants a pod the resources that its spec wants now, where there is room for them, or says why not.
    pub(super) fn resize(self: &Arc<Self>, uid: &str) {
        let mut workers = self.by_uid();
        let taken: Taken = workers
            .iter()
            .filter(|(other, handle)| *other != uid && !handle.is_over())
            .map(|(_, h)| &h.demand.1)
            .collect();
        let Some(handle) = workers.get(uid) else { return };
        let pod = handle.wanted();
        let (wanted, generation) = (Demand::of(&pod), pod.metadata.generation);
        let allocatable = &self.machine.allocatable;
        let capacity = |name: &str| amount_of(Some(allocatable), name).unwrap_or(Quantity::ZERO);
        let grows = |lack: &&Lack| wanted.request(&lack.resource) > handle.demand.1.request(&lack.resource);
        let pending = match resize::beyond(&wanted.requests, capacity) {
            _ if wanted.is_static => {
                Some(Pending::infeasible("In-place resize of static-pods is not supported".to_owned(), generation))
            }
            Some(why) => Some(Pending::infeasible(why, generation)),
            // What takes less is granted on a node that is too full as well.
            None => {
                lacks(allocatable, &wanted, &taken).iter().find(grows).map(|lack| Pending::deferred(lack, generation))
            }
        };
        let Some(handle) = workers.get_mut(uid) else { return };
        let (reason, kind, message) = match &pending {
            Some(why) => {
                let told = resize::told(&pod, generation, Some(&why.message));
                let event = if why.reason == "Deferred" { "ResizeDeferred" } else { "ResizeInfeasible" };
                (event, EventType::Warning, format!("Pod resize {}: {told}", why.cause))
            }
            None => {
                let told = resize::told(&pod, generation, None);
                ("ResizeStarted", EventType::Normal, format!("Pod resize started: {told}"))
            }
        };
        let deferred = pending.as_ref().is_some_and(|why| why.reason == "Deferred");
        let granted = pending.is_none();
        if handle.set_resize(pending, UnderWay { generation, error: None }) {
            self.machine.event(&pod, kind, reason, message);
        }
        if granted {
            handle.demand = (generation, wanted);
        }
        drop(workers);
        if deferred {
            self.retry_resizes();
        } else if granted {
            self.machine.make_room(); // it may take less
        }
    }

    /// Tries again whenever a pod has ended or changed, for as long as one waits.
    fn retry_resizes(self: &Arc<Self>) {
        let mut resizing = self.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        if resizing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (machine, weak) = (Arc::clone(&self.machine), Arc::downgrade(self));
        let task = tokio::spawn(async move {
            loop {
                let ended = machine.ended.notified();
                let Some(workers) = weak.upgrade() else { return };
                let waiting = workers.deferred();
                if waiting.is_empty() {
                    return;
                }
                for uid in waiting {
                    workers.resize(&uid);
                }
                drop(workers);
                ended.await;
            }
        });
        *resizing = Some(AbortOnDropHandle::new(task));
    }

    /// The pods that wait for room to be resized: the most important first, and of those the one that waits longest.
    fn deferred(&self) -> Vec<String> {
        let workers = self.by_uid();
        let waiting = workers.iter().filter(|(_, handle)| handle.is_deferred());
        let mut waiting: Vec<_> = waiting.map(|(uid, handle)| (handle.demand.1.rank(), uid.clone())).collect();
        waiting.sort();
        waiting.into_iter().map(|(_, uid)| uid).collect()
    }
}
