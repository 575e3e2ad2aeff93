//! The driver of one pod.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::Notify;

mod outcome;

use super::plan::{Action, Plan, backoff_key, full_name, grace_period, plan};
use super::recall;
use super::report::{self, Reported};
use super::start::{Failed, Start};
use super::state::{Condemned, Ending, PodState, Waiting};
use super::termination::{Killing, PodKilling, kill};
use super::wanted::Wanted;
use crate::api::ApiError;
use crate::client::EventType;
use crate::node::machine::Machine;
use crate::node::probe::{self, Due, Key, Outcome, Table};
use crate::node::restart::Backoff;
use crate::node::sandbox;
use crate::node::static_pod;
use crate::node::volume::Volumes;
use crate::runtime::{ContainerId, Result as RuntimeResult, RuntimeError, SandboxId, SandboxStatus};

/// The pause after a failure of the API or the runtime.
const RETRY: Duration = Duration::from_secs(1);
/// The pause after volumes could not be set up; each further failure doubles it, up to the longest.
const MOUNT_RETRY: Duration = Duration::from_millis(500);
const LONGEST_MOUNT_RETRY: Duration = Duration::from_secs(122);
/// The pause after which something else that failed is tried again.
const SYNC_RETRY: Duration = Duration::from_secs(10);

/// What came of an operation.
enum Done {
    Mounted(Result<Volumes, (String, String)>),
    Refreshed(Option<Volumes>),
    Sandboxed(RuntimeResult<SandboxStatus>),
    Started(String, Result<(), Failed>),
    Killed(String),
    Resized(String, RuntimeResult<()>),
}

/// Drives one pod.
pub(super) struct Worker {
    machine: Arc<Machine>,
    state: Arc<Mutex<PodState>>,
    wanted: Arc<Wanted>,
    poke: Arc<Notify>,
    backoff: Backoff,
    pulls: Arc<Mutex<Backoff>>,
    volumes: Arc<Volumes>,
    /// The pause after the next failure to set up volumes.
    mount_retry: Duration,
    /// When volumes whose content changes are brought up to date.
    refresh_at: Option<Timestamp>,
    /// The step under way.
    operation: Option<BoxFuture<'static, Done>>,
    /// Whether a step was interrupted, so that the runtime may have more of the pod than is known.
    interrupted: bool,
    /// The pod's end under way, and the grace period that it has.
    killing: Option<(Duration, BoxFuture<'static, ()>)>,
    /// The report under way.
    writing: Option<BoxFuture<'static, Result<Reported, ApiError>>>,
    /// When to try again to report.
    write_at: Option<Timestamp>,
    probes: Table,
    probing: FuturesUnordered<BoxFuture<'static, (Key, ContainerId, Outcome)>>,
    /// Whether something may have happened in the runtime since it was last asked.
    look: bool,
    /// When to ask the runtime again, which did not answer.
    look_at: Option<Timestamp>,
    /// Whether something may have happened to the pod since its status was last worked out.
    stale: bool,
    /// Whether the runtime has told what it has of the pod.
    adopted: bool,
    /// Whether the first report has begun.
    introduced: bool,
    /// Whether the pod had ended before this agent saw it: its status is not this agent's to write.
    frozen: bool,
    /// When the grace period ends of a pod that was ending before this agent saw it.
    inherited: Option<Timestamp>,
    /// Whether the API has the pod no more.
    gone: bool,
    /// Whether the API has been asked to delete the pod.
    deleted: bool,
    /// What was last written and came out otherwise, and the revision that it got: the same is not written over it
    /// again. A server that does not know a field of the status would be written to at every probe.
    written: Option<Box<(PodStatus, u64)>>,
}

impl Worker {
    pub(super) fn new(
        machine: Arc<Machine>,
        state: Arc<Mutex<PodState>>,
        wanted: Arc<Wanted>,
        poke: Arc<Notify>,
        frozen: bool,
    ) -> Self {
        let inherited = {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let deletion = state.pod.metadata.deletion_timestamp.as_ref().filter(|_| state.sandbox.is_some());
            // Which was cut to whole seconds.
            deletion.and_then(|at| at.0.checked_add(Duration::from_secs(1)).ok())
        };
        Self {
            machine,
            state,
            wanted,
            poke,
            backoff: Backoff::default(),
            pulls: Arc::default(),
            volumes: Arc::default(),
            mount_retry: MOUNT_RETRY,
            refresh_at: None,
            operation: None,
            interrupted: false,
            killing: None,
            writing: None,
            write_at: None,
            probes: Table::default(),
            probing: FuturesUnordered::new(),
            look: true,
            look_at: None,
            stale: true,
            adopted: false,
            introduced: false,
            frozen,
            inherited,
            gone: false,
            deleted: false,
            written: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, PodState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.machine.clock().now()
    }

    fn soon(&self, pause: Duration) -> Option<Timestamp> {
        self.now().checked_add(pause).ok()
    }

    /// Works until the pod is no more.
    pub(super) async fn run(&mut self) {
        loop {
            if std::mem::take(&mut self.look) || self.look_at.is_some_and(|at| at <= self.now()) {
                self.look_at = None;
                self.observe().await;
            }
            if self.operation.is_none() && self.killing.is_none() && self.state().doubled {
                self.remove_others().await;
            }
            self.take_wanted();
            let now = self.now();
            let wake = self.step(now);
            if self.gone && self.state().ending.as_ref().is_some_and(|ending| ending.done) {
                match self.remove().await {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "sandbox not removed"),
                }
                self.look_at = self.soon(RETRY);
            }
            self.probes.sync(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now);
            for due in self.probes.due(now) {
                self.start_probe(due);
            }
            // What is done at once is told together with what follows it.
            if self.introduced && self.at_once() {
                continue;
            }
            // What an agent before this one told stays until it is known what runs.
            if !self.gone && self.adopted {
                self.report();
            }
            let refresh = self.refresh_at.filter(|_| self.operation.is_none());
            let write = self.write_at.filter(|_| self.writing.is_none() && !self.gone);
            self.wait([wake, self.probes.next(), write, refresh, self.look_at].into_iter().flatten().min()).await;
        }
    }

