//! What to do next for a pod: a pure function of what is wanted and what is.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::state::{Condemned, Ending, Failure, Instances, PodState, Role, Waiting, containers, restarts};
use crate::api::GoDuration;
use crate::node::resize::needs_restart;
use crate::node::restart::Backoff;
use crate::runtime::Limits;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Set up the volumes.
    Mount,
    /// Make the sandbox, after so many before.
    CreateSandbox(u32),
    /// Start a container.
    Start(String),
    /// Change what a running container may use.
    Resize(String, Limits),
    /// End a container, to start it anew where its restart policy says so.
    Kill(String, Condemned),
    /// End the pod.
    End(Ending),
}

/// What to do now, and when to look again although nothing happens.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) action: Option<Action>,
    pub(super) wake: Option<Timestamp>,
    /// Containers that wait for their next start, and why.
    pub(super) waiting: Vec<(String, Waiting)>,
}

impl Plan {
    fn act(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// The key of a container's pauses.
pub(super) fn backoff_key(container: &str) -> String {
    format!("start {container}")
}

/// What to do next.
pub(super) fn plan(state: &PodState, backoff: &Backoff, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if state.ending.is_some() || state.refused.is_some() {
        return plan;
    }
    let spec = state.spec();
    let pod = &state.pod;
    if pod.metadata.deletion_timestamp.is_some() {
        return plan.act(Action::End(Ending { grace: grace_period(pod), failure: None, done: false }));
    }
    if let Some(limit) = spec.active_deadline_seconds {
        let deadline =
            state.accepted_at.saturating_add(jiff::SignedDuration::from_secs(limit)).unwrap_or(Timestamp::MAX);
        if now >= deadline {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            let failure = Some(Failure { reason: "DeadlineExceeded", message, disruption: None });
            return plan.act(Action::End(Ending { grace: grace_period(pod), failure, done: false }));
        }
        plan.wake_at(deadline);
    }
    if has_ended(state) {
        return plan.act(Action::End(Ending { grace: grace_period(pod), failure: None, done: false }));
    }
    if let Some(at) = state.retry_at.filter(|at| now < *at) {
        plan.wake_at(at);
        return plan;
    }
    if !state.mounted {
        return plan.act(Action::Mount);
    }
    if state.ready_sandbox().is_none() {
        return plan.act(Action::CreateSandbox(state.sandboxes));
    }
    let initialized = state.is_initialized();
    let (moment, none) = (now, Instances::default());
    for (role, container) in containers(spec) {
        let instances = state.instances(&container.name).unwrap_or(&none);
        match role {
            Role::Init if initialized => continue,
            Role::Init if instances.exit().is_some_and(|exit| exit.code == 0) => continue,
            Role::Ephemeral if instances.last.is_some() => continue,
            _ => {}
        }
        if instances.is_running() {
            if let Some(condemned) = &instances.condemned {
                return plan.act(Action::Kill(container.name.clone(), condemned.clone()));
            }
            if role != Role::Ephemeral && has_changed(instances, &container) {
                let message = format!("Container {} definition changed, will be restarted", container.name);
                return plan.act(Action::Kill(container.name.clone(), Condemned { message, grace: None }));
            }
            if let Some((now, wanted)) = state.to_resize(role, &container) {
                if needs_restart(&container, now, wanted) {
                    let message = format!("Container {} resize requires restart", container.name);
                    return plan.act(Action::Kill(container.name.clone(), Condemned { message, grace: None }));
                }
                match instances.retry_at.filter(|at| moment < *at) {
                    Some(at) => plan.wake_at(at),
                    None => return plan.act(Action::Resize(container.name.clone(), wanted)),
                }
            }
            match role {
                Role::Init => return plan,
                Role::Sidecar if !initialized && !instances.started => return plan,
                _ => continue,
            }
        }
        match next_start(state, role, &container, instances, backoff, now, &mut plan) {
            Next::Now => return plan.act(Action::Start(container.name.clone())),
            Next::Later if matches!(role, Role::Init | Role::Sidecar) && !initialized => return plan,
            Next::Later | Next::Never => {}
        }
    }
    plan
}

enum Next {
    Now,
    Later,
    Never,
}

fn next_start(
    state: &PodState,
    role: Role,
    container: &Container,
    instances: &Instances,
    backoff: &Backoff,
    now: Timestamp,
    plan: &mut Plan,
) -> Next {
    if let Some(at) = instances.retry_at.filter(|at| now < *at) {
        plan.wake_at(at);
        return Next::Later;
    }
    let Some(exit) = instances.exit() else { return Next::Now };
    if !restarts(state.spec(), role, container, exit.code) && !is_replaced(state, role, instances, container) {
        return Next::Never;
    }
    let Some((until, pause)) = backoff.until(&backoff_key(&container.name), exit.finished_at, now) else {
        return Next::Now;
    };
    plan.wake_at(until);
    let message = format!(
        "back-off {} restarting failed container={} pod={}",
        GoDuration(pause),
        container.name,
        full_name(&state.pod)
    );
    plan.waiting.push((container.name.clone(), Waiting { reason: "CrashLoopBackOff", message }));
    Next::Later
}

/// Whether nothing of the pod runs or will run again.
fn has_ended(state: &PodState) -> bool {
    let spec = state.spec();
    let is_over = |role: Role, container: &Container| {
        state.instances(&container.name).is_some_and(|instances| {
            let exit = instances.exit();
            exit.is_some_and(|exit| !restarts(spec, role, container, exit.code))
                && !is_replaced(state, role, instances, container)
        })
    };
    let failed_init = !state.is_initialized()
        && containers(spec).any(|(role, container)| {
            let exit = state.instances(&container.name).and_then(Instances::exit);
            role == Role::Init && exit.is_some_and(|exit| exit.code != 0) && is_over(role, &container)
        });
    failed_init || spec.containers.iter().all(|container| is_over(Role::Main, container))
}

/// Whether the container is of another image than its pod now wants: it is replaced, whatever its restart policy.
fn has_changed(instances: &Instances, container: &Container) -> bool {
    instances.last.as_ref().is_some_and(|last| container.image.as_ref().is_some_and(|image| *image != last.image))
}

/// Whether a container that has ended is started again whatever its restart policy: it ended to become another.
fn is_replaced(state: &PodState, role: Role, instances: &Instances, container: &Container) -> bool {
    let resized = state.to_resize(role, container);
    has_changed(instances, container) || resized.is_some_and(|(now, wanted)| needs_restart(container, now, wanted))
}

/// How long the pod's containers may take to end.
pub(super) fn grace_period(pod: &Pod) -> Duration {
    let spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(spec).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
}

/// `web-0_default(0b1f…)`, as the kubelet names pods in messages.
pub(super) fn full_name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}
