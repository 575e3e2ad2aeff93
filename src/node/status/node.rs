//! The status of a node.

use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::node::register::ARCH;
use crate::node::{AgentConfig, KUBELET_VERSION};
use crate::random::Random;
use crate::runtime::{Image, Runtime};

/// A node lists at most so many images.
const IMAGES: usize = 50;
/// The port that kubelets serve on.
const KUBELET_PORT: i32 = 10250;

/// Condition, status, reason and message of a healthy node.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

/// The status of a node at `now`, after `before`.
pub(in crate::node) fn node_status(
    config: &AgentConfig,
    runtime: &dyn Runtime,
    images: &[Image],
    before: Option<&NodeStatus>,
    now: Time,
) -> NodeStatus {
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let info = runtime.info();
    let before = before.cloned().unwrap_or_default();
    let mut conditions = before.conditions.unwrap_or_default();
    for (type_, status, reason, message) in CONDITIONS {
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
