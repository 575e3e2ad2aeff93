//! What an agent knows of one of its pods.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, ResourceRequirements};

use crate::node::resize::{self, Resize};
use crate::runtime::{ContainerState, ContainerStatus, Exit, Limits, SandboxStatus};

/// Why a container does not run (yet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Waiting {
    /// `ErrImagePull`, `CrashLoopBackOff`, …
    pub(in crate::node) reason: &'static str,
    pub(in crate::node) message: String,
}

/// What became of one container of a pod.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Instances {
    /// The latest instance.
    pub(in crate::node) last: Option<ContainerStatus>,
    /// The one before.
    pub(in crate::node) before: Option<ContainerStatus>,
    /// Why the next one does not run.
    pub(in crate::node) waiting: Option<Waiting>,
    /// When to try again.
    pub(in crate::node) retry_at: Option<Timestamp>,
    /// How many instances there were, of this sandbox or earlier ones.
    pub(in crate::node) attempts: u32,
    /// Whether the running instance is past its post-start hook.
    pub(in crate::node) hooked: bool,
    /// Whether it has passed its startup probe.
    pub(in crate::node) started: bool,
    /// Whether it passes its readiness probe.
    pub(in crate::node) ready: bool,
    /// Why the running instance is to be replaced.
    pub(in crate::node) condemned: Option<Condemned>,
}

/// Why a running container is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Condemned {
    /// `Container main failed liveness probe, will be restarted`
    pub(in crate::node) message: String,
    /// The grace period of the probe, over the pod's.
    pub(in crate::node) grace: Option<Duration>,
}

impl Instances {
    pub(in crate::node) fn is_running(&self) -> bool {
        self.last.as_ref().is_some_and(ContainerStatus::is_running)
    }

    pub(in crate::node) fn exit(&self) -> Option<&Exit> {
        self.last.as_ref().and_then(ContainerStatus::exit)
    }

    /// Takes over what the runtime tells: all instances of the container that it has, oldest first. Whether the latest is
    /// another than before, or has changed.
    pub(super) fn observe(&mut self, found: Vec<ContainerStatus>) -> bool {
        let mut found = found.into_iter().rev();
        let last = found.next();
        let changed = self.last != last;
        match last {
            Some(last) => {
                self.attempts = self.attempts.max(last.attempt + 1);
                self.before = found.next().or(self.before.take());
                self.last = Some(last);
            }
            // Its sandbox is gone.
            None => self.before = self.last.take().or(self.before.take()),
        }
        if !self.is_running() {
            (self.started, self.ready) = (false, false);
        }
        changed
    }
}

/// Why a node ends a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Failure {
    /// `Evicted`, `DeadlineExceeded`
    pub(in crate::node) reason: &'static str,
    pub(in crate::node) message: String,
    /// Where it is a disruption (the pod did nothing that it may not), what its condition says.
    pub(in crate::node) disruption: Option<String>,
}

/// How a pod ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Ending {
    /// How long its containers may take.
    pub(in crate::node) grace: Duration,
    /// Why the node ends it, where it does: it has failed.
    pub(in crate::node) failure: Option<Failure>,
    /// Whether everything has ended.
    pub(in crate::node) done: bool,
}

/// What an agent knows of one of its pods.
#[derive(Debug)]
pub(in crate::node) struct PodState {
    pub(in crate::node) pod: Arc<Pod>,
    /// The containers that the agent knows, by name. Boxed: a map has room for eleven from the start, and most pods
    /// have one.
    pub(in crate::node) containers: BTreeMap<String, Box<Instances>>,
    pub(in crate::node) sandbox: Option<SandboxStatus>,
    /// Whether the runtime may have a sandbox of the pod that is not this one.
    pub(in crate::node) doubled: bool,
    /// How many sandboxes there were.
    pub(in crate::node) sandboxes: u32,
    /// When the agent first saw the pod.
    pub(in crate::node) accepted_at: Timestamp,
    /// Whether the volumes are set up.
    pub(in crate::node) mounted: bool,
    /// When to try again to set up volumes or sandbox.
    pub(in crate::node) retry_at: Option<Timestamp>,
    /// Why the node refuses the pod: reason and message.
    pub(in crate::node) refused: Option<(String, String)>,
    pub(in crate::node) ending: Option<Ending>,
    /// What of its resources is not as its spec wants it.
    pub(in crate::node) resize: Option<Box<Resize>>,
    /// Whether the agent has set something here that the worker has not seen.
    pub(in crate::node) touched: bool,
    /// The node's address.
    pub(in crate::node) host: Arc<str>,
}

/// A container of whichever sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Role {
    /// Runs to its end before the next is started.
    Init,
    /// An init container with restart policy `Always`: runs beside the others.
    Sidecar,
    Main,
    Ephemeral,
}

/// A container of a pod: as the spec has it, or made from an ephemeral one. Two words, where a
/// `Cow` would be as large as a container, two kilobytes: a worker goes over its pod's containers all the time.
#[derive(Debug)]
pub(in crate::node) enum Declared<'a> {
    InSpec(&'a Container),
    Made(Box<Container>),
}