    /// Removes what the runtime has of the pod: its sandbox, and others that there may be.
    async fn remove(&mut self) -> RuntimeResult<()> {
        if let Some(sandbox) = self.sandbox_id() {
            self.machine.runtime.remove_sandbox(&sandbox).await?;
        }
        let others = {
            let state = self.state();
            state.doubled || state.sandboxes > 1
        };
        if self.interrupted || others { self.remove_all_but(None).await } else { Ok(()) }
    }

    /// Removes all sandboxes of the pod but one.
    async fn remove_all_but(&mut self, kept: Option<SandboxId>) -> RuntimeResult<()> {
        let uid = self.state().pod.metadata.uid.clone().unwrap_or_default();
        let runtime = Arc::clone(&self.machine.runtime);
        for sandbox in runtime.sandboxes().await? {
            if sandbox.uid == uid && Some(&sandbox.id) != kept.as_ref() {
                runtime.remove_sandbox(&sandbox.id).await?;
            }
        }
        Ok(())
    }

    /// Removes sandboxes of the pod that an agent before this one was still making when it ended.
    async fn remove_others(&mut self) {
        let known = self.sandbox_id();
        match self.remove_all_but(known).await {
            Ok(()) => self.state().doubled = false,
            Err(error) => {
                tracing::warn!(%error, "sandbox of an earlier agent not removed");
                self.look_at = self.soon(RETRY);
            }
        }
    }

