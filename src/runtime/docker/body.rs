//! What the engine is told about a container.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, NetworkingConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use std::net::Ipv4Addr;
use std::path::Path;

use super::label::Labels;
use super::{pause, resources, security};
use crate::runtime::{ContainerConfig, Device, Limits, Result, SandboxConfig};

/// The pause container is the last to go when memory runs out.
pub(super) const PAUSE_SCORE: i64 = -998;

/// Logs are kept in so many files of at most that size, as the kubelet has it.
fn log_config() -> HostConfigLogConfig {
    let config = [("max-size", "10m"), ("max-file", "5")];
    let config = config.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config) }
}

/// What all containers have: no restarts by the engine, and the logs that are read here.
fn host_config() -> HostConfig {
    let never = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
    HostConfig { restart_policy: Some(never), log_config: Some(log_config()), ..HostConfig::default() }
}

/// The pause container of a sandbox. `program`: whether the image is the runtime's own.
pub(super) fn sandbox(
    config: &SandboxConfig,
    image: &str,
    own_image: bool,
    network: &str,
    address: Option<Ipv4Addr>,
    oom_score: i64,
    labels: Labels,
) -> ContainerCreateBody {
    let some = |condition: bool, text: &str| condition.then(|| text.to_owned());
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    // A pod on the node's network has the node's ports already.
    for mapping in config.port_mappings.iter().filter(|_| address.is_some()) {
        let name = format!("{}/{}", mapping.container_port, mapping.protocol.to_lowercase());
        let host_ip = Some(mapping.host_ip.clone()).filter(|ip| !ip.is_empty());
        let binding = PortBinding { host_ip, host_port: Some(mapping.host_port.to_string()) };
        ports.entry(name).or_default().get_or_insert_default().push(binding);
    }
    let exposed: Vec<_> = ports.keys().cloned().collect();
    let endpoint = address.map(|address| {
        let ipam = EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() };
        EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() }
    });
    let host = HostConfig {
        network_mode: Some(if address.is_some() { network.to_owned() } else { "host".to_owned() }),
        ipc_mode: Some(if config.host_ipc { "host" } else { "shareable" }.to_owned()),
        pid_mode: some(config.host_processes, "host"),
        port_bindings: Some(ports).filter(|ports| !ports.is_empty()),
        sysctls: Some(config.sysctls.clone().into_iter().collect()),
        oom_score_adj: Some(oom_score),
        cpu_shares: Some(2),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        ..host_config()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: own_image.then(|| vec![pause::PROGRAM.to_owned()]),
        hostname: Some(config.hostname.clone()).filter(|name| !name.is_empty()),
        labels: Some(labels),
        exposed_ports: Some(exposed),
        networking_config: endpoint
            .map(|endpoint| NetworkingConfig { endpoints_config: Some([(network.to_owned(), endpoint)].into()) }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// What a container takes over from its sandbox.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// The pause container.
    pub(super) sandbox: String,
    pub(super) share_processes: bool,
    pub(super) host_processes: bool,
    pub(super) host_ipc: bool,
    /// The least `oom_score_adj` that the engine may give.
    pub(super) oom_floor: i64,
}

/// A container of a pod.
///
/// # Errors
/// Where the pod asks for what does not exist.
pub(super) fn container(
    config: &ContainerConfig,
    image: &str,
    shared: &Shared,
    mounts: Vec<Mount>,
    labels: Labels,
) -> Result<ContainerCreateBody> {
    let sandbox = format!("container:{}", shared.sandbox);
    let mut host = HostConfig {
        network_mode: Some(sandbox.clone()),
        ipc_mode: Some(if shared.host_ipc { "host".to_owned() } else { sandbox.clone() }),
        pid_mode: match shared {
            Shared { host_processes: true, .. } => Some("host".to_owned()),
            Shared { share_processes: true, .. } => Some(sandbox),
            _ => None,
        },
        oom_score_adj: Some(i64::from(config.oom_score).max(shared.oom_floor)),
        mounts: Some(mounts),
        devices: Some(config.devices.iter().map(device).collect::<Vec<_>>()).filter(|devices| !devices.is_empty()),
        ..host_config()
    };
    resources::apply(Limits::of(&config.resources), &mut host);
    let user = security::apply(config, &mut host)?;
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let words = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    Ok(ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: words(&config.command),
        cmd: words(&config.args),
        working_dir: filled(&config.working_dir),
        env: Some(config.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: filled(&user),
        tty: Some(config.tty),
        open_stdin: Some(config.stdin),
        stdin_once: Some(config.stdin_once),
        stop_signal: filled(&config.stop_signal),
        // The pod's probes say how it is, not the image's.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        labels: Some(labels),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

fn device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.path.clone()),
        cgroup_permissions: Some(if device.read_only { "r" } else { "mrw" }.to_owned()),
    }
}

/// A file or directory of the node in a container.
pub(super) fn mount(source: &Path, target: &str, read_only: bool, propagation: &str) -> Mount {
    let propagation = match propagation {
        "HostToContainer" => MountBindOptionsPropagationEnum::RSLAVE,
        "Bidirectional" => MountBindOptionsPropagationEnum::RSHARED,
        _ => MountBindOptionsPropagationEnum::RPRIVATE,
    };
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        bind_options: Some(MountBindOptions { propagation: Some(propagation), ..MountBindOptions::default() }),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::PortMapping;

    fn shared() -> Shared {
        Shared {
            sandbox: "pause".into(),
            share_processes: false,
            host_processes: false,
            host_ipc: false,
            oom_floor: -998,
        }
    }

    #[test]
    fn containers_join_the_namespaces_of_their_sandbox() {
        let of = |shared: &Shared| {
            let body = container(&ContainerConfig::default(), "image", shared, Vec::new(), Labels::new()).unwrap();
            let host = body.host_config.unwrap();
            (host.network_mode.unwrap(), host.pid_mode, host.ipc_mode.unwrap())
        };
        let joined = || "container:pause".to_owned();
        assert_eq!(of(&shared()), (joined(), None, joined()));
        assert_eq!(of(&Shared { share_processes: true, ..shared() }).1, Some(joined()));
        let host = Shared { share_processes: true, host_processes: true, host_ipc: true, ..shared() };
        assert_eq!(of(&host), (joined(), Some("host".into()), "host".into()));
    }

    #[test]
    fn ports_of_the_node_lead_into_the_sandbox() {
        let mapping = |port, host_ip: &str| PortMapping {
            protocol: "TCP".into(),
            container_port: 80,
            host_port: port,
            host_ip: host_ip.into(),
        };
        let config = SandboxConfig {
            port_mappings: vec![mapping(8080, ""), mapping(8081, "127.0.0.1")],
            ..SandboxConfig::default()
        };
        let on =
            |address| sandbox(&config, "pause", true, "pods", address, PAUSE_SCORE, Labels::new()).host_config.unwrap();
        let bindings = on(Some([10, 0, 0, 2].into())).port_bindings.unwrap()["80/tcp"].clone().unwrap();
        let bindings: Vec<_> =
            bindings.into_iter().map(|binding| (binding.host_ip, binding.host_port.unwrap())).collect();
        assert_eq!(bindings, [(None, "8080".into()), (Some("127.0.0.1".into()), "8081".into())]);
        let host = on(None);
        assert_eq!((host.network_mode.as_deref(), host.port_bindings), (Some("host"), None));
    }
}