impl Deref for Declared<'_> {
    type Target = Container;

    fn deref(&self) -> &Container {
        match self {
            Self::InSpec(container) => container,
            Self::Made(container) => container,
        }
    }
}

/// The containers of a pod in the order in which they are started, ephemeral ones (which nothing waits for) last.
pub(in crate::node) fn containers(spec: &PodSpec) -> impl Iterator<Item = (Role, Declared<'_>)> {
    let init =
        spec.init_containers.iter().flatten().map(|container| (role_of_init(container), Declared::InSpec(container)));
    let main = spec.containers.iter().map(|container| (Role::Main, Declared::InSpec(container)));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let made = |container| (Role::Ephemeral, Declared::Made(Box::new(from_ephemeral(container))));
    init.chain(main).chain(ephemeral.map(made))
}

/// The container of that name.
pub(in crate::node) fn container<'a>(spec: &'a PodSpec, name: &str) -> Option<(Role, Declared<'a>)> {
    containers(spec).find(|(_, container)| container.name == name)
}

/// The spec of a pod; that of an empty one where it has none.
pub(in crate::node) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

pub(in crate::node) fn role_of_init(container: &Container) -> Role {
    match container.restart_policy.as_deref() {
        Some("Always") => Role::Sidecar,
        _ => Role::Init,
    }
}

fn from_ephemeral(from: &EphemeralContainer) -> Container {
    let from = from.clone();
    Container {
        name: from.name,
        image: from.image,
        image_pull_policy: from.image_pull_policy,
        command: from.command,
        args: from.args,
        working_dir: from.working_dir,
        env: from.env,
        env_from: from.env_from,
        volume_mounts: from.volume_mounts,
        security_context: from.security_context,
        stdin: from.stdin,
        stdin_once: from.stdin_once,
        tty: from.tty,
        termination_message_path: from.termination_message_path,
        termination_message_policy: from.termination_message_policy,
        restart_policy: Some("Never".to_owned()),
        ..Container::default()
    }
}

impl PodState {
    pub(in crate::node) fn new(pod: Arc<Pod>, host: Arc<str>, now: Timestamp) -> Self {
        Self {
            pod,
            containers: BTreeMap::new(),
            sandbox: None,
            doubled: false,
            sandboxes: 0,
            accepted_at: now,
            mounted: false,
            retry_at: None,
            refused: None,
            ending: None,
            resize: None,
            touched: false,
            host,
        }
    }

    /// Takes over from the pod's status how often its containers were started, for those that the runtime has no more.
    pub(super) fn remember_restarts(&mut self) {
        let status = self.pod.status.as_ref();
        let known = status.into_iter().flat_map(|status| {
            let lists = [&status.init_container_statuses, &status.container_statuses];
            lists.into_iter().flatten().flatten().filter(|one| one.container_id.is_some())
        });
        for one in known {
            let attempts = u32::try_from(one.restart_count).unwrap_or(0).saturating_add(1);
            self.containers.entry(one.name.clone()).or_default().attempts = attempts;
        }
    }

    pub(in crate::node) fn spec(&self) -> &PodSpec {
        spec(&self.pod)
    }

    /// Notes what the containers have, where a new version of the pod wants it otherwise.
    pub(in crate::node) fn keep_resources(&mut self, before: &Arc<Pod>, pod: &Pod) {
        let had = resize::kept(&self.allocated_of(before), pod);
        if had.is_empty() && self.resize.is_none() {
            return;
        }
        // Its worker may have told of that version already, which it knows from its own writes.
        self.touched = true;
        let resize = self.resize.get_or_insert_default();
        if had.is_empty() && !resize.allocated.is_empty() {
            resize.pending = None; // it wants again what it has
        }
        resize.allocated = had;
        if resize.is_over() {
            self.resize = None;
        }
    }

    /// A version of the pod with the resources that it has.
    pub(in crate::node) fn allocated_of(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        match &self.resize {
            Some(resize) => resize::granted(pod, &resize.allocated),
            None => Arc::clone(pod),
        }
    }

    /// What a container has: as the spec says, unless a change of that is not granted yet.
    pub(in crate::node) fn resources<'a>(&'a self, container: &'a Container) -> Option<&'a ResourceRequirements> {
        let had = self.resize.as_ref().and_then(|resize| resize.allocated.get(&container.name));
        had.or(container.resources.as_ref())
    }

    /// What a container has, or had when it ended, and what it should have, where a change of that is under way.
    pub(super) fn to_resize(&self, role: Role, container: &Container) -> Option<(Limits, Limits)> {
        self.resize.as_ref()?.under_way.as_ref()?;
        let last = self.instances(&container.name)?.last.as_ref()?;
        let wanted = Limits::of(self.resources(container).unwrap_or(&ResourceRequirements::default()));
        (matches!(role, Role::Main | Role::Sidecar) && last.limits != wanted).then_some((last.limits, wanted))
    }

    pub(in crate::node) fn instances(&self, container: &str) -> Option<&Instances> {
        self.containers.get(container).map(|instances| &**instances)
    }

