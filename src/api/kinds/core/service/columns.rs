//! How `kubectl get services` shows a Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::text;
use crate::api::rules::label;
use crate::api::{Cell, Column};

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::name(),
        Column::text("Type", "type determines how the Service is exposed."),
        Column::text("Cluster-IP", "clusterIP is the IP address of the service and is usually assigned randomly."),
        Column::text("External-IP", "externalIPs is a list of IP addresses for which nodes will also accept traffic."),
        Column::text("Port(s)", "The list of ports that are exposed by this service."),
        Column::age(),
        Column::text("Selector", "Route service traffic to pods with label keys and values matching this selector.")
            .wide(),
    ]
}

pub(super) fn cells(service: &Service, now: Timestamp) -> Vec<Cell> {
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    vec![
        Cell::name(&service.metadata),
        text(&spec.type_).into(),
        Cell::or_none(spec.cluster_ip.as_deref()),
        external_ip(service, spec).into(),
        Cell::or_none(Some(&ports(spec.ports.as_deref().unwrap_or_default()))),
        Cell::age(&service.metadata, now),
        label::map_text(spec.selector.as_ref()).into(),
    ]
}

fn external_ip(service: &Service, spec: &ServiceSpec) -> String {
    let fixed = spec.external_ips.iter().flatten().cloned();
    let (shown, otherwise): (Vec<String>, _) = match text(&spec.type_) {
        "ClusterIP" | "NodePort" => (fixed.collect(), "<none>"),
        "LoadBalancer" => (balancer_addresses(service).into_iter().chain(fixed).collect(), "<pending>"),
        "ExternalName" => return text(&spec.external_name).into(),
        _ => return "<unknown>".into(),
    };
    if shown.is_empty() { otherwise.into() } else { shown.join(",") }
}

fn balancer_addresses(service: &Service) -> BTreeSet<String> {
    let balancer = service.status.iter().filter_map(|status| status.load_balancer.as_ref());
    balancer
        .flat_map(|balancer| balancer.ingress.iter().flatten())
        .filter_map(|point| [&point.ip, &point.hostname].into_iter().map(text).find(|text| !text.is_empty()))
        .map(str::to_owned)
        .collect()
}

fn ports(ports: &[ServicePort]) -> String {
    let shown: Vec<_> = ports
        .iter()
        .map(|port| match port.node_port.unwrap_or_default() {
            0 => format!("{}/{}", port.port, text(&port.protocol)),
            node_port => format!("{}:{node_port}/{}", port.port, text(&port.protocol)),
        })
        .collect();
    shown.join(",")
}
