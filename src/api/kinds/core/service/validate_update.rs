//! What may change in a Service.

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service, ServiceSpec};
use serde_json::json;

use super::{is_headless, is_type, text};
use crate::api::FieldErrors;
use crate::api::field::Path;
use crate::api::rules::{self, ip, name};

pub(super) fn service(new: &Service, old: &Service, errors: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return };
    let spec = Path::new("spec");
    if !is_type(new, &["ExternalName"]) && !is_type(old, &["ExternalName"]) {
        let headless = (is_headless(new), is_headless(old));
        let single = text(&new.ip_family_policy) == "SingleStack";
        if headless != (true, true) {
            let (now, before) = (list(&new.cluster_ips), list(&old.cluster_ips));
            Stacks { field: "clusterIPs", what: "clusterIP", now, before, single }.check(new, &spec, errors);
        }
        if headless == (false, false) {
            let (now, before) = (list(&new.ip_families), list(&old.ip_families));
            Stacks { field: "ipFamilies", what: "ipFamily", now, before, single }.check(new, &spec, errors);
        }
    }
    let balanced = |spec| is_type(spec, &["LoadBalancer"]);
    if balanced(new) && balanced(old) && new.load_balancer_class != old.load_balancer_class {
        errors.invalid(&spec.child("loadBalancerClass"), json!(new.load_balancer_class), "may not change once set");
    }
}

fn list(list: &Option<Vec<String>>) -> &[String] {
    list.as_deref().unwrap_or_default()
}

/// A list whose first entry stays, and whose second may come and, with the policy, go.
struct Stacks<'a> {
    field: &'a str,
    what: &'a str,
    now: &'a [String],
    before: &'a [String],
    single: bool,
}

impl Stacks<'_> {
    fn check(&self, new: &ServiceSpec, spec: &Path<'_>, errors: &mut FieldErrors) {
        let (now, before, path) = (self.now, self.before, spec.child(self.field));
        if now.is_empty() && !before.is_empty() {
            errors.invalid(&path.index(0), json!(now), format!("primary {} can not be unset", self.what));
        }
        // Where one was added or released, only the first must stay.
        let kept = if now.len() == before.len() { now.len() } else { now.len().min(before.len()).min(1) };
        for index in (0..kept).filter(|index| now[*index] != before[*index]) {
            errors.invalid(&path.index(index), json!(now), "may not change once set");
        }
        if now.len() == 1 && before.len() > 1 && !self.single {
            let detail = format!("must be set to 'SingleStack' when releasing the secondary {}", self.what);
            errors.invalid(&spec.child("ipFamilyPolicy"), json!(new.ip_family_policy), detail);
        }
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
