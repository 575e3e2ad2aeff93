//! Sandboxes: the network identity of a pod.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

/// Identifies a sandbox in its runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SandboxId(Arc<str>);

impl SandboxId {
    /// The sandbox of that ID.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How names resolve in a pod (`/etc/resolv.conf`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Resolver options (`ndots:5`).
    pub options: Vec<String>,
}

impl Dns {
    /// `/etc/resolv.conf`
    pub(super) fn resolv_conf(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text += &format!("search {}\n", self.searches.join(" "));
        }
        for server in &self.servers {
            text += &format!("nameserver {server}\n");
        }
        if !self.options.is_empty() {
            text += &format!("options {}\n", self.options.join(" "));
        }
        text
    }
}

/// A port of the node that leads to a port of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The pod's port.
    pub container_port: u16,
    /// The node's port.
    pub host_port: u16,
    /// The node's address; all where empty.
    pub host_ip: String,
}

/// What a sandbox is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SandboxConfig {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's UID.
    pub uid: String,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
    /// The host name that containers see.
    pub hostname: String,
    /// The name in full by which other pods find this one (`name.subdomain.namespace.svc.domain`), where it has one.
    pub fqdn: String,
    /// Name resolution.
    pub dns: Dns,
    /// Further lines of `/etc/hosts`: address and names.
    pub hosts: Vec<(String, Vec<String>)>,
    /// Ports of the node that lead into the pod.
    pub port_mappings: Vec<PortMapping>,
    /// The node's own address, where the pod shares the node's network (`hostNetwork`).
    pub host_network: Option<IpAddr>,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Kernel parameters (`securityContext.sysctls`).
    pub sysctls: BTreeMap<String, String>,
    /// Whether the containers see each other's processes.
    pub share_processes: bool,
    /// Whether the containers see the node's processes (`hostPID`).
    pub host_processes: bool,
    /// Whether the containers share the node's inter-process communication (`hostIPC`).
    pub host_ipc: bool,
}

/// What every pod's `/etc/hosts` begins with.
const HOSTS: &str = "\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
";

impl SandboxConfig {
    /// `/etc/hosts` of a pod that has that address; without one, what is common to all.
    pub(super) fn hosts_file(&self, ip: Option<IpAddr>) -> String {
        let mut text = HOSTS.to_owned();
        if let Some(ip) = ip {
            let names = [&self.fqdn, &self.hostname].map(String::as_str);
            let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
            text += &format!("{ip}\t{}\n", names.join("\t"));
        }
        if !self.hosts.is_empty() {
            text += "\n# Entries added by HostAliases.\n";
        }
        for (address, names) in &self.hosts {
            text += &format!("{address}\t{}\n", names.join("\t"));
        }
        text
    }
}

/// A sandbox as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxStatus {
    /// Its ID.
    pub id: SandboxId,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's UID.
    pub uid: String,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
    /// Whether it runs; a sandbox that was stopped never runs again.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The pod's addresses, the main one first.
    pub ips: Vec<IpAddr>,
}
