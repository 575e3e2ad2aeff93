//! Ending containers and pods.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::state::{self, Instances, PodState, Role, containers};
use crate::client::EventType;
use crate::node::hooks;
use crate::node::machine::Machine;
use crate::runtime::{ContainerId, SandboxStatus};

/// Every container is given so long, whatever the grace period.
const LEAST: Duration = Duration::from_secs(2);

/// A container to be ended.
pub(super) struct Killing {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    pub(super) sandbox: SandboxStatus,
    /// Its name in the pod.
    pub(super) container: String,
    pub(super) id: ContainerId,
    /// How long it may take, its pre-stop hook included.
    pub(super) grace: Duration,
    /// What is told about it.
    pub(super) message: String,
}

/// Ends a container: pre-stop hook, then its stop signal, then force.
pub(super) async fn kill(killing: Killing) {
    let Killing { machine, pod, sandbox, container, id, grace, message } = killing;
    machine.container_event(&pod, &container, EventType::Normal, "Killing", message);
    let begun = machine.clock().elapsed();
    let found = state::container(state::spec(&pod), &container);
    let found = found.as_ref().map(|(_, found)| &**found);
    let hook = found.and_then(|found| found.lifecycle.as_ref()).and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let (Some(found), Some(hook)) = (found, hook.filter(|_| !grace.is_zero())) {
        // Boxed: few have one.
        let run = Box::pin(hooks::run(&machine, &sandbox, found, &id, hook));
        match tokio::time::timeout(grace, run).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::debug!(container, why, "pre-stop hook failed");
                machine.container_event(
                    &pod,
                    &container,
                    EventType::Warning,
                    "FailedPreStopHook",
                    "PreStopHook failed",
                );
            }
            Err(_) => tracing::debug!(container, "pre-stop hook used up the grace period"),
        }
    }
    let left = grace.saturating_sub(machine.clock().elapsed() - begun).max(LEAST);
    if let Err(error) = machine.runtime.stop_container(&id, left).await {
        let message = format!("error killing container: {error}");
        machine.container_event(&pod, &container, EventType::Warning, "FailedKillPod", message);
    }
}

/// A pod to be ended: what runs in it.
pub(super) struct PodKilling {
    machine: Arc<Machine>,
    pod: Arc<Pod>,
    sandbox: Option<SandboxStatus>,
    /// Together: first those that do the pod's work.
    workers: Vec<(String, ContainerId)>,
    /// Then, one after the other, sidecars: the last first.
    sidecars: Vec<(String, ContainerId)>,
    deadline: Timestamp,
}

impl PodKilling {
    pub(super) fn new(machine: &Arc<Machine>, state: &PodState, grace: Duration) -> Self {
        let (mut workers, mut sidecars) = (Vec::new(), Vec::new());
        for (role, container) in containers(state.spec()) {
            let running = state.instances(&container.name).filter(|instances| instances.is_running());
            let Some(last) = running.and_then(|instances: &Instances| instances.last.as_ref()) else { continue };
            let list = if role == Role::Sidecar { &mut sidecars } else { &mut workers };
            list.push((container.name.clone(), last.id.clone()));
        }
        sidecars.reverse();
        let deadline = machine.clock().now().checked_add(grace).unwrap_or(Timestamp::MAX);
        let (machine, pod, sandbox) = (Arc::clone(machine), Arc::clone(&state.pod), state.sandbox.clone());
        Self { machine, pod, sandbox, workers, sidecars, deadline }
    }

    /// Ends the pod: its containers, then its sandbox.
    pub(super) async fn run(self) {
        let Some(sandbox) = &self.sandbox else { return };
        let killing = |(container, id): &(String, ContainerId)| {
            kill(Killing {
                machine: Arc::clone(&self.machine),
                pod: Arc::clone(&self.pod),
                sandbox: sandbox.clone(),
                message: format!("Stopping container {container}"),
                container: container.clone(),
                id: id.clone(),
                grace: self.machine.clock().until(self.deadline),
            })
        };
        let mut workers: FuturesUnordered<_> = self.workers.iter().map(killing).collect();
        while workers.next().await.is_some() {}
        for sidecar in &self.sidecars {
            killing(sidecar).await;
        }
        if let Err(error) = self.machine.runtime.stop_sandbox(&sandbox.id).await {
            tracing::warn!(%error, "sandbox not stopped");
        }
        let mut volumes = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if volumes.any(|volume| volume.empty_dir.is_some())
            && let Err(error) = self.machine.runtime.clear_directories(&sandbox.id).await
        {
            tracing::warn!(%error, "directories of a pod that has ended not removed");
        }
    }
}
