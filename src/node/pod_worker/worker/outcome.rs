//! What comes of a worker's steps, and of its probes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

use super::{Done, LONGEST_MOUNT_RETRY, SYNC_RETRY, Worker};
use crate::client::EventType;
use crate::node::pod_worker::start::Failed;
use crate::node::pod_worker::state::{Condemned, Instances, Waiting, container, containers, spec};
use crate::node::probe::{Aspect, Key, Outcome};
use crate::node::resize;
use crate::node::volume::Volumes;
use crate::runtime::{ContainerId, Result as RuntimeResult};

impl Worker {
    pub(super) fn finish(&mut self, done: Done) {
        let pod = Arc::clone(&self.state().pod);
        match done {
            Done::Mounted(Ok(volumes)) => {
                self.volumes = Arc::new(volumes);
                self.refresh_at =
                    if Volumes::change(&pod) { self.soon(self.machine.config.sync_interval) } else { None };
                let mut state = self.state();
                (state.mounted, state.retry_at) = (true, None);
            }
            Done::Mounted(Err((volume, why))) => {
                let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
                self.machine.event(&pod, EventType::Warning, "FailedMount", message);
                self.state().retry_at = self.soon(self.mount_retry);
                self.mount_retry = (self.mount_retry * 2).min(LONGEST_MOUNT_RETRY);
            }
            Done::Refreshed(volumes) => {
                if let Some(volumes) = volumes {
                    self.volumes = Arc::new(volumes);
                }
                self.refresh_at = self.soon(self.machine.config.sync_interval);
            }
            Done::Sandboxed(Ok(sandbox)) => {
                let mut state = self.state();
                state.retry_at = None;
                state.sandboxes = sandbox.attempt + 1;
                state.sandbox = Some(sandbox);
            }
            Done::Sandboxed(Err(error)) => {
                let message = format!("Failed to create pod sandbox: rpc error: code = Unknown desc = {error}");
                self.machine.event(&pod, EventType::Warning, "FailedCreatePodSandBox", message);
                self.state().retry_at = self.soon(SYNC_RETRY);
            }
            Done::Started(name, result) => self.started(&name, result),
            Done::Resized(name, result) => self.resized(&name, result),
            Done::Killed(name) => {
                if let Some(instances) = self.state().containers.get_mut(&name) {
                    instances.condemned = None;
                }
            }
        }
    }

    fn started(&mut self, name: &str, result: Result<(), Failed>) {
        let now = self.now();
        let pull = {
            let pod = Arc::clone(&self.state().pod);
            let found = container(spec(&pod), name);
            let image = found.as_ref().and_then(|(_, found)| found.image.as_deref());
            let pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            image.and_then(|image| pulls.until_since_update(image, now))
        };
        let (soon, later) = (self.soon(crate::node::images::RETRY), self.soon(SYNC_RETRY));
        let mut state = self.state();
        let instances = state.containers.entry(name.to_owned()).or_default();
        match result {
            Ok(()) => {
                (instances.hooked, instances.waiting, instances.retry_at) = (true, None, None);
            }
            Err(Failed { reason, message }) => {
                instances.retry_at = match reason {
                    // The next look tells that there is a pause, and the one after it is over.
                    "ErrImagePull" => soon,
                    "ImagePullBackOff" => pull,
                    "RunContainerError" | "PostStartHookError" => None,
                    _ => later,
                };
                instances.waiting = Some(Waiting { reason, message });
            }
        }
    }

    fn resized(&mut self, name: &str, result: RuntimeResult<()>) {
        let later = self.soon(SYNC_RETRY);
        let mut state = self.state();
        let error = result.err().map(|error| format!("failed to resize container {name:?}: {error}"));
        if let Some(instances) = state.containers.get_mut(name) {
            instances.retry_at = error.is_some().then_some(later).flatten();
        }
        let Some(under_way) = state.resize.as_mut().and_then(|resize| resize.under_way.as_mut()) else { return };
        let new = error.as_ref().filter(|error| under_way.error.as_ref() != Some(error)).cloned();
        let generation = under_way.generation;
        under_way.error = error;
        if let Some(error) = new {
            let pod = Arc::clone(&state.pod);
            let told = resize::told(&pod, generation, Some(&error));
            self.machine.event(&pod, EventType::Warning, "ResizeError", format!("Pod resize error: {told}"));
        }
    }

    /// Tells that all that was granted is done.
    pub(super) fn end_resize(&mut self) {
        let mut state = self.state();
        let Some(under_way) = state.resize.as_ref().and_then(|resize| resize.under_way.clone()) else { return };
        // One that has ended is done, unless it ended for this.
        let left = |role, container: &Container| {
            let running = state.instances(&container.name).is_some_and(Instances::is_running);
            let resize = state.to_resize(role, container);
            resize.is_some_and(|(now, wanted)| running || resize::needs_restart(container, now, wanted))
        };
        if containers(state.spec()).any(|(role, container)| left(role, &container)) {
            return;
        }
        let pod = state.allocated_of(&state.pod);
        if let Some(resize) = &mut state.resize {
            resize.under_way = None;
        }
        state.resize.take_if(|resize| resize.is_over());
        drop(state);
        self.stale = true;
        let told = resize::told(&pod, under_way.generation, None);
        self.machine.event(&pod, EventType::Normal, "ResizeCompleted", format!("Pod resize completed: {told}"));
    }

    pub(super) fn probed(&mut self, key: &Key, id: &ContainerId, outcome: &Outcome) {
        let (name, aspect) = key;
        let verdict = self.probes.record(key, id, outcome);
        let mut state = self.state();
        let pod = Arc::clone(&state.pod);
        let tell = |what: &str, why: &str| {
            let message = format!("{} probe {what}: {why}", aspect.title());
            self.machine.container_event(&pod, name, EventType::Warning, "Unhealthy", message);
        };
        match outcome {
            Outcome::Success => {}
            Outcome::Failure(why) => tell("failed", why),
            Outcome::Error(why) => tell("errored and resulted in unknown state", why),
        }
        let Some(verdict) = verdict else { return };
        let Some(instances) = state.containers.get_mut(name) else { return };
        if instances.last.as_ref().is_none_or(|last| last.id != *id) {
            return; // of an instance that is no more
        }
        match aspect {
            Aspect::Readiness => instances.ready = verdict.holds,
            Aspect::Startup if verdict.holds => instances.started = true,
            Aspect::Liveness if verdict.holds => {}
            Aspect::Startup | Aspect::Liveness => {
                let found = container(spec(&pod), name);
                let probe = found.as_ref().and_then(|(_, found)| aspect.of(found));
                let grace = probe.and_then(|probe| probe.termination_grace_period_seconds);
                instances.condemned = Some(Condemned {
                    message: format!("Container {name} failed {} probe, will be restarted", aspect.word()),
                    grace: grace.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
                });
            }
        }
    }
}
