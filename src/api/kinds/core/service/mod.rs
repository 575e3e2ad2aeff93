//! Service: one stable address for a set of pods.

mod columns;
mod prepare;
mod validate;
mod validate_update;

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Subresource, Surroundings};

/// What a Service does. Its addresses and node ports are given by an allocator, which is an
/// [`Admission`](crate::api::Admission).
#[derive(Debug)]
struct ServiceStrategy;

impl Strategy for ServiceStrategy {
    type Object = Service;

    fn default(&self, service: &mut Service) {
        prepare::default(service);
    }

    fn prepare_create(&self, service: &mut Service, _: &Surroundings) {
        service.status = None;
        prepare::default(service);
        prepare::normalize(service.spec.get_or_insert_default(), None);
    }

    fn prepare_update(&self, new: &mut Service, old: &Service, _: &Surroundings) {
        new.status.clone_from(&old.status);
        if let (Some(new), Some(old)) = (&mut new.spec, &old.spec) {
            prepare::normalize(new, Some(old));
            prepare::keep_allocated(new, old);
            prepare::drop_by_type(new, old);
        }
    }

    fn prepare_status(&self, new: &mut Service, old: &Service, _: &Surroundings) {
        new.spec.clone_from(&old.spec);
    }

    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel1035
    }

    fn validate(&self, service: &Service, _: &Surroundings, errors: &mut FieldErrors) {
        validate::service(service, errors);
    }

    fn validate_update(&self, new: &Service, old: &Service, _: &Surroundings, errors: &mut FieldErrors) {
        validate_update::service(new, old, errors);
        validate::service(new, errors);
    }

    fn validate_status(&self, new: &Service, _: &Service, _: &Surroundings, errors: &mut FieldErrors) {
        validate_update::status(new, errors);
    }

    fn warnings(&self, new: &Service, _: Option<&Service>) -> Vec<String> {
        let Some(spec) = new.spec.as_ref().filter(|spec| text(&spec.cluster_ip) == "None") else { return Vec::new() };
        let ignored = [
            (
                !text(&spec.load_balancer_ip).is_empty(),
                "spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"",
            ),
            (
                spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()),
                "spec.externalIPs is ignored when spec.clusterIP is \"None\"",
            ),
            (text(&spec.session_affinity) != "None", "spec.SessionAffinity is ignored for headless services"),
        ];
        ignored.into_iter().filter(|(set, _)| *set).map(|(_, warning)| warning.to_owned()).collect()
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn field<'a>(&self, service: &'a Service, field: &str) -> Cow<'a, str> {
        let Some(spec) = &service.spec else { return "".into() };
        match field {
            "spec.clusterIP" => text(&spec.cluster_ip).into(),
            "spec.type" => text(&spec.type_).into(),
            _ => "".into(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        columns::columns()
    }

    fn cells(&self, service: &Service, now: Timestamp) -> Vec<Cell> {
        columns::cells(service, now)
    }
}

/// A text, empty where it is missing.
fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn is_type(spec: &ServiceSpec, types: &[&str]) -> bool {
    types.contains(&text(&spec.type_))
}

/// Whether it has a cluster IP, or says that it wants none.
fn wants_cluster_ip(spec: &ServiceSpec) -> bool {
    is_type(spec, &["ClusterIP", "NodePort", "LoadBalancer"])
}

fn wants_node_ports(spec: &ServiceSpec) -> bool {
    is_type(spec, &["NodePort"])
        || (is_type(spec, &["LoadBalancer"]) && spec.allocate_load_balancer_node_ports != Some(false))
}

/// Whether a load balancer asks every node whether it has endpoints.
fn wants_health_port(spec: &ServiceSpec) -> bool {
    is_type(spec, &["LoadBalancer"]) && text(&spec.external_traffic_policy) == "Local"
}

/// Whether clients outside the cluster can reach it.
fn is_external(spec: &ServiceSpec) -> bool {
    is_type(spec, &["NodePort", "LoadBalancer"])
        || (is_type(spec, &["ClusterIP"]) && spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()))
}

fn is_headless(spec: &ServiceSpec) -> bool {
    matches!(spec.cluster_ips.as_deref(), Some([only]) if only == "None")
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ServiceStrategy)
        .short(&["svc"])
        .categories(&["all"])
        .sub(Subresource {
            name: "proxy",
            body: Some(("", "v1", "ServiceProxyOptions")),
            verbs: &["create", "delete", "get", "patch", "update"],
        })
        .sub(Subresource::STATUS)
        .selectable(&["spec.clusterIP", "spec.type"])
}

#[cfg(test)]
mod tests;
