//! The conditions of a pod that its node sets. Others belong to whoever set them, and stay.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::node::pod_worker::state::{PodState, Role, containers};

/// A condition's verdict: whether it holds, and otherwise why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verdict {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    const YES: Self = Self { holds: true, reason: None, message: None };

    fn no(reason: &'static str, message: Option<String>) -> Self {
        Self { holds: false, reason: Some(reason), message }
    }
}

/// The conditions of a pod after `before`, the pod's phase and the statuses of its containers being those.
pub(super) fn conditions(
    state: &PodState,
    before: &[PodCondition],
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    now: &Time,
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(state, phase, init, main);
    let ready = ready(&state.pod, before, &containers_ready);
    let sandboxed = Verdict { holds: state.ready_sandbox().is_some(), ..Verdict::default() };
    let own = [
        ("PodReadyToStartContainers", sandboxed),
        ("Initialized", initialized(state, phase, init)),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
        ("PodScheduled", Verdict::YES),
    ];
    let generation = state.pod.metadata.generation;
    let mut conditions: Vec<PodCondition> = own
        .into_iter()
        .chain(disrupted(state).map(|verdict| (DISRUPTED, verdict)))
        .chain(resizes(state))
        .map(|(type_, verdict)| {
            let status = if verdict.holds { "True" } else { "False" };
            let old = before.iter().find(|condition| condition.type_ == type_);
            let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
            PodCondition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.map(str::to_owned),
                message: verdict.message,
                last_transition_time: Some(since.unwrap_or_else(|| now.clone())),
                observed_generation: generation,
                last_probe_time: None,
            }
        })
        .collect();
    let set = |old: &PodCondition| conditions.iter().any(|condition| condition.type_ == old.type_);
    let others: Vec<_> = before.iter().filter(|old| !is_own(&old.type_) && !set(old)).cloned().collect();
    conditions.extend(others);
    conditions
}

/// What says that a pod was ended for reasons that are not its own.
const DISRUPTED: &str = "DisruptionTarget";

/// What a pod says while its resources are not as its spec wants them.
fn resizes(state: &PodState) -> impl Iterator<Item = (&'static str, Verdict)> {
    let resize = state.resize.as_deref().filter(|_| state.ending.is_none());
    let pending = resize.and_then(|resize| resize.pending.as_ref()).map(|why| Verdict {
        holds: true,
        reason: Some(why.reason),
        message: Some(why.message.clone()),
    });
    let under_way = resize.and_then(|resize| resize.under_way.as_ref()).map(|under_way| Verdict {
        holds: true,
        reason: under_way.error.as_ref().map(|_| "Error"),
        message: under_way.error.clone(),
    });
    [(RESIZES[0], pending), (RESIZES[1], under_way)].into_iter().filter_map(|(type_, verdict)| Some((type_, verdict?)))
}

const RESIZES: [&str; 2] = ["PodResizePending", "PodResizeInProgress"];

fn disrupted(state: &PodState) -> Option<Verdict> {
    let failure = state.ending.as_ref()?.failure.as_ref()?;
    let message = Some(failure.disruption.clone()?);
    Some(Verdict { holds: true, reason: Some("TerminationByKubelet"), message })
}

fn is_own(type_: &str) -> bool {
    RESIZES.contains(&type_)
        || matches!(type_, "PodReadyToStartContainers" | "Initialized" | "Ready" | "ContainersReady" | "PodScheduled")
}

/// Names as Go prints a list of them: `[a b]`.
fn go_list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn told(kinds: [(&str, Vec<&str>); 2]) -> Option<String> {
    let told: Vec<_> = kinds
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("containers with {kind} status: {}", go_list(names)))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn containers_ready(state: &PodState, phase: &str, init: &[ContainerStatus], main: &[ContainerStatus]) -> Verdict {
    if phase == "Failed" {
        return Verdict::no("PodFailed", None);
    }
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let spec = state.spec();
    let names: Vec<_> = containers(spec).filter(|(role, _)| matches!(role, Role::Sidecar | Role::Main)).collect();
    for (_, container) in &names {
        match init.iter().chain(main).find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Verdict::no("PodCompleted", None);
    }
    match told([("unknown", unknown), ("unready", unready)]) {
        None => Verdict::YES,
        message => Verdict::no("ContainersNotReady", message),
    }
}

fn ready(pod: &Pod, conditions: &[PodCondition], containers_ready: &Verdict) -> Verdict {
    if !containers_ready.holds {
        return containers_ready.clone();
    }
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let missing: Vec<_> = gates
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match conditions.iter().find(|condition| condition.type_ == *name) {
                None => Some(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
                Some(condition) if condition.status != "True" => {
                    Some(format!("the status of pod readiness gate {name:?} is not \"True\", but {}", condition.status))
                }
                Some(_) => None,
            }
        })
        .collect();
    if missing.is_empty() { Verdict::YES } else { Verdict::no("ReadinessGatesNotReady", Some(missing.join(", "))) }
}

fn initialized(state: &PodState, phase: &str, init: &[ContainerStatus]) -> Verdict {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    let spec = state.spec();
    let names: Vec<_> = containers(spec).filter(|(role, _)| matches!(role, Role::Init | Role::Sidecar)).collect();
    for (role, container) in &names {
        match init.iter().find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let complete = if *role == Role::Sidecar { status.started == Some(true) } else { status.ready };
                if !complete {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Verdict { reason: Some("PodCompleted"), ..Verdict::YES };
    }
    if state.is_initialized() {
        return Verdict::YES;
    }
    match told([("unknown", unknown), ("incomplete", incomplete)]) {
        None => Verdict::YES,
        message => Verdict::no("ContainersNotInitialized", message),
    }
}
