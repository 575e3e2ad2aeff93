//! Which kernel parameters a pod may set on its node.
//!
//! Source: <https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/>

use std::borrow::Cow;

use k8s_openapi::api::core::v1::PodSpec;

use super::admit::Refusal;

/// Those that count for the pod alone and harm no other: any pod may set them.
const SAFE: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// The kernel's namespaces that parameters belong to, by what their names begin with.
const NAMESPACES: &[(&str, &str)] =
    &[("kernel.sem", "ipc"), ("kernel.shm", "ipc"), ("kernel.msg", "ipc"), ("fs.mqueue.", "ipc"), ("net.", "net")];

/// Why the node does not take a pod for its kernel parameters. `allowed` are names, and beginnings of names with a `*`,
/// that are taken beside the safe ones.
pub(super) fn refuses(spec: &PodSpec, allowed: &[String]) -> Option<Refusal> {
    let sysctls = spec.security_context.as_ref()?.sysctls.as_ref()?;
    let why = sysctls.iter().find_map(|sysctl| forbidden(&with_dots(&sysctl.name), spec, allowed))?;
    Some(("SysctlForbidden".to_owned(), format!("forbidden sysctl: {why}")))
}

fn forbidden(name: &str, spec: &PodSpec, allowed: &[String]) -> Option<String> {
    let matches = |pattern: &String| {
        let pattern = with_dots(pattern);
        pattern.strip_suffix('*').map_or(name == pattern, |begin| name.starts_with(begin))
    };
    let namespace = NAMESPACES.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, namespace)| *namespace);
    let Some(namespace) = namespace.filter(|_| SAFE.contains(&name) || allowed.iter().any(matches)) else {
        return Some(format!("{name:?} not allowlisted"));
    };
    let host = if namespace == "net" { spec.host_network } else { spec.host_ipc };
    (host == Some(true)).then(|| format!("{name:?} not allowed with host {namespace} enabled"))
}

/// A name with dots between its parts: those that are written with slashes may have dots within.
fn with_dots(name: &str) -> Cow<'_, str> {
    match name.find(['.', '/']).filter(|at| name.as_bytes()[*at] == b'/') {
        None => name.into(),
        Some(_) => name
            .chars()
            .map(|c| match c {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect::<String>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(name: &str, host: &str, allowed: &[&str]) -> Option<String> {
        let mut spec = json!({"containers": [], "securityContext": {"sysctls": [{"name": name, "value": "1"}]}});
        spec[host] = json!(true);
        let spec = serde_json::from_value(spec).unwrap();
        let allowed: Vec<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        refuses(&spec, &allowed).map(|(_, message)| message)
    }

    #[test]
    fn safe_parameters_are_taken_and_others_where_they_are_allowed() {
        for name in ["kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies", "net/ipv4/tcp_syncookies"] {
            assert_eq!(told(name, "hostPID", &[]), None, "{name}");
        }
        let refused = Some("forbidden sysctl: \"net.core.somaxconn\" not allowlisted".to_owned());
        assert_eq!(told("net.core.somaxconn", "hostPID", &[]), refused);
        assert_eq!(told("net.core.somaxconn", "hostPID", &["net.core.*"]), None);
        assert_eq!(told("net.core.somaxconn", "hostPID", &["net/core/somaxconn"]), None);
        assert_eq!(told("net.core.somaxconn", "hostPID", &["net.core"]), refused, "a part is not the whole");
        let elsewhere = Some("forbidden sysctl: \"vm.swappiness\" not allowlisted".to_owned());
        assert_eq!(told("vm.swappiness", "hostPID", &["vm.*"]), elsewhere, "it is everybody's");
    }

    #[test]
    fn what_a_pod_shares_with_its_node_it_does_not_set() {
        let net = "forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host net enabled";
        assert_eq!(told("net.ipv4.tcp_syncookies", "hostNetwork", &[]).as_deref(), Some(net));
        let ipc = "forbidden sysctl: \"kernel.msgmax\" not allowed with host ipc enabled";
        assert_eq!(told("kernel.msgmax", "hostIPC", &["kernel.msg*"]).as_deref(), Some(ipc));
    }
}
