//! Ingress: HTTP routes to Services.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressSpec};

use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{self, ip, name, port};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// So many hosts are shown in a row.
const SHOWN: usize = 3;

/// What an Ingress does.
#[derive(Debug)]
struct IngressStrategy;

impl Strategy for IngressStrategy {
    type Object = Ingress;

    separate_status!();
    spec_generation!();

    fn default(&self, ingress: &mut Ingress) {
        ingress.spec.get_or_insert_default();
        ingress.status.get_or_insert_default().load_balancer.get_or_insert_default();
    }

    fn validate(&self, ingress: &Ingress, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &ingress.spec else { return };
        let path = Path::new("spec");
        if spec.rules.as_ref().is_none_or(Vec::is_empty) && spec.default_backend.is_none() {
            let shown = serde_json::json!(spec.rules);
            errors.invalid(&path, shown, "either `defaultBackend` or `rules` must be specified");
        }
        if let Some(backend) = &spec.default_backend {
            check_backend(backend, &path.child("defaultBackend"), errors);
        }
        let at = path.child("rules");
        for (index, rule) in spec.rules.iter().flatten().enumerate() {
            check_rule(rule, &at.index(index), errors);
        }
        let at = path.child("tls");
        for (index, tls) in spec.tls.iter().flatten().enumerate() {
            let at = at.index(index);
            let at = at.child("hosts");
            for (index, host) in tls.hosts.iter().flatten().enumerate() {
                rules::complain(errors, &at.index(index), host, host_complaints(host));
            }
        }
        if let Some(class) = &spec.ingress_class_name {
            rules::complain(errors, &path.child("ingressClassName"), class, name::dns_subdomain(class));
        }
    }

    fn warnings(&self, new: &Ingress, old: Option<&Ingress>) -> Vec<String> {
        let annotated = new.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(CLASS_ANNOTATION));
        let warning =
            format!("annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead");
        if annotated && old.is_none() { vec![warning] } else { Vec::new() }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text(
                "Class",
                "The name of the IngressClass resource that should be used for additional configuration",
            ),
            Column::text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
            Column::text("Address", "Address is a list containing ingress points for the load-balancer"),
            Column::text("Ports", "Ports of TLS configurations that open"),
            Column::age(),
        ]
    }

    fn cells(&self, ingress: &Ingress, now: Timestamp) -> Vec<Cell> {
        let empty = IngressSpec::default();
        let spec = ingress.spec.as_ref().unwrap_or(&empty);
        vec![
            Cell::name(&ingress.metadata),
            Cell::or_none(spec.ingress_class_name.as_deref()),
            hosts(spec.rules.as_deref().unwrap_or_default()).into(),
            addresses(ingress).into(),
            if spec.tls.as_ref().is_some_and(|tls| !tls.is_empty()) { "80, 443".into() } else { "80".into() },
            Cell::age(&ingress.metadata, now),
        ]
    }
}

fn hosts(rules: &[IngressRule]) -> String {
    let hosts: Vec<_> = rules.iter().filter_map(|rule| rule.host.as_deref().filter(|host| !host.is_empty())).collect();
    if hosts.is_empty() {
        return "*".into();
    }
    let shown = hosts[..hosts.len().min(SHOWN)].join(",");
    if hosts.len() > SHOWN { format!("{shown} + {} more...", rules.len() - SHOWN) } else { shown }
}

fn addresses(ingress: &Ingress) -> String {
    let balancer = ingress.status.iter().filter_map(|status| status.load_balancer.as_ref());
    let points = balancer.flat_map(|balancer| balancer.ingress.iter().flatten());
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let all: std::collections::BTreeSet<_> =
        points.filter_map(|point| text(&point.ip).or_else(|| text(&point.hostname))).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

fn host_complaints(host: &str) -> Vec<String> {
    if host.contains('*') { name::wildcard_dns_subdomain(host) } else { name::dns_subdomain(host) }
}

fn check_rule(rule: &IngressRule, path: &Path<'_>, errors: &mut FieldErrors) {
    if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
        let at = path.child("host");
        if ip::valid(host).is_empty() {
            errors.invalid(&at, host, "must be a DNS name, not an IP address");
        }
        rules::complain(errors, &at, host, host_complaints(host));
    }
    let Some(http) = &rule.http else { return };
    let path = path.child("http");
    let path = path.child("paths");
    if http.paths.is_empty() {
        errors.required(&path, "");
    }
    for (index, of) in http.paths.iter().enumerate() {
        check_path(of, &path.index(index), errors);
    }
}

fn check_path(of: &HTTPIngressPath, path: &Path<'_>, errors: &mut FieldErrors) {
    let at = path.child("path");
    let text = of.path.as_deref().unwrap_or_default();
    match of.path_type.as_str() {
        "" => errors.required(&path.child("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|bad| text.contains(bad)) {
                errors.invalid(&at, text, format!("must not contain '{bad}'"));
            }
            for bad in ["/..", "/."].into_iter().filter(|bad| text.ends_with(bad)) {
                errors.invalid(&at, text, format!("cannot end with '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
        }
        other => errors.not_supported(&path.child("pathType"), other, PATH_TYPES),
    }
    check_backend(&of.backend, &path.child("backend"), errors);
}

fn check_backend(backend: &IngressBackend, path: &Path<'_>, errors: &mut FieldErrors) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (None, None) => errors.required(path, "resource or service backend is required"),
        (None, Some(resource)) => {
            for (field, value) in [("kind", &resource.kind), ("name", &resource.name)] {
                if value.is_empty() {
                    errors.required(&path.child("resource").child(field), "");
                }
            }
        }
        (Some(service), None) => {
            let path = path.child("service");
            if service.name.is_empty() {
                errors.required(&path.child("name"), "");
            } else {
                rules::complain(errors, &path.child("name"), &service.name, name::dns_1035_label(&service.name));
            }
            let path = path.child("port");
            let of = service.port.clone().unwrap_or_default();
            match (of.name.as_deref().unwrap_or_default(), of.number.unwrap_or_default()) {
                ("", 0) => errors.required(&path, "port name or number is required"),
                ("", number) => port::check_number(errors, &path.child("number"), number),
                (name, 0) => port::check_name(errors, &path.child("name"), name),
                _ => errors.invalid(&path, "", "cannot set both port name & port number"),
            }
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(IngressStrategy).short(&["ing"]).sub(Subresource::STATUS)
}
