//! Endpoints: the addresses behind a Service.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};

use crate::api::field::Path;
use crate::api::rules::{self, ip, name, port};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// So many endpoints are shown in a row.
const SHOWN: usize = 3;

/// What Endpoints do.
#[derive(Debug)]
struct EndpointsStrategy;

impl Strategy for EndpointsStrategy {
    type Object = Endpoints;

    fn default(&self, endpoints: &mut Endpoints) {
        for port in endpoints.subsets.iter_mut().flatten().flat_map(|subset| subset.ports.iter_mut().flatten()) {
            if port.protocol.as_deref().unwrap_or_default().is_empty() {
                port.protocol = Some("TCP".into());
            }
        }
    }

    fn validate(&self, endpoints: &Endpoints, around: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("subsets");
        for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
            check_subset(subset, &path.index(index), around, errors);
        }
    }

    fn validate_update(&self, new: &Endpoints, old: &Endpoints, around: &Surroundings, errors: &mut FieldErrors) {
        // What stands already is left in peace, so that metadata can change.
        if new.subsets == old.subsets {
            return;
        }
        self.validate(new, around, errors);
        let before: BTreeMap<_, _> =
            addresses(old).filter_map(|(_, address)| Some((&address.ip, address.node_name.as_ref()?))).collect();
        for (path, address) in addresses(new) {
            if let (Some(was), Some(node)) = (before.get(&address.ip), &address.node_name)
                && *was != node
            {
                let detail = format!("Cannot change NodeName for {} to {node}", address.ip);
                errors.forbidden(&Path::new(&path).child("nodeName"), detail);
            }
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        let subsets = "The set of all endpoints is the union of all subsets.";
        vec![Column::name(), Column::text("Endpoints", subsets), Column::age()]
    }

    fn cells(&self, endpoints: &Endpoints, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&endpoints.metadata), summary(endpoints).into(), Cell::age(&endpoints.metadata, now)]
    }
}

/// Every address, and where it stands.
fn addresses(endpoints: &Endpoints) -> impl Iterator<Item = (String, &EndpointAddress)> {
    endpoints.subsets.iter().flatten().enumerate().flat_map(|(subset, of)| {
        let lists = [("addresses", &of.addresses), ("notReadyAddresses", &of.not_ready_addresses)];
        lists.into_iter().flat_map(move |(field, list)| {
            let list = list.iter().flatten().enumerate();
            list.map(move |(index, address)| (format!("subsets[{subset}].{field}[{index}]"), address))
        })
    })
}

fn summary(endpoints: &Endpoints) -> String {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default();
    if subsets.is_empty() {
        return "<none>".into();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = subset.addresses.as_deref().unwrap_or_default();
        match subset.ports.as_deref().unwrap_or_default() {
            [] => all.extend(addresses.iter().map(|address| address.ip.clone())),
            ports => all.extend(
                ports.iter().flat_map(|port| addresses.iter().map(|address| ip::host_port(&address.ip, port.port))),
            ),
        }
    }
    first_of(&all, SHOWN)
}

/// The first `shown` of a list, and how many more there are.
pub(crate) fn first_of(all: &[String], shown: usize) -> String {
    match all.get(..shown) {
        Some(first) if all.len() > shown => format!("{} + {} more...", first.join(","), all.len() - shown),
        _ => all.join(","),
    }
}

fn check_subset(subset: &EndpointSubset, path: &Path<'_>, around: &Surroundings, errors: &mut FieldErrors) {
    let (ready, unready) =
        (subset.addresses.as_deref().unwrap_or_default(), subset.not_ready_addresses.as_deref().unwrap_or_default());
    if ready.is_empty() && unready.is_empty() {
        errors.required(path, "must specify `addresses` or `notReadyAddresses`");
    }
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", unready)] {
        let path = path.child(field);
        for (index, address) in addresses.iter().enumerate() {
            check_address(address, &path.index(index), around, errors);
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default();
    let path = path.child("ports");
    for (index, port) in ports.iter().enumerate() {
        check_port(port, ports.len() > 1, &path.index(index), errors);
    }
}

fn check_address(address: &EndpointAddress, path: &Path<'_>, around: &Surroundings, errors: &mut FieldErrors) {
    let before = errors.len();
    rules::complain(errors, &path.child("ip"), &address.ip, ip::valid(&address.ip));
    if let Some(hostname) = address.hostname.as_deref().filter(|hostname| !hostname.is_empty()) {
        rules::complain(errors, &path.child("hostname"), hostname, name::dns_label(hostname));
    }
    if let Some(node) = &address.node_name {
        rules::complain(errors, &path.child("nodeName"), node, name::dns_subdomain(node));
    }
    if errors.len() == before {
        let complaints = ip::endpoint(&address.ip, around.loopback_network);
        rules::complain(errors, &path.child("ip"), &address.ip, complaints);
    }
}

fn check_port(of: &EndpointPort, named: bool, path: &Path<'_>, errors: &mut FieldErrors) {
    match of.name.as_deref().unwrap_or_default() {
        "" if named => errors.required(&path.child("name"), ""),
        "" => {}
        text => rules::complain(errors, &path.child("name"), text, name::dns_label(text)),
    }
    port::check_number(errors, &path.child("port"), of.port);
    port::check_protocol(errors, &path.child("protocol"), of.protocol.as_deref());
    if let Some(protocol) = &of.app_protocol {
        rules::complain(errors, &path.child("appProtocol"), protocol, rules::label::qualified_name(protocol));
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(EndpointsStrategy)
        .short(&["ep"])
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
}