    /// Whether the pod's main containers have begun.
    pub(in crate::node) fn is_initialized(&self) -> bool {
        let begun = |name: &str| self.instances(name).is_some_and(|instances| instances.last.is_some());
        self.spec().containers.iter().any(|container| begun(&container.name))
    }

    /// The sandbox that containers can be started in.
    pub(in crate::node) fn ready_sandbox(&self) -> Option<&SandboxStatus> {
        self.sandbox.as_ref().filter(|sandbox| sandbox.ready)
    }

    /// Whether the pod has anything on the node, and is not being ended by it.
    pub(in crate::node) fn is_active(&self) -> bool {
        let ends = self.ending.as_ref().is_some_and(|ending| ending.done || ending.failure.is_some());
        self.refused.is_none() && !ends
    }

    /// Takes over what the runtime tells. Whether anything has changed by it.
    pub(super) fn observe(&mut self, sandbox: Option<SandboxStatus>, mut found: Vec<ContainerStatus>) -> bool {
        let mut changed = self.sandbox != sandbox;
        if let Some(sandbox) = &sandbox {
            self.sandboxes = self.sandboxes.max(sandbox.attempt + 1);
        }
        self.sandbox = sandbox;
        // A container that was made and not started is a start that was interrupted: it never counted.
        found.retain(|status| status.state != ContainerState::Created);
        for status in &found {
            if !self.containers.contains_key(&status.name) {
                self.containers.insert(status.name.clone(), Box::default());
            }
        }
        let over = self.ending.as_ref().is_some_and(|ending| ending.done);
        for (name, instances) in &mut self.containers {
            let own: Vec<_> = found.extract_if(.., |status| status.name == *name).collect();
            // Removed to make room: how it ended is still known.
            if !own.is_empty() || !over {
                changed |= instances.observe(own);
            }
        }
        changed
    }
}

/// Whether a container that has ended is to be started again. A container's own rules go before its own policy, and
/// that before the pod's.
pub(in crate::node) fn restarts(spec: &PodSpec, role: Role, container: &Container, code: i32) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        if let Some(on) = &rule.exit_codes
            && on.values.iter().flatten().any(|value| *value == code) == (on.operator == "In")
        {
            return rule.action == "Restart";
        }
    }
    let policy = match role {
        Role::Sidecar => "Always",
        Role::Ephemeral => "Never",
        _ => container.restart_policy.as_deref().or(spec.restart_policy.as_deref()).unwrap_or("Always"),
    };
    match policy {
        "Never" => false,
        // An init container that has succeeded is done.
        "OnFailure" => code != 0,
        _ => code != 0 || role != Role::Init,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtime::ContainerId;

    fn told(name: &str, id: &str, attempt: u32, state: ContainerState) -> ContainerStatus {
        ContainerStatus {
            id: ContainerId::new(id),
            name: name.to_owned(),
            attempt,
            image: String::new(),
            image_id: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            state,
            labels: Arc::default(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_worker_is_told_of_resources_that_are_kept_and_of_those_that_are_as_wanted_again() {
        let asking = |cpu: &str| -> Arc<Pod> {
            let resources = json!({ "requests": { "cpu": cpu } });
            let spec = json!({ "containers": [{ "name": "web", "resources": resources }] });
            Arc::new(serde_json::from_value(json!({ "spec": spec })).unwrap())
        };
        let [one, two] = ["1", "2"].map(asking);
        let mut state = PodState::new(Arc::clone(&one), Arc::from("10.0.0.1"), Timestamp::UNIX_EPOCH);
        state.keep_resources(&one, &one);
        assert!(!state.touched && state.resize.is_none());
        state.keep_resources(&one, &two);
        assert!(std::mem::take(&mut state.touched) && state.resize.is_some());
        state.keep_resources(&two, &one);
        assert!(state.touched && state.resize.is_none());
    }

    #[test]
    fn what_the_runtime_tells_again_changes_nothing() {
        let running = ContainerState::Running { started_at: Timestamp::UNIX_EPOCH };
        let mut state = PodState::new(Arc::default(), Arc::from("10.0.0.1"), Timestamp::UNIX_EPOCH);
        let found = || vec![told("web", "1", 0, running.clone()), told("log", "2", 0, running.clone())];
        assert!(state.observe(None, found()));
        assert!(!state.observe(None, found()));
        // One that was never started does not count, and one that is started anew does.
        let begun = |rest| [found(), vec![told("web", "3", 1, rest)]].concat();
        assert!(!state.observe(None, begun(ContainerState::Created)));
        assert!(state.observe(None, begun(running.clone())));
        let web = &state.containers["web"];
        let ids = [&web.last, &web.before].map(|one| one.as_ref().map(|one| one.id.as_str()));
        assert_eq!((ids, web.attempts), ([Some("3"), Some("1")], 2));
        // What is gone has changed, but for what was removed once the pod is over.
        assert!(state.observe(None, found()[1..].to_vec()));
        assert!(state.containers["web"].last.is_none());
        state.ending = Some(Ending { grace: Duration::ZERO, failure: None, done: true });
        assert!(!state.observe(None, Vec::new()));
        assert!(state.containers["log"].is_running());
    }
}
