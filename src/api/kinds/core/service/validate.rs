//! What a Service must look like.
//!
//! Source: `ValidateService` in `pkg/apis/core/validation/validation.go`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::{is_external, is_headless, is_type, text, wants_cluster_ip, wants_health_port};
use crate::api::FieldErrors;
use crate::api::field::Path;
use crate::api::rules::{self, ip, label, name, port};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const FAMILY_POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
const TRAFFIC_POLICIES: &[&str] = &["Cluster", "Local"];
const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameNode", "PreferSameZone"];
const KUBELET_PORT: i32 = 10250;
const MAX_AFFINITY: i32 = 86400;

pub(super) fn service(service: &Service, errors: &mut FieldErrors) {
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let path = Path::new("spec");
    by_type(spec, &path, errors);
    ports(spec, &path.child("ports"), errors);
    label::labels(errors, &path.child("selector"), spec.selector.as_ref());
    affinity(spec, &path, errors);
    if !is_type(spec, &["ExternalName"]) {
        cluster_ips(spec, &path, errors);
    }
    let at = path.child("externalIPs");
    for (index, address) in spec.external_ips.iter().flatten().enumerate() {
        let complaints = Some(ip::valid(address)).filter(|bad| !bad.is_empty());
        let complaints = complaints.unwrap_or_else(|| ip::endpoint(address, false));
        rules::complain(errors, &at.index(index), address, complaints);
    }
    one_of(&path.child("type"), text(&spec.type_), TYPES, errors);
    distinct_ports(spec, &path.child("ports"), errors);
    source_ranges(spec, &path, errors);
    traffic(spec, &path, errors);
    balancer(spec, &path, errors);
}

/// Complains about a value that is missing or none of the allowed ones.
fn one_of(path: &Path<'_>, value: &str, allowed: &[&str], errors: &mut FieldErrors) {
    if value.is_empty() {
        errors.required(path, "");
    } else if !allowed.contains(&value) {
        errors.not_supported(path, value, allowed);
    }
}

fn by_type(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() && !is_headless(spec) && !is_type(spec, &["ExternalName"]) {
        errors.required(&path.child("ports"), "");
    }
    if is_type(spec, &["LoadBalancer"]) {
        let at = path.child("ports");
        for index in (0..ports.len()).filter(|index| ports[*index].port == KUBELET_PORT) {
            let detail = format!("may not expose port {KUBELET_PORT} externally since it is used by kubelet");
            errors.invalid(&at.index(index), KUBELET_PORT, detail);
        }
    }
    if is_type(spec, &["LoadBalancer", "NodePort"]) && is_headless(spec) {
        let detail = format!("may not be set to 'None' for {} services", text(&spec.type_));
        errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
    }
    if is_type(spec, &["ExternalName"]) {
        for (field, set) in [
            ("clusterIPs", spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty())),
            ("ipFamilies", spec.ip_families.as_ref().is_some_and(|families| !families.is_empty())),
            ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
        ] {
            if set {
                errors.forbidden(&path.child(field), "may not be set for ExternalName services");
            }
        }
        let target = text(&spec.external_name);
        match target.strip_suffix('.').unwrap_or(target) {
            "" => errors.required(&path.child("externalName"), ""),
            target => rules::complain(errors, &path.child("externalName"), target, name::dns_subdomain(target)),
        }
    }
}

fn ports(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    for (index, of) in ports.iter().enumerate() {
        let path = path.index(index);
        match text(&of.name) {
            "" if ports.len() > 1 => errors.required(&path.child("name"), ""),
            "" => {}
            text => {
                rules::complain(errors, &path.child("name"), text, name::dns_label(text));
                if !names.insert(text) {
                    errors.duplicate(&path.child("name"), text);
                }
            }
        }
        port::check_number(errors, &path.child("port"), of.port);
        port::check_protocol(errors, &path.child("protocol"), of.protocol.as_deref());
        match &of.target_port {
            Some(IntOrString::String(text)) => port::check_name(errors, &path.child("targetPort"), text),
            Some(IntOrString::Int(number)) => port::check_number(errors, &path.child("targetPort"), *number),
            None => {}
        }
        if let Some(protocol) = &of.app_protocol {
            rules::complain(errors, &path.child("appProtocol"), protocol, label::qualified_name(protocol));
        }
    }
}

fn distinct_ports(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let node_port = |port: &ServicePort| port.node_port.unwrap_or_default();
    for (index, _) in ports.iter().enumerate().filter(|(_, port)| node_port(port) != 0) {
        if is_type(spec, &["ClusterIP"]) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.forbidden(&path.index(index).child("nodePort"), detail);
        }
    }
    let (mut node_ports, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let number = node_port(port);
        if number != 0 && !node_ports.insert((text(&port.protocol), number)) {
            errors.duplicate(&path.index(index).child("nodePort"), number);
        }
    }
    for (index, port) in ports.iter().enumerate() {
        if !pairs.insert((text(&port.protocol), port.port)) {
            let shown = json!({
                "Name": "", "Protocol": text(&port.protocol), "AppProtocol": null, "Port": port.port,
                "TargetPort": 0, "NodePort": 0,
            });
            errors.duplicate(&path.index(index), shown);
        }
    }
}

