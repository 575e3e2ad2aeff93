//! NetworkPolicy: who may talk to which pods.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::rules::{self, ip, label, port};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a NetworkPolicy does.
#[derive(Debug)]
struct NetworkPolicyStrategy;

impl Strategy for NetworkPolicyStrategy {
    type Object = NetworkPolicy;

    spec_generation!();

    fn default(&self, policy: &mut NetworkPolicy) {
        let spec = policy.spec.get_or_insert_default();
        spec.pod_selector.get_or_insert_default();
        let ingress = spec.ingress.iter_mut().flatten().map(|rule| &mut rule.ports);
        let egress = spec.egress.iter_mut().flatten().map(|rule| &mut rule.ports);
        for port in ingress.chain(egress).flat_map(|ports| ports.iter_mut().flatten()) {
            port.protocol.get_or_insert_with(|| "TCP".into());
        }
        if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
            let mut types = vec!["Ingress".to_owned()];
            if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) {
                types.push("Egress".into());
            }
            spec.policy_types = Some(types);
        }
    }

    fn validate(&self, policy: &NetworkPolicy, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &policy.spec else { return };
        let path = Path::new("spec");
        if let Some(selector) = &spec.pod_selector {
            label::selector(errors, &path.child("podSelector"), selector);
        }
        let at = path.child("ingress");
        for (index, rule) in spec.ingress.iter().flatten().enumerate() {
            let at = at.index(index);
            check_ports(rule.ports.as_deref(), &at.child("ports"), errors);
            check_peers(rule.from.as_deref(), &at.child("from"), errors);
        }
        let at = path.child("egress");
        for (index, rule) in spec.egress.iter().flatten().enumerate() {
            let at = at.index(index);
            check_ports(rule.ports.as_deref(), &at.child("ports"), errors);
            check_peers(rule.to.as_deref(), &at.child("to"), errors);
        }
        let at = path.child("policyTypes");
        let types = spec.policy_types.as_deref().unwrap_or_default();
        if types.len() > 2 {
            errors.invalid(&at, serde_json::json!(types), "may not specify more than two policyTypes");
            return;
        }
        for (index, r#type) in types.iter().enumerate().filter(|(_, t)| !matches!(t.as_str(), "Ingress" | "Egress")) {
            errors.not_supported(&at.index(index), r#type, &["Egress", "Ingress"]);
        }
    }

    fn columns(&self) -> Vec<Column> {
        let selector = "podSelector selects the pods to which this NetworkPolicy object applies.";
        vec![Column::name(), Column::text("Pod-Selector", selector), Column::age()]
    }

    fn cells(&self, policy: &NetworkPolicy, now: Timestamp) -> Vec<Cell> {
        let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
        vec![Cell::name(&policy.metadata), label::selector_text(selector).into(), Cell::age(&policy.metadata, now)]
    }
}

fn check_ports(ports: Option<&[NetworkPolicyPort]>, path: &Path<'_>, errors: &mut FieldErrors) {
    for (index, of) in ports.unwrap_or_default().iter().enumerate() {
        let path = path.index(index);
        port::check_protocol(errors, &path.child("protocol"), of.protocol.as_deref());
        match &of.port {
            Some(IntOrString::Int(number)) => {
                port::check_number(errors, &path.child("port"), *number);
                if let Some(end) = of.end_port {
                    if end < *number {
                        errors.invalid(&path.child("endPort"), end, "must be greater than or equal to `port`");
                    }
                    port::check_number(errors, &path.child("endPort"), end);
                }
            }
            Some(IntOrString::String(text)) => {
                if let Some(end) = of.end_port {
                    errors.invalid(&path.child("endPort"), end, "may not be specified when `port` is non-numeric");
                }
                port::check_name(errors, &path.child("port"), text);
            }
            None => {
                if let Some(end) = of.end_port {
                    errors.invalid(&path.child("endPort"), end, "may not be specified when `port` is not specified");
                }
            }
        }
    }
}

fn check_peers(peers: Option<&[NetworkPolicyPeer]>, path: &Path<'_>, errors: &mut FieldErrors) {
    for (index, peer) in peers.unwrap_or_default().iter().enumerate() {
        let path = path.index(index);
        for (field, selector) in [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)]
        {
            if let Some(selector) = selector {
                label::selector(errors, &path.child(field), selector);
            }
        }
        let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
        match &peer.ip_block {
            None if !selects => errors.required(&path, "must specify a peer"),
            None => {}
            Some(block) => {
                if selects {
                    errors.forbidden(&path, "may not specify both ipBlock and another peer");
                }
                check_block(block, &path.child("ipBlock"), errors);
            }
        }
    }
}

fn check_block(block: &IPBlock, path: &Path<'_>, errors: &mut FieldErrors) {
    let at = path.child("cidr");
    if block.cidr.is_empty() {
        return errors.required(&at, "");
    }
    rules::complain(errors, &at, &block.cidr, ip::range(&block.cidr));
    let at = path.child("except");
    for (index, except) in block.except.iter().flatten().enumerate() {
        rules::complain(errors, &at.index(index), except, ip::range(except));
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(NetworkPolicyStrategy).short(&["netpol"])
}