    /// Asks the runtime how the pod is.
    async fn observe(&mut self) {
        let Some(known) = self.sandbox_id() else {
            self.adopted = true;
            return;
        };
        let runtime = &self.machine.runtime;
        let sandbox = match runtime.sandbox_status(&known).await {
            Ok(sandbox) => Some(sandbox),
            Err(error) if error.is_not_found() => None,
            Err(error) => return self.not_observed(&error),
        };
        let found = match &sandbox {
            Some(sandbox) => match runtime.containers(&sandbox.id).await {
                Ok(found) => found,
                Err(error) => return self.not_observed(&error),
            },
            None => Vec::new(),
        };
        let adopted = std::mem::replace(&mut self.adopted, true);
        let shared = Arc::clone(&self.state);
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        self.stale |= state.observe(sandbox, found);
        if !adopted {
            // Containers that ran before this agent did are past their hooks.
            state.containers.values_mut().for_each(|instances| instances.hooked = instances.is_running());
            recall::containers(&mut state, &mut self.backoff, &self.machine.runtime_name);
        }
    }

    /// The runtime does not answer: all is taken to be as it was, and asked for again soon.
    fn not_observed(&mut self, error: &RuntimeError) {
        tracing::debug!(%error, "the runtime does not tell how a pod is");
        self.look_at = self.soon(RETRY);
    }

    /// Takes over the latest version of the pod.
    fn take_wanted(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.stale |= std::mem::take(&mut state.touched);
        if let Some((pod, gone)) = self.wanted.take() {
            self.stale |= gone && !self.gone;
            self.gone |= gone;
            // What this worker wrote may be newer than what has come back to it; a static pod has no versions.
            if revision(&pod) > revision(&state.pod) && !static_pod::is_static(&state.pod) {
                state.pod = pod;
                self.stale = true;
            }
        }
        if self.gone && state.ending.is_none() {
            let grace = grace_period(&state.pod);
            state.ending = Some(Ending { grace, failure: None, done: false });
        }
    }

