//! EndpointSlice: some of the endpoints behind a Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use crate::api::field::Path;
use crate::api::kinds::core::endpoints::first_of;
use crate::api::rules::{self, ip, name, port};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20000;
const MAX_HINTS: usize = 8;
/// So many ports and addresses are shown in a row.
const SHOWN: usize = 3;

/// What an EndpointSlice does.
#[derive(Debug)]
struct EndpointSliceStrategy;

impl Strategy for EndpointSliceStrategy {
    type Object = EndpointSlice;

    fn default(&self, slice: &mut EndpointSlice) {
        for port in slice.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
    }

    fn generation_changes(&self, new: &EndpointSlice, old: &EndpointSlice) -> Option<bool> {
        Some(
            new.metadata.labels != old.metadata.labels
                || new.endpoints != old.endpoints
                || new.ports != old.ports
                || new.address_type != old.address_type,
        )
    }

    fn validate(&self, slice: &EndpointSlice, around: &Surroundings, errors: &mut FieldErrors) {
        let at = Path::new("addressType");
        if slice.address_type.is_empty() {
            errors.required(&at, "");
        } else if !ADDRESS_TYPES.contains(&slice.address_type.as_str()) {
            errors.not_supported(&at, &slice.address_type, ADDRESS_TYPES);
        }
        let endpoints = slice.endpoints.as_deref().unwrap_or_default();
        let at = Path::new("endpoints");
        if endpoints.len() > MAX_ENDPOINTS {
            errors.too_many(&at, endpoints.len(), MAX_ENDPOINTS);
        } else {
            for (index, endpoint) in endpoints.iter().enumerate() {
                check_endpoint(endpoint, &slice.address_type, &at.index(index), around, errors);
            }
        }
        check_ports(slice.ports.as_deref().unwrap_or_default(), &Path::new("ports"), errors);
    }

    fn validate_update(
        &self,
        new: &EndpointSlice,
        old: &EndpointSlice,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        if new.address_type != old.address_type {
            errors.invalid(&Path::new("addressType"), &new.address_type, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("AddressType", "addressType specifies the type of address carried by this EndpointSlice."),
            Column::text("Ports", "ports specifies the list of network ports exposed by each endpoint in this slice."),
            Column::text("Endpoints", "endpoints is a list of unique endpoints in this slice."),
            Column::age(),
        ]
    }

    fn cells(&self, slice: &EndpointSlice, now: Timestamp) -> Vec<Cell> {
        let number = |port: &EndpointPort| {
            port.port.map(|port| port.to_string()).or_else(|| port.name.clone()).unwrap_or_else(|| "*".into())
        };
        let ports: Vec<_> = slice.ports.iter().flatten().map(number).collect();
        let addresses: Vec<_> =
            slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect();
        vec![
            Cell::name(&slice.metadata),
            slice.address_type.as_str().into(),
            Cell::or(Some(&first_of(&ports, SHOWN)), "<unset>"),
            Cell::or(Some(&first_of(&addresses, SHOWN)), "<unset>"),
            Cell::age(&slice.metadata, now),
        ]
    }
}

fn check_endpoint(of: &Endpoint, family: &str, path: &Path<'_>, around: &Surroundings, errors: &mut FieldErrors) {
    let at = path.child("addresses");
    if of.addresses.is_empty() {
        errors.required(&at, "must contain at least 1 address");
    } else if of.addresses.len() > MAX_ADDRESSES {
        errors.too_many(&at, of.addresses.len(), MAX_ADDRESSES);
    }
    for (index, address) in of.addresses.iter().enumerate() {
        rules::complain(errors, &at.index(index), address, address_complaints(address, family, around));
    }
    if let Some(node) = &of.node_name {
        rules::complain(errors, &path.child("nodeName"), node, name::dns_subdomain(node));
    }
    if let Some(hostname) = &of.hostname {
        rules::complain(errors, &path.child("hostname"), hostname, name::dns_label(hostname));
    }
    if let Some(hints) = &of.hints {
        let zones = hints.for_zones.iter().flatten().map(|zone| &zone.name).collect();
        let nodes = hints.for_nodes.iter().flatten().map(|node| &node.name).collect();
        let path = path.child("hints");
        check_hints(zones, name_of_zone, &path.child("forZones"), errors);
        check_hints(nodes, name::dns_subdomain, &path.child("forNodes"), errors);
    }
}

fn name_of_zone(zone: &str) -> Vec<String> {
    rules::label::label_value(zone)
}

fn check_hints(names: Vec<&String>, rule: fn(&str) -> Vec<String>, path: &Path<'_>, errors: &mut FieldErrors) {
    if names.len() > MAX_HINTS {
        errors.too_many(path, names.len(), MAX_HINTS);
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, text) in names.into_iter().enumerate() {
        let at = path.index(index);
        if !seen.insert(text) {
            errors.duplicate(&at.child("name"), text);
        }
        rules::complain(errors, &at.child("name"), text, rule(text));
    }
}

fn address_complaints(address: &str, family: &str, around: &Surroundings) -> Vec<String> {
    let special = || ip::endpoint(address, around.loopback_network);
    match family {
        "IPv4" | "IPv6" if !ip::valid(address).is_empty() => ip::valid(address),
        "IPv4" | "IPv6" if ip::is_v4(address) != (family == "IPv4") => vec![format!("must be an {family} address")],
        "IPv4" | "IPv6" => special(),
        "FQDN" => {
            let name = address.strip_suffix('.').unwrap_or(address);
            let mut complaints = name::dns_subdomain(name);
            if complaints.is_empty() && !name.contains('.') {
                complaints.push("should be a domain with at least two segments separated by dots".to_owned());
            }
            complaints
        }
        _ => Vec::new(),
    }
}

fn check_ports(ports: &[EndpointPort], path: &Path<'_>, errors: &mut FieldErrors) {
    if ports.len() > MAX_PORTS {
        errors.too_many(path, ports.len(), MAX_PORTS);
        return;
    }
    let mut names = BTreeSet::new();
    for (index, of) in ports.iter().enumerate() {
        let path = path.index(index);
        let text = of.name.as_deref().unwrap_or_default();
        if !text.is_empty() {
            rules::complain(errors, &path.child("name"), text, name::dns_label(text));
        }
        if !names.insert(text) {
            errors.duplicate(&path.child("name"), text);
        }
        port::check_protocol(errors, &path.child("protocol"), of.protocol.as_deref());
        if let Some(number) = of.port {
            port::check_number(errors, &path.child("port"), number);
        }
        if let Some(protocol) = &of.app_protocol {
            rules::complain(errors, &path.child("appProtocol"), protocol, rules::label::qualified_name(protocol));
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(EndpointSliceStrategy)
}
