//! The status of a pod.

use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    HostIP, PodIP, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::conditions;
use super::phase::phase;
use crate::api::kinds::core::pod::{is_final, qos_class};
use crate::node::pod_worker::state::{Instances, PodState, Role, containers, restarts};
use crate::node::resize;
use crate::runtime;

/// A time as objects carry it: in whole seconds, so that it is the same when it is read back.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The status of a pod at `now`, after `before`. `scheme` is that of container IDs.
pub(in crate::node) fn pod_status(
    state: &PodState,
    before: Option<&PodStatus>,
    scheme: &str,
    now: Timestamp,
) -> PodStatus {
    static NOTHING: LazyLock<PodStatus> = LazyLock::new(PodStatus::default);
    let now = time(now);
    let before = before.unwrap_or(&NOTHING);
    let generation = state.pod.metadata.generation;
    // It never changes.
    let qos_class = Some(before.qos_class.clone().unwrap_or_else(|| qos_class(state.spec()).to_owned()));
    let start_time = Some(before.start_time.clone().unwrap_or_else(|| now.clone()));
    if let Some((reason, message)) = &state.refused {
        return PodStatus {
            observed_generation: generation,
            phase: Some("Failed".to_owned()),
            reason: Some(reason.clone()),
            message: Some(message.clone()),
            start_time,
            qos_class,
            ..before.clone()
        };
    }
    let statuses = |wanted: &[Role]| -> Vec<ContainerStatus> {
        let some = || containers(state.spec()).filter(|(role, _)| wanted.contains(role));
        // Exactly as many: they are large, and kept for as long as the pod.
        let mut all = Vec::with_capacity(some().count());
        all.extend(some().map(|(role, container)| container_status(state, role, &container, scheme)));
        all
    };
    let init = statuses(&[Role::Init, Role::Sidecar]);
    let main = statuses(&[Role::Main]);
    let ephemeral = statuses(&[Role::Ephemeral]);
    // A pod has not failed before all of it has ended.
    let failure = state.ending.as_ref().filter(|ending| ending.done).and_then(|ending| ending.failure.as_ref());
    let terminal = before.phase.as_deref().filter(|phase| is_final(phase));
    let phase = match terminal {
        _ if failure.is_some() => "Failed",
        Some("Succeeded") => "Succeeded", // a phase that is final stays
        Some(_) => "Failed",
        None => phase(state, &init, &main),
    };
    let known = before.conditions.as_deref().unwrap_or_default();
    let conditions = conditions(state, known, phase, &init, &main, &now);
    let ips: Vec<_> = match &state.sandbox {
        Some(sandbox) if sandbox.ready => sandbox.ips.iter().map(ToString::to_string).collect(),
        // The addresses stay to be read after the pod has ended.
        _ => before.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    };
    let host = state.host.to_string();
    let filled = |list: Vec<ContainerStatus>| Some(list).filter(|list| !list.is_empty());
    PodStatus {
        observed_generation: generation,
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        reason: failure.map(|failure| failure.reason.to_owned()).or_else(|| before.reason.clone()),
        message: failure.map(|failure| failure.message.clone()).or_else(|| before.message.clone()),
        host_ip: Some(host.clone()),
        host_ips: Some(vec![HostIP { ip: host }]),
        pod_ip: ips.first().cloned(),
        pod_ips: Some(ips.into_iter().map(|ip| PodIP { ip }).collect()).filter(|ips: &Vec<_>| !ips.is_empty()),
        start_time,
        init_container_statuses: filled(init),
        container_statuses: filled(main),
        ephemeral_container_statuses: filled(ephemeral),
        qos_class,
        nominated_node_name: None,
        // What others say stays.
        allocated_resources: before.allocated_resources.clone(),
        extended_resource_claim_status: before.extended_resource_claim_status.clone(),
        node_allocatable_resource_claim_statuses: before.node_allocatable_resource_claim_statuses.clone(),
        resize: before.resize.clone(),
        resource_claim_statuses: before.resource_claim_statuses.clone(),
        resources: before.resources.clone(),
    }
}