fn affinity(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    one_of(&path.child("sessionAffinity"), text(&spec.session_affinity), &["ClientIP", "None"], errors);
    let at = path.child("sessionAffinityConfig");
    match text(&spec.session_affinity) {
        "ClientIP" => client_ip(spec.session_affinity_config.as_ref(), &at, errors),
        "None" if spec.session_affinity_config.is_some() => {
            errors.forbidden(&at, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn client_ip(config: Option<&SessionAffinityConfig>, path: &Path<'_>, errors: &mut FieldErrors) {
    let missing = "when session affinity type is ClientIP";
    let Some(config) = config else { return errors.required(path, missing) };
    let path = path.child("clientIP");
    let Some(config) = &config.client_ip else { return errors.required(&path, missing) };
    let path = path.child("timeoutSeconds");
    match config.timeout_seconds {
        None => errors.required(&path, missing),
        Some(1..=MAX_AFFINITY) => {}
        Some(seconds) => {
            errors.invalid(&path, seconds, format!("must be greater than 0 and less than {MAX_AFFINITY}"));
        }
    }
}

fn cluster_ips(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let at = path.child("clusterIPs");
    let ips = spec.cluster_ips.as_deref().unwrap_or_default();
    match (text(&spec.cluster_ip), ips) {
        ("", []) => {}
        ("", _) => errors.invalid(&at, json!(ips), "must be empty when `clusterIP` is not specified"),
        (_, []) => errors.required(&at, ""),
        (first, [ip, ..]) if first != ip => errors.invalid(&at, json!(ips), "first value must match `clusterIP`"),
        _ => {}
    }
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let in_families = path.child("ipFamilies");
    for (index, family) in families.iter().enumerate() {
        if !FAMILIES.contains(&family.as_str()) {
            errors.not_supported(&in_families.index(index), family, FAMILIES);
        }
        if families[..index].contains(family) {
            errors.duplicate(&in_families.index(index), family);
        }
    }
    if let Some(policy) = &spec.ip_family_policy {
        one_of(&path.child("ipFamilyPolicy"), policy, FAMILY_POLICIES, errors);
    }
    let before = errors.len();
    for (index, address) in ips.iter().enumerate() {
        match address.as_str() {
            "None" if index == 0 && ips.len() == 1 => {}
            "None" if index == 0 => errors.invalid(&at, json!(ips), "'None' must be the first and only value"),
            address => rules::complain(errors, &at.index(index), address, ip::valid(address)),
        }
    }
    if ips.len() > 2 {
        errors.invalid(&at, json!(ips), "may only hold up to 2 values");
    }
    if errors.len() > before || is_headless(spec) {
        return;
    }
    if ips.len() == 2 && ip::is_v4(&ips[0]) == ip::is_v4(&ips[1]) {
        errors.invalid(&at, json!(ips), "may specify no more than one IP for each IP family");
    }
    for (index, (address, family)) in ips.iter().zip(families).enumerate() {
        if ip::is_v4(address) != (family == "IPv4") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.invalid(&at.index(index), address, detail);
        }
    }
}

fn source_ranges(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let at = path.child("loadBalancerSourceRanges");
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    if ranges.is_empty() {
        return;
    }
    if !is_type(spec, &["LoadBalancer"]) {
        errors.forbidden(&at, "may only be used when `type` is 'LoadBalancer'");
    }
    for (index, range) in ranges.iter().enumerate() {
        rules::complain(errors, &at.index(index), range, ip::range(range.trim()));
    }
}

fn traffic(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let at = path.child("externalTrafficPolicy");
    let policy = text(&spec.external_traffic_policy);
    if is_external(spec) {
        one_of(&at, policy, TRAFFIC_POLICIES, errors);
    } else if !policy.is_empty() {
        errors.invalid(&at, policy, "may only be set for externally-accessible services");
    }
    let at = path.child("healthCheckNodePort");
    match spec.health_check_node_port.unwrap_or_default() {
        0 => {}
        number if wants_health_port(spec) => port::check_number(errors, &at, number),
        number => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&at, number, detail);
        }
    }
    match &spec.internal_traffic_policy {
        None if !wants_cluster_ip(spec) => {}
        policy => one_of(&path.child("internalTrafficPolicy"), text(policy), TRAFFIC_POLICIES, errors),
    }
    if let Some(distribution) = spec.traffic_distribution.as_deref().filter(|text| !DISTRIBUTIONS.contains(text)) {
        errors.not_supported(&path.child("trafficDistribution"), distribution, DISTRIBUTIONS);
    }
}

fn balancer(spec: &ServiceSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let balanced = is_type(spec, &["LoadBalancer"]);
    let at = path.child("allocateLoadBalancerNodePorts");
    match spec.allocate_load_balancer_node_ports {
        Some(_) if !balanced => errors.forbidden(&at, "may only be used when `type` is 'LoadBalancer'"),
        None if balanced => errors.required(&at, "field is required"),
        _ => {}
    }
    let at = path.child("loadBalancerClass");
    match &spec.load_balancer_class {
        Some(class) if balanced => rules::complain(errors, &at, class, label::qualified_name(class)),
        Some(_) => errors.forbidden(&at, "may only be used when `type` is 'LoadBalancer'"),
        None => {}
    }
}