    /// Begins the next step, where none is under way. When to look again although nothing happens.
    fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        if !self.adopted {
            return None; // what runs is not known
        }
        self.end_resize();
        let Plan { action, wake, waiting } = plan(&self.state(), &self.backoff, now);
        for (name, why) in waiting {
            self.wait_for_restart(&name, why);
        }
        match action {
            Some(Action::End(ending)) => {
                self.stale = true;
                self.state().ending = Some(ending);
            }
            Some(action) if self.operation.is_none() => {
                self.stale = true;
                self.operation = self.begin(action, now);
            }
            _ => {}
        }
        self.end();
        if self.operation.is_none() && self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.operation = Some(self.refresh());
        }
        wake
    }

    fn wait_for_restart(&mut self, name: &str, why: Waiting) {
        let mut state = self.state();
        let pod = Arc::clone(&state.pod);
        let instances = state.containers.entry(name.to_owned()).or_default();
        if instances.waiting.as_ref() == Some(&why) {
            return;
        }
        instances.waiting = Some(why);
        drop(state);
        self.stale = true;
        let message = format!("Back-off restarting failed container {name} in pod {}", full_name(&pod));
        self.machine.container_event(&pod, name, EventType::Warning, "BackOff", message);
    }

    /// Ends the pod, where it is to end: cancels the step under way and kills what runs. A grace period that has
    /// become shorter begins anew.
    fn end(&mut self) {
        let state = self.state();
        let Some(ending) = state.ending.clone().filter(|ending| !ending.done) else { return };
        let deletion = state.pod.metadata.deletion_timestamp.as_ref().map(|_| grace_period(&state.pod));
        let grace = deletion.map_or(ending.grace, |deletion| deletion.min(ending.grace));
        if self.killing.as_ref().is_some_and(|(current, _)| *current <= grace) {
            return;
        }
        // What an agent before this one began goes on where it was.
        let over = self.inherited.filter(|_| deletion.is_some());
        let left = over.map_or(grace, |over| grace.min(self.machine.clock().until(over)));
        let killing = PodKilling::new(&self.machine, &state, left);
        drop(state);
        self.interrupted |= self.operation.take().is_some();
        self.killing = Some((grace, Box::pin(killing.run())));
    }

    fn begin(&mut self, action: Action, now: Timestamp) -> Option<BoxFuture<'static, Done>> {
        let machine = Arc::clone(&self.machine);
        let pod = Arc::clone(&self.state().pod);
        Some(match action {
            Action::End(_) => return None,
            Action::Mount => {
                let (earlier, sandbox) = (Arc::clone(&self.volumes), self.sandbox_id());
                Box::pin(async move {
                    let volumes = Volumes::set_up(&machine, &pod, &earlier).await;
                    if let (Ok(volumes), Some(sandbox)) = (&volumes, sandbox) {
                        volumes.show(&*machine.runtime, &sandbox).await;
                    }
                    Done::Mounted(volumes.map_err(|(volume, error)| (volume, error.0)))
                })
            }
            Action::CreateSandbox(attempt) => {
                let old = self.state().sandbox.clone();
                Box::pin(async move { Done::Sandboxed(sandbox::create(&machine, &pod, attempt, old).await) })
            }
            Action::Start(name) => {
                let mut state = self.state();
                let sandbox = state.sandbox.clone()?;
                let instances = state.containers.entry(name.clone()).or_default();
                (instances.hooked, instances.started, instances.ready, instances.condemned) = Default::default();
                let (attempt, ended) = (instances.attempts, instances.exit().map(|exit| exit.finished_at));
                drop(state);
                if let Some(ended) = ended {
                    self.backoff.lengthen(&backoff_key(&name), ended, now);
                }
                let pod = self.state().allocated_of(&pod);
                let (volumes, pulls) = (Arc::clone(&self.volumes), Arc::clone(&self.pulls));
                let start = Start { machine, pod, sandbox, name: name.clone(), attempt, volumes, pulls };
                Box::pin(async move { Done::Started(name, start.run().await) })
            }
            Action::Resize(name, limits) => {
                let id = self.state().instances(&name)?.last.as_ref()?.id.clone();
                Box::pin(async move { Done::Resized(name, machine.runtime.update_resources(&id, limits).await) })
            }
            Action::Kill(name, Condemned { message, grace }) => {
                let state = self.state();
                let id = state.instances(&name)?.last.as_ref()?.id.clone();
                let (sandbox, grace) = (state.sandbox.clone()?, grace.unwrap_or_else(|| grace_period(&pod)));
                drop(state);
                let killing = Killing { machine, pod, sandbox, container: name.clone(), id, grace, message };
                Box::pin(async move {
                    kill(killing).await;
                    Done::Killed(name)
                })
            }
        })
    }

    fn refresh(&self) -> BoxFuture<'static, Done> {
        let (machine, earlier) = (Arc::clone(&self.machine), Arc::clone(&self.volumes));
        let sandbox = self.sandbox_id();
        let pod = Arc::clone(&self.state().pod);
        Box::pin(async move {
            let volumes = Volumes::set_up(&machine, &pod, &earlier).await.ok();
            if let (Some(volumes), Some(sandbox)) = (&volumes, sandbox) {
                volumes.show(&*machine.runtime, &sandbox).await;
            }
            Done::Refreshed(volumes)
        })
    }

    fn sandbox_id(&self) -> Option<SandboxId> {
        self.state().sandbox.as_ref().map(|sandbox| sandbox.id.clone())
    }

    fn start_probe(&mut self, due: Due) {
        let Some(sandbox) = self.state().sandbox.clone() else { return };
        let machine = Arc::clone(&self.machine);
        self.probing.push(Box::pin(async move {
            let outcome = probe::probe(machine, sandbox, due.container, due.id.clone(), due.probe).await;
            (due.key, due.id, outcome)
        }));
    }

    /// Reports what has changed, where no report is under way; deletes the pod when all is said.
    fn report(&mut self) {
        if self.writing.is_some() || self.write_at.is_some_and(|at| self.now() < at) {
            return;
        }
        self.write_at = None;
        let state = self.state();
        let pod = Arc::clone(&state.pod);
        let over = state.ending.as_ref().is_some_and(|ending| ending.done) || state.refused.is_some();
        let status = self.stale.then(|| report::status(&self.machine, &state, &pod));
        drop(state);
        self.stale = false;
        let news = |status: &PodStatus| {
            let said = |written: &(PodStatus, u64)| written.0 == *status && written.1 == revision(&pod);
            pod.status.as_ref() != Some(status) && !self.written.as_deref().is_some_and(said)
        };
        if let Some(status) = status.filter(|status| !self.frozen && news(status)) {
            self.written = Some(Box::new((status.clone(), 0)));
            let (machine, state) = (Arc::clone(&self.machine), Arc::clone(&self.state));
            self.writing = Some(Box::pin(report::write(machine, state, pod, status)));
        } else if over && pod.metadata.deletion_timestamp.is_some() && !self.deleted {
            self.deleted = true;
            self.writing = Some(Box::pin(report::delete(Arc::clone(&self.machine), pod)));
        }
    }

    /// Waits until something happens.
    async fn wait(&mut self, until: Option<Timestamp>) {
        // The first report is made before anything is done for the pod, so that its containers are seen waiting even
        // where they start at once.
        if !self.introduced
            && let Some(writing) = &mut self.writing
        {
            self.introduced = true;
            if let Some(result) = writing.now_or_never() {
                self.writing = None;
                return self.reported(result);
            }
        }
        let clock = *self.machine.clock();
        let timer: OptionFuture<_> = until.map(|until| clock.sleep_until(until)).into();
        tokio::select! {
            biased;
            Some(done) = OptionFuture::from(self.operation.as_mut()) => self.finished(done),
            Some(()) = OptionFuture::from(self.killing.as_mut().map(|(_, killing)| killing)) => self.killed(),
            Some(result) = OptionFuture::from(self.writing.as_mut()) => {
                self.writing = None;
                self.reported(result);
            }
            Some((key, id, outcome)) = self.probing.next() => {
                self.stale = true;
                self.probed(&key, &id, &outcome);
            }
            () = self.poke.notified() => self.look = true,
            () = self.wanted.changed() => {}
            Some(()) = timer => self.stale = true,
        }
    }

    /// Takes what is done without waiting for anything; what does wait is asked again by [`Self::wait`], which then wakes.
    /// Whether there was something.
    fn at_once(&mut self) -> bool {
        if let Some(done) = self.operation.as_mut().and_then(FutureExt::now_or_never) {
            self.finished(done);
            return true;
        }
        let killed = self.killing.as_mut().is_some_and(|(_, killing)| killing.now_or_never().is_some());
        if killed {
            self.killed();
        }
        killed
    }

    fn finished(&mut self, done: Done) {
        (self.operation, self.look, self.stale) = (None, true, true);
        self.finish(done);
    }

    fn killed(&mut self) {
        (self.killing, self.look, self.stale) = (None, true, true);
        if let Some(ending) = &mut self.state().ending {
            ending.done = true;
        }
        self.machine.make_room();
    }

    fn reported(&mut self, result: Result<Reported, ApiError>) {
        match result {
            Ok(Reported::Written(pod)) => {
                // What came to be as it was written needs no other memory than the pod.
                self.written.take_if(|written| pod.status.as_ref() == Some(&written.0));
                if let Some(written) = &mut self.written {
                    written.1 = revision(&pod);
                }
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if revision(&pod) >= revision(&state.pod) {
                    // What was written knows nothing of a spec that changed meanwhile.
                    self.stale |= pod.metadata.generation != state.pod.metadata.generation;
                    state.pod = pod;
                }
                let is_static = static_pod::is_static(&state.pod);
                drop(state);
                if is_static {
                    self.machine.mirrors.note();
                }
            }
            Ok(Reported::Gone) => self.gone = true,
            Err(error) => {
                tracing::debug!(%error, "pod status not written");
                (self.written, self.deleted, self.stale) = (None, false, true);
                self.write_at = self.soon(RETRY);
            }
        }
    }
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}
