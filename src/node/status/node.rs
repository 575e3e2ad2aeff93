//! The status of a node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::node::register::ARCH;
use crate::node::{AgentConfig, KUBELET_VERSION, Pressure};
use crate::random::Random;
use crate::runtime::{Image, Runtime};

/// A node lists at most so many images.
const IMAGES: usize = 50;
/// The port that kubelets serve on.
const KUBELET_PORT: i32 = 10250;

/// A condition's status, its reason and message, and the reason of the event that tells of it.
type State = (&'static str, &'static str, &'static str, &'static str);

/// What a node may be short of, the condition when it is not, and when it is.
#[rustfmt::skip]
const PRESSURES: &[(Pressure, State, State)] = &[
    (
        Pressure::Memory,
        ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
        ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"),
    ),
    (
        Pressure::Disk,
        ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
        ("True", "KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
    ),
    (
        Pressure::Pid,
        ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
        ("True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"),
    ),
];

const READY: State = ("True", "KubeletReady", "kubelet is posting ready status", "NodeReady");

/// The conditions of a node that is short of these.
fn conditions(pressure: &BTreeSet<Pressure>) -> impl Iterator<Item = (&'static str, State)> {
    let states = PRESSURES
        .iter()
        .map(|(of, without, with)| (of.condition(), if pressure.contains(of) { *with } else { *without }));
    states.chain([("Ready", READY)])
}

/// The reasons of the events that tell of the conditions of a node that is short of `now`, as far as they differ from
/// those of one that is short of `before`; of all of them, where there is none.
pub(in crate::node) fn news(before: Option<&BTreeSet<Pressure>>, now: &BTreeSet<Pressure>) -> Vec<&'static str> {
    let known: Vec<_> = before.into_iter().flat_map(conditions).collect();
    conditions(now).filter(|condition| !known.contains(condition)).map(|(_, state)| state.3).collect()
}

/// The status of a node at `now`, after `before`.
pub(in crate::node) fn node_status(
    config: &AgentConfig,
    runtime: &dyn Runtime,
    images: &[Image],
    pressure: &BTreeSet<Pressure>,
    before: Option<&NodeStatus>,
    now: Time,
) -> NodeStatus {
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let info = runtime.info();
    let before = before.cloned().unwrap_or_default();
    let mut conditions = before.conditions.unwrap_or_default();
    for (type_, (status, reason, message, _)) in self::conditions(pressure) {
        let at = conditions.iter().position(|condition| condition.type_ == type_);
        let since = at.map(|at| &conditions[at]).filter(|condition| condition.status == status);
        let condition = NodeCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(now.clone()),
            last_transition_time: since.map_or(Some(now.clone()), |condition| condition.last_transition_time.clone()),
        };
        match at {
            Some(at) => conditions[at] = condition,
            None => conditions.push(condition),
        }
    }
    let mut images: Vec<_> = images.iter().collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.size));
    let images = images.into_iter().take(IMAGES).map(|image| {
        let mut names = image.names.clone();
        names.sort_by_key(|name| !name.contains('@')); // digests first, as the kubelet lists them
        ContainerImage { names: Some(names), size_bytes: i64::try_from(image.size).ok() }
    });
    // Identifies the machine: the same for every agent of this name.
    let machine = Random::seeded(0).fork(&config.name);
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", config.address.to_string()),
            address("Hostname", config.name.clone()),
        ]),
        capacity: Some(config.capacity.clone()),
        allocatable: Some(config.allocatable()),
        conditions: Some(conditions),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: KUBELET_PORT }) }),
        images: Some(images.collect()),
        node_info: Some(NodeSystemInfo {
            architecture: ARCH.to_owned(),
            boot_id: machine.uid(),
            container_runtime_version: format!("{}://{}", info.name, info.version),
            kernel_version: info.kernel_version,
            kube_proxy_version: String::new(),
            kubelet_version: KUBELET_VERSION.to_owned(),
            machine_id: machine.uid().replace('-', ""),
            operating_system: "linux".to_owned(),
            os_image: info.os_image,
            system_uuid: machine.uid(),
            ..NodeSystemInfo::default()
        }),
        ..before
    }
}

/// Whether two statuses say the same, heartbeats aside.
pub(in crate::node) fn same_status(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    still(a) == still(b)
}