fn container_status(state: &PodState, role: Role, container: &Container, scheme: &str) -> ContainerStatus {
    let none = Instances::default();
    let instances = state.instances(&container.name).unwrap_or(&none);
    let id = |status: &runtime::ContainerStatus| [scheme, "://", status.id.as_str()].concat();
    let exit = instances.exit();
    let over = state.ending.as_ref().is_some_and(|ending| ending.done);
    let restarting = exit.is_some_and(|exit| restarts(state.spec(), role, container, exit.code));
    let terminated = |status: &runtime::ContainerStatus| {
        status.exit().map(|exit| ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: Some(id(status)),
                exit_code: exit.code,
                reason: Some(exit.reason.clone()),
                message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
                started_at: exit.started_at.map(time),
                finished_at: Some(time(exit.finished_at)),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        })
    };
    let waiting = |reason: &str, message: Option<String>| ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    };
    let now = match (&instances.last, &instances.waiting) {
        (Some(last), _) if last.is_running() => {
            let runtime::ContainerState::Running { started_at } = last.state else { unreachable!("it is running") };
            let running = Some(ContainerStateRunning { started_at: Some(time(started_at)) });
            (ContainerState { running, ..ContainerState::default() }, instances.before.as_ref())
        }
        (Some(last), Some(why)) if restarting && !over => {
            (waiting(why.reason, Some(why.message.clone()).filter(|text| !text.is_empty())), Some(last))
        }
        (Some(last), _) => (terminated(last).unwrap_or_default(), instances.before.as_ref()),
        (None, Some(why)) if !over => {
            (waiting(why.reason, Some(why.message.clone()).filter(|text| !text.is_empty())), instances.before.as_ref())
        }
        (None, _) if over => (never_seen(), instances.before.as_ref()),
        (None, _) => {
            let has_init = state.spec().init_containers.as_ref().is_some_and(|init| !init.is_empty());
            let initializing = has_init && !matches!(role, Role::Ephemeral);
            (
                waiting(if initializing { "PodInitializing" } else { "ContainerCreating" }, None),
                instances.before.as_ref(),
            )
        }
    };
    let (now, before) = now;
    let running = now.running.is_some();
    let ready = match role {
        Role::Init => exit.is_some_and(|exit| exit.code == 0),
        Role::Ephemeral => false,
        _ => running && instances.ready,
    };
    let started = match role {
        Role::Init | Role::Ephemeral if !running => Some(false),
        Role::Init | Role::Ephemeral => Some(true),
        _ => Some(running && instances.started),
    };
    let resources = |last: &runtime::ContainerStatus| match state.resources(container) {
        Some(allocated) if running => resize::actual(allocated, last.limits),
        allocated => allocated.cloned().unwrap_or_default(),
    };
    let restarts = instances.last.as_ref().map_or(instances.attempts, |last| last.attempt);
    ContainerStatus {
        name: container.name.clone(),
        state: Some(now),
        last_state: Some(before.and_then(terminated).unwrap_or_default()),
        ready,
        started: if role == Role::Ephemeral { None } else { started },
        restart_count: i32::try_from(restarts).unwrap_or(i32::MAX),
        image: instances
            .last
            .as_ref()
            .map_or_else(|| container.image.clone(), |last| Some(last.image.clone()))
            .unwrap_or_default(),
        image_id: instances.last.as_ref().map(|last| last.image_id.clone()).unwrap_or_default(),
        container_id: instances.last.as_ref().map(id),
        allocated_resources: instances.last.as_ref().and_then(|_| state.resources(container)?.requests.clone()),
        resources: instances.last.as_ref().map(resources),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    }
}

/// A container of which nobody knows how it ended.
fn never_seen() -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some("The container could not be located when the pod was terminated".to_owned()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let status = mounts.iter().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|only| *only),
        recursive_read_only: mount.read_only.filter(|only| *only).map(|_| "Disabled".to_owned()),
        ..VolumeMountStatus::default()
    });
    Some(status.collect())
}
