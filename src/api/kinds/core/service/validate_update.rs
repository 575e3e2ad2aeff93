//! What may change in a Service.

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service, ServiceSpec};
use serde_json::json;

use super::{is_type, text};
use crate::api::FieldErrors;
use crate::api::field::Path;
use crate::api::rules::{self, ip, name};

pub(super) fn service(new: &Service, old: &Service, errors: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return };
    let spec = Path::new("spec");
    if !is_type(new, &["ExternalName"]) && !is_type(old, &["ExternalName"]) {
        cluster_ips(new, old, &spec, errors);
        families(new, old, &spec, errors);
    }
    let balanced = |spec| is_type(spec, &["LoadBalancer"]);
    if balanced(new) && balanced(old) && new.load_balancer_class != old.load_balancer_class {
        errors.invalid(&spec.child("loadBalancerClass"), json!(new.load_balancer_class), "may not change once set");
    }
}

fn cluster_ips(new: &ServiceSpec, old: &ServiceSpec, spec: &Path<'_>, errors: &mut FieldErrors) {
    let (now, before) =
        (new.cluster_ips.as_deref().unwrap_or_default(), old.cluster_ips.as_deref().unwrap_or_default());
    let at = spec.child("clusterIPs");
    let single = text(&new.ip_family_policy) == "SingleStack";
    match (now.first(), before.first()) {
        (None, Some(_)) => errors.invalid(&at.index(0), json!(now), "primary clusterIP can not be unset"),
        (Some(now_first), Some(first)) if now_first != first => {
            errors.invalid(&at.index(0), json!(now), "may not change once set");
        }
        _ => {}
    }
    match (now.get(1), before.get(1)) {
        (None, Some(_)) if !now.is_empty() && !single => {
            errors.invalid(
                &at,
                json!(now),
                "`ipFamilyPolicy` must be set to 'SingleStack' when releasing the secondary clusterIP",
            );
        }
        (Some(now_second), Some(second)) if now_second != second => {
            errors.invalid(&at.index(1), json!(now), "may not change once set");
        }
        (Some(_), None) if single => {
            errors.invalid(&at, json!(now), "`ipFamilyPolicy` must be set to 'PreferDualStack' or 'RequireDualStack' when assigning secondary clusterIP");
        }
        _ => {}
    }
}

fn families(new: &ServiceSpec, old: &ServiceSpec, spec: &Path<'_>, errors: &mut FieldErrors) {
    let (now, before) =
        (new.ip_families.as_deref().unwrap_or_default(), old.ip_families.as_deref().unwrap_or_default());
    let at = spec.child("ipFamilies");
    match (now.first(), before.first()) {
        (None, Some(_)) => errors.invalid(&at.index(0), json!(now), "primary ipFamily can not be unset"),
        (Some(now_first), Some(first)) if now_first != first => {
            errors.invalid(&at.index(0), json!(now), "may not change once set");
        }
        _ => {}
    }
}

pub(super) fn status(service: &Service, errors: &mut FieldErrors) {
    let balanced = service.spec.as_ref().is_some_and(|spec| is_type(spec, &["LoadBalancer"]));
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let path = Path::new("status");
    let path = path.child("loadBalancer");
    let path = path.child("ingress");
    if !balanced && !points.is_empty() {
        errors.forbidden(&path, "may only be used when `spec.type` is \"LoadBalancer\"");
        return;
    }
    for (index, point) in points.iter().enumerate() {
        ingress(point, &path.index(index), errors);
    }
}

fn ingress(point: &LoadBalancerIngress, path: &Path<'_>, errors: &mut FieldErrors) {
    let address = text(&point.ip);
    if !address.is_empty() {
        rules::complain(errors, &path.child("ip"), address, ip::valid(address));
    }
    let mode = path.child("ipMode");
    match point.ip_mode.as_deref() {
        None if !address.is_empty() => errors.required(&mode, "must be set when `ip` is set"),
        Some(_) if address.is_empty() => errors.forbidden(&mode, "may not be specified when `ip` is not set"),
        Some(value) if !["VIP", "Proxy"].contains(&value) => errors.not_supported(&mode, value, &["Proxy", "VIP"]),
        _ => {}
    }
    let host = text(&point.hostname);
    if !host.is_empty() {
        rules::complain(errors, &path.child("hostname"), host, name::dns_subdomain(host));
        if ip::valid(host).is_empty() {
            errors.invalid(&path.child("hostname"), host, "must be a DNS name, not an IP address");
        }
    }
}
