//! Writing a pod's status, and deleting the pod when it has ended.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::state::PodState;
use crate::api::{ApiError, DeleteOptions, Deleted};
use crate::node::machine::Machine;
use crate::node::static_pod;
use crate::node::status::pod::pod_status;

/// What came of a report.
#[derive(Debug)]
pub(super) enum Reported {
    /// The pod as it is now.
    Written(Arc<Pod>),
    /// The pod is no more.
    Gone,
}

/// The status that the pod should have.
pub(super) fn status(machine: &Machine, state: &PodState, pod: &Pod) -> PodStatus {
    pod_status(state, pod.status.as_ref(), &machine.runtime_name, machine.clock().now())
}

/// Writes that status of this version of the pod; where there is another version meanwhile, the status that this one
/// should have.
pub(super) async fn write(
    machine: Arc<Machine>,
    state: Arc<Mutex<PodState>>,
    mut pod: Arc<Pod>,
    mut wanted: PodStatus,
) -> Result<Reported, ApiError> {
    if static_pod::is_static(&pod) {
        // The API has a mirror of it, which shows what is noted here.
        let told = Pod { status: Some(wanted), ..Pod::clone(&pod) };
        return Ok(Reported::Written(Arc::new(told)));
    }
    let uid = pod.metadata.uid.clone();
    let (namespace, name) = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
    let pods = machine.client.api::<Pod>(namespace.as_deref().unwrap_or_default());
    while pod.status.as_ref() != Some(&wanted) {
        // A status is written without the spec, which is not its to change.
        let changed = Pod { metadata: pod.metadata.clone(), spec: None, status: Some(wanted) };
        match pods.update_status(changed).await {
            Ok(written) => return Ok(Reported::Written(written)),
            Err(error) if error.is_not_found() => return Ok(Reported::Gone),
            Err(error) if error.is_conflict() => match pods.get_opt(name.as_deref().unwrap_or_default()).await? {
                Some(current) if current.metadata.uid == uid => pod = current,
                _ => return Ok(Reported::Gone),
            },
            Err(error) => return Err(error),
        }
        wanted = status(&machine, &state.lock().unwrap_or_else(PoisonError::into_inner), &pod);
    }
    Ok(Reported::Written(pod))
}

/// Deletes a pod that has ended.
pub(super) async fn delete(machine: Arc<Machine>, pod: Arc<Pod>) -> Result<Reported, ApiError> {
    let pods = machine.client.api::<Pod>(pod.metadata.namespace.as_deref().unwrap_or_default());
    let options = DeleteOptions { grace_period: Some(0), uid: pod.metadata.uid.clone(), ..DeleteOptions::default() };
    match pods.delete_with(pod.metadata.name.as_deref().unwrap_or_default(), &options).await {
        Ok(Deleted::Gone(_)) => Ok(Reported::Gone),
        Ok(Deleted::Pending(_)) => Ok(Reported::Written(pod)), // finalizers hold it
        // A conflict means that another pod of this name has taken its place.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(Reported::Gone),
        Err(error) => Err(error),
    }
}
