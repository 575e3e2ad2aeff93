//! Defaults, and what an update keeps of what was allocated before.
//!
//! Source: `pkg/apis/core/v1/defaults.go` and `pkg/registry/core/service` (`strategy.go`, `storage.go`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{is_external, is_type, text, wants_cluster_ip, wants_health_port, wants_node_ports};

/// Seconds that a client sticks to an endpoint.
const AFFINITY_TIMEOUT: i32 = 10800;

pub(super) fn default(service: &mut Service) {
    let spec = service.spec.get_or_insert_default();
    set(&mut spec.session_affinity, "None");
    match text(&spec.session_affinity) {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
            if config.is_none_or(|config| config.timeout_seconds.is_none()) {
                let client_ip = Some(ClientIPConfig { timeout_seconds: Some(AFFINITY_TIMEOUT) });
                spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
            }
        }
        _ => {}
    }
    set(&mut spec.type_, "ClusterIP");
    for port in spec.ports.iter_mut().flatten() {
        set(&mut port.protocol, "TCP");
        let unset = match &port.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(name)) => name.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if unset {
            port.target_port = Some(IntOrString::Int(port.port));
        }
    }
    if is_external(spec) {
        set(&mut spec.external_traffic_policy, "Cluster");
    }
    if wants_cluster_ip(spec) {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".into());
    }
    let balanced = is_type(spec, &["LoadBalancer"]);
    if balanced {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    let balancer = service.status.get_or_insert_default().load_balancer.get_or_insert_default();
    for point in balancer.ingress.iter_mut().flatten().filter(|point| balanced && !text(&point.ip).is_empty()) {
        point.ip_mode.get_or_insert_with(|| "VIP".into());
    }
}

fn set(field: &mut Option<String>, value: &str) {
    if text(field).is_empty() {
        *field = Some(value.into());
    }
}

/// Makes `clusterIPs` follow `clusterIP` where a client knows only the latter.
pub(super) fn normalize(new: &mut ServiceSpec, old: Option<&ServiceSpec>) {
    let ip = text(&new.cluster_ip).to_owned();
    let none = new.cluster_ips.as_ref().is_none_or(Vec::is_empty);
    let Some(old) = old else {
        if none && !ip.is_empty() {
            new.cluster_ips = Some(vec![ip]);
        }
        return;
    };
    if text(&old.cluster_ip) == ip {
        if none {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
    } else if new.cluster_ips == old.cluster_ips {
        new.cluster_ips = (!ip.is_empty()).then(|| vec![ip]);
    }
}

/// Fills in what was allocated for the old version where the new one leaves it out.
pub(super) fn keep_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if wants_cluster_ip(old) && wants_cluster_ip(new) {
        if text(&new.cluster_ip).is_empty() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if new.cluster_ips.as_ref().is_none_or(Vec::is_empty) && new.cluster_ip == old.cluster_ip {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if wants_node_ports(old) && wants_node_ports(new) {
        keep_node_ports(new, old);
    }
    if wants_health_port(old) && wants_health_port(new) && new.health_check_node_port.unwrap_or_default() == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
}

fn keep_node_ports(new: &mut ServiceSpec, old: &ServiceSpec) {
    let node_port = |port: &ServicePort| port.node_port.unwrap_or_default();
    let by_name: BTreeMap<_, _> = old.ports.iter().flatten().map(|port| (text(&port.name), node_port(port))).collect();
    let mut used: BTreeSet<_> = new.ports.iter().flatten().map(node_port).collect();
    for port in new.ports.iter_mut().flatten().filter(|port| node_port(port) == 0) {
        if let Some(number) = by_name.get(text(&port.name)).filter(|number| **number != 0)
            && used.insert(*number)
        {
            port.node_port = Some(*number);
        }
    }
}

/// Drops what the old type needed and the new one does not, unless the client set it to something new.
pub(super) fn drop_by_type(new: &mut ServiceSpec, old: &ServiceSpec) {
    fn drop<T: Clone + PartialEq>(new: &mut Option<T>, old: &Option<T>) {
        if new == old {
            *new = None;
        }
    }
    let lost = |wants: fn(&ServiceSpec) -> bool, new: &ServiceSpec| wants(old) && !wants(new);
    if lost(wants_cluster_ip, new) {
        if (&new.cluster_ip, &new.cluster_ips) == (&old.cluster_ip, &old.cluster_ips) {
            (new.cluster_ip, new.cluster_ips) = (None, None);
        }
        drop(&mut new.ip_families, &old.ip_families);
        drop(&mut new.ip_family_policy, &old.ip_family_policy);
    }
    let node_ports = |spec: &ServiceSpec| -> Vec<_> {
        spec.ports.iter().flatten().map(|port| port.node_port.unwrap_or_default()).collect()
    };
    if lost(wants_node_ports, new) && node_ports(new) == node_ports(old) {
        for port in new.ports.iter_mut().flatten() {
            port.node_port = None;
        }
    }
    if lost(wants_health_port, new) {
        drop(&mut new.health_check_node_port, &old.health_check_node_port);
    }
    if lost(|spec| is_type(spec, &["LoadBalancer"]), new) {
        drop(&mut new.allocate_load_balancer_node_ports, &old.allocate_load_balancer_node_ports);
        drop(&mut new.load_balancer_class, &old.load_balancer_class);
    }
    if lost(is_external, new) {
        drop(&mut new.external_traffic_policy, &old.external_traffic_policy);
    }
}
