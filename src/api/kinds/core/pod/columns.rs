//! What `kubectl get pods` prints.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus};

use super::is_terminal;
use crate::api::{Cell, Column};

/// The reason of pods on nodes that are lost.
const NODE_LOST: &str = "NodeLost";

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::name(),
        Column::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        Column::text("Status", "The aggregate status of the containers in this pod."),
        Column::text(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        Column::age(),
        Column::text(
            "IP",
            "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        )
        .wide(),
        Column::text(
            "Node",
            "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName.",
        )
        .wide(),
        Column::text(
            "Nominated Node",
            "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods.",
        )
        .wide(),
        Column::text(
            "Readiness Gates",
            "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\"",
        )
        .wide(),
    ]
}

pub(super) fn cells(pod: &Pod, now: Timestamp) -> Vec<Cell> {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let seen = look(pod, spec, status);
    let restarts = match seen.restarts.last {
        Some(last) if seen.restarts.count != 0 => {
            let ago = crate::api::human_duration(now.as_second() - last.as_second());
            format!("{} ({ago} ago)", seen.restarts.count)
        }
        _ => seen.restarts.count.to_string(),
    };
    let ip = status.pod_ips.iter().flatten().next().map(|ip| ip.ip.as_str());
    vec![
        Cell::name(&pod.metadata),
        format!("{}/{}", seen.ready, seen.total).into(),
        seen.reason.into(),
        restarts.into(),
        Cell::age(&pod.metadata, now),
        or_none(ip),
        or_none(spec.node_name.as_deref()),
        or_none(status.nominated_node_name.as_deref()),
        readiness_gates(spec, status),
    ]
}

fn or_none(text: Option<&str>) -> Cell {
    text.filter(|text| !text.is_empty()).unwrap_or("<none>").into()
}

fn readiness_gates(spec: &PodSpec, status: &PodStatus) -> Cell {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates.iter().filter(|gate| condition(status, &gate.condition_type) == Some("True")).count();
    format!("{open}/{}", gates.len()).into()
}

/// Restarts and when the last of them was.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i32,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &ContainerStatus) {
        self.count += container.restart_count;
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let finished = last.and_then(|terminated| terminated.finished_at.as_ref()).map(|time| time.0);
        self.last = self.last.max(finished);
    }
}

/// What the columns show of a pod.
struct Seen {
    reason: String,
    ready: usize,
    total: usize,
    restarts: Restarts,
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a str> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind).map(|found| found.status.as_str())
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn look(pod: &Pod, spec: &PodSpec, status: &PodStatus) -> Seen {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut reason = given(&status.reason).or_else(|| given(&status.phase)).unwrap_or_default();
    let gated = |condition: &k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("SchedulingGated")
    };
    if status.conditions.iter().flatten().any(gated) {
        reason = "SchedulingGated".to_owned();
    }

    let init_containers = spec.init_containers.as_deref().unwrap_or_default();
    let sidecars = || init_containers.iter().filter(|container| is_sidecar(container));
    let mut seen =
        Seen { reason, ready: 0, total: spec.containers.len() + sidecars().count(), restarts: Restarts::default() };

    let mut sidecar_restarts = Restarts::default();
    let mut initializing = false;
    for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
        seen.restarts.add(container);
        let sidecar = sidecars().any(|sidecar| sidecar.name == container.name);
        if sidecar {
            sidecar_restarts.add(container);
        }
        let state = container.state.clone().unwrap_or_default();
        let waiting = state.waiting.and_then(|waiting| given(&waiting.reason));
        let why = match (state.terminated, waiting) {
            (Some(terminated), _) if terminated.exit_code == 0 => continue,
            _ if sidecar && container.started == Some(true) => {
                seen.ready += usize::from(container.ready);
                continue;
            }
            (Some(terminated), _) => end_of(&terminated),
            (None, Some(waiting)) if waiting != "PodInitializing" => waiting,
            _ => format!("{index}/{}", init_containers.len()),
        };
        seen.reason = format!("Init:{why}");
        initializing = true;
        break;
    }
    if !initializing || condition(status, "Initialized") == Some("True") {
        seen.restarts = sidecar_restarts;
        look_at_containers(&mut seen, status);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason.as_deref() == Some(NODE_LOST) {
            seen.reason = "Unknown".to_owned();
        } else if !is_terminal(pod) {
            seen.reason = "Terminating".to_owned();
        }
    }
    seen
}

fn look_at_containers(seen: &mut Seen, status: &PodStatus) {
    let mut running = false;
    for container in status.container_statuses.iter().flatten().rev() {
        seen.restarts.add(container);
        let state = container.state.clone().unwrap_or_default();
        let waiting = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
        if let Some(waiting) = waiting {
            seen.reason = waiting;
        } else if let Some(terminated) = &state.terminated {
            seen.reason = end_of(terminated);
        } else if container.ready && state.running.is_some() {
            running = true;
            seen.ready += 1;
        }
    }
    if running && seen.reason == "Completed" {
        let ready = condition(status, "Ready") == Some("True");
        seen.reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

/// How a container ended: its reason, or the signal or code.
fn end_of(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref().unwrap_or_default(), terminated.signal.unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(yaml: &str) -> Vec<String> {
        let pod: Pod = serde_yaml::from_str(yaml).unwrap();
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let text = |cell: Cell| if let Cell::Text(text) = cell { text } else { format!("{cell:?}") };
        cells(&pod, now).into_iter().skip(1).take(3).map(text).collect()
    }

    #[test]
    fn status_says_what_upstream_says() {
        let cases = [
            ("{status: {phase: Pending}, spec: {containers: [{name: a}]}}", ["0/1", "Pending", "0"]),
            (
                "{status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}, \
                 spec: {containers: [{name: a}]}}",
                ["0/1", "SchedulingGated", "0"],
            ),
            (
                "{spec: {containers: [{name: a}], initContainers: [{name: i}, {name: j}]}, status: {phase: Pending, \
                 initContainerStatuses: [{name: i, image: '', imageID: '', ready: false, restartCount: 0, \
                 state: {running: {}}}]}}",
                ["0/1", "Init:0/2", "0"],
            ),
            (
                "{spec: {containers: [{name: a}]}, status: {phase: Running, containerStatuses: [{name: a, image: '', \
                 imageID: '', ready: false, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, \
                 lastState: {terminated: {exitCode: 1, finishedAt: '2026-01-01T00:55:00Z'}}}]}}",
                ["0/1", "CrashLoopBackOff", "3 (5m ago)"],
            ),
            (
                "{spec: {containers: [{name: a}, {name: b}]}, status: {phase: Running, containerStatuses: [\
                 {name: a, image: '', imageID: '', ready: false, restartCount: 0, state: {terminated: {exitCode: 0, \
                 reason: Completed}}}, {name: b, image: '', imageID: '', ready: true, restartCount: 0, \
                 state: {running: {}}}]}}",
                ["1/2", "NotReady", "0"],
            ),
            (
                "{spec: {containers: [{name: a}]}, status: {phase: Failed, containerStatuses: [{name: a, image: '', \
                 imageID: '', ready: false, restartCount: 0, state: {terminated: {exitCode: 3}}}]}}",
                ["0/1", "ExitCode:3", "0"],
            ),
            (
                "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, spec: {containers: [{name: a}]}, \
                 status: {phase: Running}}",
                ["0/1", "Terminating", "0"],
            ),
        ];
        for (pod, expected) in cases {
            assert_eq!(status_of(pod), expected, "{pod}");
        }
    }
}
