//! The phase of a pod.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};

use crate::node::pod_worker::state::{PodState, Role, container};

/// `Pending`, `Running`, `Succeeded` or `Failed`, from the statuses of a pod's containers.
pub(super) fn phase(state: &PodState, init: &[ContainerStatus], main: &[ContainerStatus]) -> &'static str {
    let spec = state.spec();
    let over = state.ending.as_ref().is_some_and(|ending| ending.done);
    let never = spec.restart_policy.as_deref() == Some("Never");
    let mut initializing = false;
    for status in init {
        let sidecar = container(spec, &status.name).is_some_and(|(role, _)| role == Role::Sidecar);
        let ended = ended_with(status);
        if sidecar {
            initializing |= status.started != Some(true) && !state.is_initialized();
        } else if ended != Some(0) {
            if ended.is_some() && (never || over) {
                return "Failed";
            }
            initializing |= !state.is_initialized();
        }
    }
    let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for status in main {
        let state = status.state.as_ref();
        if state.is_some_and(|state| state.running.is_some()) {
            running += 1;
        } else if let Some(code) = ended_with(status) {
            stopped += 1;
            succeeded += usize::from(code == 0 && state.is_some_and(|state| state.terminated.is_some()));
        } else {
            waiting += 1;
        }
    }
    let unknown = spec.containers.len() - main.len().min(spec.containers.len());
    if initializing && !over {
        return "Pending";
    }
    match () {
        () if waiting > 0 && !over => "Pending",
        () if running > 0 && unknown == 0 => "Running",
        () if over => {
            if stopped > 0 && stopped == succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        () if stopped > 0 && unknown == 0 => match spec.restart_policy.as_deref() {
            Some("Never" | "OnFailure") if stopped == succeeded => "Succeeded",
            Some("Never") => "Failed",
            _ => "Running",
        },
        () => "Pending",
    }
}

/// The exit code of a container that has ended, or of its last instance where it waits for the next.
fn ended_with(status: &ContainerStatus) -> Option<i32> {
    let code = |state: &ContainerState| state.terminated.as_ref().map(|terminated| terminated.exit_code);
    let state = status.state.as_ref()?;
    match &state.waiting {
        Some(_) => status.last_state.as_ref().and_then(code),
        None => code(state),
    }
}
