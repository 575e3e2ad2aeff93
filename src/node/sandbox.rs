//! The sandbox of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::machine::Machine;
use super::pod_worker::state::spec;
use crate::runtime::{Dns, PortMapping, Result, SandboxConfig, SandboxStatus};

/// Makes a pod's sandbox after `attempt` before it. An old one is stopped first, for its ports of the node, and removed
/// last: the pod's directories go with the last sandbox.
pub(super) async fn create(
    machine: &Machine,
    pod: &Pod,
    attempt: u32,
    old: Option<SandboxStatus>,
) -> Result<SandboxStatus> {
    if let Some(old) = &old {
        machine.runtime.stop_sandbox(&old.id).await?;
    }
    let made = machine.runtime.run_sandbox(&config(machine, pod, attempt)).await?;
    if let Some(old) = &old
        && let Err(error) = machine.runtime.remove_sandbox(&old.id).await
    {
        tracing::warn!(%error, sandbox = %old.id, "old sandbox not removed"); // it goes with the pod
    }
    Ok(made)
}

fn config(machine: &Machine, pod: &Pod, attempt: u32) -> SandboxConfig {
    let meta = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (name, namespace) = (text(&meta.name), text(&meta.namespace));
    let spec = spec(pod);
    let host_network = spec.host_network == Some(true);
    let security = spec.security_context.as_ref();
    let short = hostname(spec, &name);
    let fqdn = match spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty()) {
        Some(subdomain) => format!("{short}.{subdomain}.{namespace}.svc.{}", machine.config.cluster_domain),
        None => String::new(),
    };
    SandboxConfig {
        uid: text(&meta.uid),
        attempt,
        hostname: match () {
            () if host_network => machine.config.name.clone(),
            () if spec.set_hostname_as_fqdn == Some(true) && !fqdn.is_empty() => fqdn.clone(),
            () => short,
        },
        dns: dns(machine, spec, &namespace, host_network),
        hosts: hosts(spec),
        port_mappings: port_mappings(spec),
        host_network: host_network.then_some(machine.config.address),
        labels: meta.labels.clone().unwrap_or_default(),
        annotations: meta.annotations.clone().unwrap_or_default(),
        sysctls: security
            .iter()
            .flat_map(|security| security.sysctls.iter().flatten())
            .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
            .collect::<BTreeMap<_, _>>(),
        share_processes: spec.share_process_namespace == Some(true),
        host_processes: spec.host_pid == Some(true),
        host_ipc: spec.host_ipc == Some(true),
        fqdn,
        name,
        namespace,
    }
}

/// The host name: what the spec says, else the pod's name, as far as a host name may be long.
fn hostname(spec: &PodSpec, name: &str) -> String {
    let wanted = spec.hostname_override.as_deref().or(spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = wanted.unwrap_or(name);
    name[..name.len().min(63)].trim_end_matches(['-', '.']).to_owned()
}

fn dns(machine: &Machine, spec: &PodSpec, namespace: &str, host_network: bool) -> Dns {
    let domain = &machine.config.cluster_domain;
    let cluster = || Dns {
        servers: machine.config.cluster_dns.iter().map(ToString::to_string).collect(),
        searches: vec![[namespace, ".svc.", domain].concat(), ["svc.", domain].concat(), domain.clone()],
        options: vec!["ndots:5".to_owned()],
    };
    let mut dns = match spec.dns_policy.as_deref() {
        Some("Default" | "None") => Dns::default(),
        Some("ClusterFirst") | None if host_network => Dns::default(),
        _ => cluster(),
    };
    if let Some(own) = &spec.dns_config {
        dns.servers.extend(own.nameservers.clone().unwrap_or_default());
        dns.searches.extend(own.searches.clone().unwrap_or_default());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            dns.options.retain(|known| known.split(':').next() != Some(&name));
            dns.options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
        }
    }
    dns
}

fn hosts(spec: &PodSpec) -> Vec<(String, Vec<String>)> {
    let aliases = spec.host_aliases.iter().flatten();
    aliases.map(|alias| (alias.ip.clone(), alias.hostnames.clone().unwrap_or_default())).collect()
}

fn port_mappings(spec: &PodSpec) -> Vec<PortMapping> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let mapping = ports.filter_map(|port| {
        Some(PortMapping {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            container_port: u16::try_from(port.container_port).ok()?,
            host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
    });
    mapping.collect()
}
