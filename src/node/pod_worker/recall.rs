//! What an agent that begins anew finds out about a pod that runs already: nothing is kept beside the API and the runtime.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::plan::{backoff_key, grace_period};
use super::state::{Ending, PodState};
use crate::node::preempt;
use crate::node::restart::Backoff;
use crate::runtime::{ContainerState, ContainerStatus};

/// Takes over what an earlier agent knew of containers: whether they were ready, and how long their restarts wait.
/// `scheme` is that of container IDs.
pub(super) fn containers(state: &mut PodState, backoff: &mut Backoff, scheme: &str) {
    let pod = state.pod.clone();
    let status = pod.status.as_ref();
    let lists = status.map(|status| [&status.init_container_statuses, &status.container_statuses]);
    for (name, instances) in &mut state.containers {
        let Some(last) = &instances.last else { continue };
        let own = format!("{scheme}://{}", last.id);
        let mut all = lists.into_iter().flatten().flatten().flatten();
        let told = all.find(|told| told.name == *name && told.container_id.as_ref() == Some(&own));
        if let Some(told) = told.filter(|_| last.is_running()) {
            (instances.started, instances.ready) = (told.started == Some(true), told.ready);
        }
        // The last start waited as long as the pause was: the next one is twice that.
        if let Some((waited, started_at)) = instances.before.as_ref().and_then(|before| waited(before, last)) {
            backoff.recall(&backoff_key(name), waited, started_at);
        }
    }
}

/// How long a start waited after the end of the instance before it, and when it was.
fn waited(before: &ContainerStatus, last: &ContainerStatus) -> Option<(Duration, jiff::Timestamp)> {
    let started_at = match &last.state {
        ContainerState::Running { started_at } => *started_at,
        ContainerState::Exited(exit) => exit.started_at?,
        ContainerState::Created => return None,
    };
    let waited = started_at.duration_since(before.exit()?.finished_at);
    Some((Duration::try_from(waited).unwrap_or_default(), started_at))
}

/// How a pod was about to end when the agent before this one did: made to fail by its node, as its conditions say.
pub(super) fn ending(pod: &Pod) -> Option<Ending> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let by_node = |message: Option<&str>| message == Some(preempt::CONDITION);
    let found = conditions.any(|condition| {
        condition.type_ == "DisruptionTarget" && condition.status == "True" && by_node(condition.message.as_deref())
    });
    found.then(|| Ending { grace: grace_period(pod), failure: Some(preempt::failure()), done: false })
}
