//! Node: a machine that runs pods.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeStatus, NodeSystemInfo, Taint};
use serde_json::json;

use crate::api::field::{FieldError, Mistake, Path};
use crate::api::kinds::separate_status::restore;
use crate::api::rules::{self, ip, label, resources};
use crate::api::{Cell, Column, FieldErrors, Kind, Quantity, Strategy, Subresource, Surroundings};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// What a Node does.
#[derive(Debug)]
struct NodeStrategy;

impl Strategy for NodeStrategy {
    type Object = Node;

    fn default(&self, node: &mut Node) {
        node.spec.get_or_insert_default();
        let status = node.status.get_or_insert_default();
        if status.allocatable.is_none() {
            status.allocatable.clone_from(&status.capacity);
        }
        for amounts in [&mut status.capacity, &mut status.allocatable].into_iter().flatten() {
            resources::canonical(amounts);
        }
        status.node_info.get_or_insert_default();
        status.daemon_endpoints.get_or_insert_default().kubelet_endpoint.get_or_insert_default();
    }

    fn prepare_update(&self, new: &mut Node, old: &Node, _: &Surroundings) {
        restore(&mut new.status, &old.status);
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    fn prepare_status(&self, new: &mut Node, old: &Node, _: &Surroundings) {
        restore(&mut new.spec, &old.spec);
    }

    fn validate(&self, node: &Node, _: &Surroundings, errors: &mut FieldErrors) {
        let spec = Path::new("spec");
        check_resources(node, errors);
        let Some(of) = &node.spec else { return };
        check_taints(of.taints.as_deref().unwrap_or_default(), errors);
        let cidrs = of.pod_cidrs.as_deref().unwrap_or_default();
        let path = spec.child("podCIDRs");
        for (index, cidr) in cidrs.iter().enumerate() {
            rules::complain(errors, &path.index(index), cidr, ip::range(cidr));
        }
        if cidrs.len() > 2 || (cidrs.len() == 2 && cidrs[0].contains(':') == cidrs[1].contains(':')) {
            errors.invalid(&path, json!(cidrs), "may specify no more than one CIDR for each IP family");
        }
    }

    fn validate_update(&self, new: &Node, old: &Node, _: &Surroundings, errors: &mut FieldErrors) {
        check_status(new, errors);
        let (Some(now), Some(before)) = (&new.spec, &old.spec) else { return };
        let spec = Path::new("spec");
        let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if before.pod_cidrs.as_ref().is_some_and(|cidrs| !cidrs.is_empty()) && now.pod_cidrs != before.pod_cidrs {
            errors.forbidden(&spec.child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
        }
        if set(&before.provider_id) && now.provider_id != before.provider_id {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.forbidden(&spec.child("providerID"), detail);
        }
        check_taints(now.taints.as_deref().unwrap_or_default(), errors);
        if now.external_id.as_deref().unwrap_or_default() != before.external_id.as_deref().unwrap_or_default() {
            errors.forbidden(&spec.child("externalID"), "may not be updated");
        }
    }

    fn validate_status(&self, new: &Node, _: &Node, _: &Surroundings, errors: &mut FieldErrors) {
        check_status(new, errors);
    }

    fn field<'a>(&self, node: &'a Node, field: &str) -> Cow<'a, str> {
        match field {
            "spec.unschedulable" => unschedulable(node).to_string().into(),
            _ => "".into(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let addresses = "List of addresses reachable to the node.";
        vec![
            Column::name(),
            Column::text("Status", "The status of the node"),
            Column::text("Roles", "The roles of the node"),
            Column::age(),
            Column::text("Version", "Kubelet Version reported by the node."),
            Column::text("Internal-IP", addresses).wide(),
            Column::text("External-IP", addresses).wide(),
            Column::text("OS-Image", "OS Image reported by the node from /etc/os-release.").wide(),
            Column::text("Kernel-Version", "Kernel Version reported by the node from 'uname -r'.").wide(),
            Column::text("Container-Runtime", "ContainerRuntime Version reported by the node.").wide(),
        ]
    }

    fn cells(&self, node: &Node, now: Timestamp) -> Vec<Cell> {
        let status = node.status.as_ref();
        let info = |part: fn(&NodeSystemInfo) -> &String| {
            status.and_then(|status| status.node_info.as_ref()).map(|info| part(info).as_str())
        };
        vec![
            Cell::name(&node.metadata),
            state(node).into(),
            roles(node).into(),
            Cell::age(&node.metadata, now),
            Cell::or(info(|info| &info.kubelet_version), ""),
            Cell::or_none(address(status, "InternalIP")),
            Cell::or_none(address(status, "ExternalIP")),
            Cell::or(info(|info| &info.os_image), "<unknown>"),
            Cell::or(info(|info| &info.kernel_version), "<unknown>"),
            Cell::or(info(|info| &info.container_runtime_version), "<unknown>"),
        ]
    }
}

fn unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

fn state(node: &Node) -> String {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = match conditions.clone().find(|condition| condition.type_ == "Ready") {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if unschedulable(node) { format!("{ready},SchedulingDisabled") } else { ready.into() }
}

fn roles(node: &Node) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in node.metadata.labels.iter().flatten() {
        match key.strip_prefix(ROLE_PREFIX) {
            Some(role) if !role.is_empty() => roles.insert(role),
            _ if key == ROLE_LABEL && !value.is_empty() => roles.insert(value.as_str()),
            _ => false,
        };
    }
    if roles.is_empty() { "<none>".into() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn address<'a>(status: Option<&'a NodeStatus>, r#type: &str) -> Option<&'a str> {
    let mut addresses = status.into_iter().flat_map(|status| status.addresses.iter().flatten());
    addresses.find(|address| address.type_ == r#type).map(|address| address.address.as_str())
}

fn check_taints(taints: &[Taint], errors: &mut FieldErrors) {
    // Upstream names the metadata here.
    let path = Path::new("metadata");
    let path = path.child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        rules::complain(errors, &path.child("key"), &taint.key, label::qualified_name(&taint.key));
        let value = taint.value.as_deref().unwrap_or_default();
        let complaints = label::label_value(value);
        if !complaints.is_empty() {
            errors.invalid(&path.child("value"), value, complaints.join(";"));
        }
        if taint.effect.is_empty() {
            errors.required(&path.child("effect"), "");
        } else if !EFFECTS.contains(&taint.effect.as_str()) {
            errors.not_supported(&path.child("effect"), &taint.effect, EFFECTS);
        }
        if !seen.insert((&taint.key, &taint.effect)) {
            let shown = json!({
                "Key": taint.key, "Value": value, "Effect": taint.effect, "TimeAdded": taint.time_added,
            });
            errors.push(FieldError {
                mistake: Mistake::Duplicate,
                field: path.to_string(),
                value: Some(shown.to_string()),
                detail: "taints must be unique by key and effect pair".into(),
            });
        }
    }
}

fn check_resources(node: &Node, errors: &mut FieldErrors) {
    let Some(status) = &node.status else { return };
    let path = Path::new("status");
    for (field, amounts) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        let path = path.child(field);
        for (name, text) in amounts.iter().flatten() {
            let Ok(amount) = Quantity::try_from(text) else { continue };
            let path = path.child(name);
            if amount < Quantity::default() {
                errors.invalid(&path, &text.0, rules::NOT_NEGATIVE);
            }
            let whole = name == "pods" || name.contains('/');
            if whole && amount.milli_value() % 1000 != 0 {
                errors.invalid(&path, &text.0, "must be an integer");
            }
        }
    }
}

fn check_status(node: &Node, errors: &mut FieldErrors) {
    check_resources(node, errors);
    let Some(status) = &node.status else { return };
    let path = Path::new("status");
    let mut seen = BTreeSet::new();
    let addresses = path.child("addresses");
    for (index, address) in status.addresses.iter().flatten().enumerate() {
        if !seen.insert((&address.type_, &address.address)) {
            errors.duplicate(&addresses.index(index), json!({ "Type": address.type_, "Address": address.address }));
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(NodeStrategy)
        .short(&["no"])
        .sub(Subresource {
            name: "proxy",
            body: Some(("", "v1", "NodeProxyOptions")),
            verbs: &["create", "delete", "get", "patch", "update"],
        })
        .sub(Subresource::STATUS)
        .selectable(&["spec.unschedulable"])
}
