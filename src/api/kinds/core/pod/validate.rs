//! Rules for pods and for the spec that templates share.
//!
//! Source: `pkg/apis/core/validation/validation.go`, whose order of checks and wording is kept.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{HostAlias, Pod, PodDNSConfig, PodResourceClaim, PodSchedulingGate, PodSpec};

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::{labels, qualified_name};
use crate::api::rules::{complain, given, inclusive, ip, json, name, one_of, resources};

use super::container::{self, Surrounding};
use super::{affinity, requests, security, volume};

type Annotations = BTreeMap<String, String>;

const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// What the mirror of a static pod is marked with.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Checks a pod that is created.
pub(super) fn created(pod: &Pod, errors: &mut FieldErrors) {
    let path = Path::new("spec");
    let Some(spec) = &pod.spec else { return errors.required(&path.child("containers"), "") };
    pod_and_spec(pod, spec, errors);
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if gated && !given(&spec.node_name).is_empty() {
        errors.forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// Checks a pod as it stands.
pub(super) fn pod_and_spec(pod: &Pod, spec: &PodSpec, errors: &mut FieldErrors) {
    let path = Path::new("spec");
    own_annotations(pod, spec, errors);
    pod_spec(errors, &path, spec, pod.metadata.name.as_deref(), true);
    if given(&spec.service_account_name).is_empty() {
        for (index, volume) in spec.volumes.iter().flatten().enumerate() {
            let sources = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
            for (source, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
                let path = format!("volumes[{index}].projected.sources[{source}].serviceAccountToken");
                let text = "must not be specified when serviceAccountName is not set";
                errors.forbidden(&Path::new("spec").child(&path), text);
            }
        }
    }
    for (index, container) in spec.containers.iter().enumerate() {
        container::trimmed_image(errors, &path.child("containers").index(index), container);
    }
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        container::trimmed_image(errors, &path.child("initContainers").index(index), container);
    }
}

/// The annotations of a pod.
pub(super) fn own_annotations(pod: &Pod, spec: &PodSpec, errors: &mut FieldErrors) {
    let path = Path::new("metadata").child("annotations").to_string();
    pod_annotations(errors, &Path::new(&path), pod.metadata.annotations.as_ref(), spec);
}

/// Annotations that mean something on pods.
pub(crate) fn pod_annotations(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    annotations: Option<&Annotations>,
    spec: &PodSpec,
) {
    const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    let value_of = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    if let Some(value) = value_of(MIRROR)
        && given(&spec.node_name).is_empty()
    {
        errors.invalid(&path.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(value) = value_of(DELETION_COST) {
        let canonical = value.parse::<i32>().is_ok_and(|cost| cost.to_string() == *value);
        if !canonical {
            errors.invalid(&path.key(DELETION_COST), value, "must be a 32bit integer");
        }
    }
}

/// Checks the spec of a pod (`is_pod`) or of a template. `pod` is the pod's name, where there is one.
pub(crate) fn pod_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec, pod: Option<&str>, is_pod: bool) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volume::volumes(errors, &path.child("volumes"), spec.volumes.as_deref().unwrap_or_default(), pod);
    let claims = spec.resource_claims.as_deref().unwrap_or_default();
    resource_claims(errors, &path.child("resourceClaims"), claims);
    let claims = claims.iter().map(|claim| claim.name.as_str()).filter(|name| !name.is_empty()).collect();
    let around = Surrounding { spec, volumes, claims };
    container::containers(errors, &path.child("containers"), &around);
    container::init_containers(errors, &path.child("initContainers"), &around);
    container::ephemeral_containers(errors, &path.child("ephemeralContainers"), &around);
    if let Some(resources) = &spec.resources {
        let path = path.child("resources");
        if resources.claims.is_some() {
            errors.forbidden(&path.child("claims"), "claims cannot be set for Resources at pod-level");
        }
        resources::pod_requirements(errors, &path, resources);
        requests::consistent(errors, &path, spec, resources);
    }
    host_network_ports(errors, path, spec, is_pod);
    let policies = &["Always", "OnFailure", "Never"];
    one_of(errors, &path.child("restartPolicy"), spec.restart_policy.as_deref(), policies);
    one_of(errors, &path.child("dnsPolicy"), spec.dns_policy.as_deref(), DNS_POLICIES);
    labels(errors, &path.child("nodeSelector"), spec.node_selector.as_ref());
    if let Some(context) = &spec.security_context {
        security::pod_context(errors, &path.child("securityContext"), context, spec);
    }
    if let Some(given) = &spec.affinity {
        affinity::affinity(errors, &path.child("affinity"), given);
    }
    dns_config(errors, &path.child("dnsConfig"), spec.dns_config.as_ref(), given(&spec.dns_policy));
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = path.child("readinessGates");
        let condition = &gate.condition_type;
        complain(errors, &path.index(index).child("conditionType"), condition, qualified_name(condition));
    }
    scheduling_gates(errors, &path.child("schedulingGates"), spec.scheduling_gates.as_deref().unwrap_or_default());
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    affinity::spreading(errors, &path.child("topologySpreadConstraints"), constraints);
    security::user_namespace(errors, path, spec);
    names(errors, path, spec);
    affinity::tolerations(errors, &path.child("tolerations"), spec.tolerations.as_deref().unwrap_or_default());
    host_aliases(errors, &path.child("hostAliases"), spec.host_aliases.as_deref().unwrap_or_default());
    if let Some(class) = spec.priority_class_name.as_deref().filter(|class| !class.is_empty()) {
        complain(errors, &path.child("priorityClassName"), class, name::dns_subdomain(class));
    }
    if let Some(class) = spec.runtime_class_name.as_deref() {
        complain(errors, &path.child("runtimeClassName"), class, name::dns_subdomain(class));
    }
    if let Some(policy) = spec.preemption_policy.as_deref() {
        one_of(errors, &path.child("preemptionPolicy"), Some(policy), &["PreemptLowerPriority", "Never"]);
    }
    for (resource, amount) in spec.overhead.iter().flatten() {
        let path = path.child("overhead").child("limits").to_string();
        let path = Path::new(&path);
        resources::container_resource_name(errors, &path.key(resource), resource);
        resources::check_amount(errors, &path.key(resource), resource, amount);
    }
    security::operating_system(errors, path, spec);
}

/// Names and numbers of the spec itself.
fn names(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec) {
    let mut check = |field: &str, value: &Option<String>, rule: fn(&str) -> Vec<String>| {
        let value = given(value);
        if !value.is_empty() {
            complain(errors, &path.child(field), value, rule(value));
        }
    };
    check("serviceAccountName", &spec.service_account_name, name::dns_subdomain);
    check("nodeName", &spec.node_name, name::dns_subdomain);
    check("hostname", &spec.hostname, name::dns_label);
    check("subdomain", &spec.subdomain, name::dns_label);
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        errors.invalid(&path.child("activeDeadlineSeconds"), seconds, inclusive(1, i32::MAX.into()));
    }
    if let Some(hostname) = spec.hostname_override.as_deref() {
        let path = path.child("hostnameOverride");
        complain(errors, &path, hostname, name::dns_subdomain(hostname));
        if hostname.len() > 64 {
            errors.too_long(&path, 64);
        }
        if spec.set_hostname_as_fqdn == Some(true) {
            errors.forbidden(&path, "may not be specified when `setHostnameAsFQDN` is true");
        }
        if spec.host_network == Some(true) {
            errors.forbidden(&path, "may not be specified when `hostNetwork` is true");
        }
    }
}

fn resource_claims(errors: &mut FieldErrors, path: &Path<'_>, claims: &[PodResourceClaim]) {
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        let name_path = path.child("name");
        if claim.name.is_empty() {
            errors.required(&name_path, "");
        } else if claims[..index].iter().any(|other| other.name == claim.name) {
            errors.duplicate(&name_path, &claim.name);
        } else {
            complain(errors, &name_path, &claim.name, name::dns_label(&claim.name));
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let text = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.invalid(&path, json(claim), text);
            }
            (None, None) => {
                let text = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.invalid(&path, json(claim), text);
            }
            _ => {}
        }
        for (field, value) in [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ] {
            if let Some(value) = value {
                complain(errors, &path.child(field), value, name::dns_subdomain(value));
            }
        }
    }
}

/// On the host's network a container's port is the host's. A template may leave the latter out.
fn host_network_ports(errors: &mut FieldErrors, path: &Path<'_>, spec: &PodSpec, is_pod: bool) {
    if spec.host_network != Some(true) {
        return;
    }
    let path = path.child("containers");
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.index(index);
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if (is_pod || host_port != 0) && host_port != port.container_port {
                let text = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&path.child("ports").index(index).child("hostPort"), host_port, text);
            }
        }
    }
}

fn dns_config(errors: &mut FieldErrors, path: &Path<'_>, config: Option<&PodDNSConfig>, policy: &str) {
    const SERVERS_MAX: usize = 3;
    const SEARCHES_MAX: usize = 32;
    const SEARCH_LIST_MAX: usize = 2048;
    let Some(config) = config else {
        if policy == "None" {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let searches = config.searches.as_deref().unwrap_or_default();
    let (servers_path, searches_path) = (path.child("nameservers"), path.child("searches"));
    if policy == "None" && servers.is_empty() {
        let text = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return errors.required(&servers_path, text);
    }
    if servers.len() > SERVERS_MAX {
        errors.invalid(&servers_path, json(&servers), format!("must not have more than {SERVERS_MAX} nameservers"));
    }
    for (index, server) in servers.iter().enumerate() {
        complain(errors, &servers_path.index(index), server, ip::valid(server));
    }
    if searches.len() > SEARCHES_MAX {
        errors.invalid(&searches_path, json(&searches), format!("must not have more than {SEARCHES_MAX} search paths"));
    }
    if searches.join(" ").len() > SEARCH_LIST_MAX {
        let text =
            format!("must not have more than {SEARCH_LIST_MAX} characters (including spaces) in the search list");
        errors.invalid(&searches_path, json(&searches), text);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        let complaints = name::dns_subdomain_with_underscore(search);
        complain(errors, &searches_path.index(index), search, complaints);
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if given(&option.name).is_empty() {
            errors.required(&path.child("options").index(index), "must not be empty");
        }
    }
}

fn scheduling_gates(errors: &mut FieldErrors, path: &Path<'_>, gates: &[PodSchedulingGate]) {
    for (index, gate) in gates.iter().enumerate() {
        let path = path.index(index);
        complain(errors, &path, &gate.name, qualified_name(&gate.name));
        if gates[..index].contains(gate) {
            errors.duplicate(&path, &gate.name);
        }
    }
}

fn host_aliases(errors: &mut FieldErrors, path: &Path<'_>, aliases: &[HostAlias]) {
    for (index, alias) in aliases.iter().enumerate() {
        let path = path.index(index);
        complain(errors, &path.child("ip"), &alias.ip, ip::valid(&alias.ip));
        for (index, hostname) in alias.hostnames.iter().flatten().enumerate() {
            complain(errors, &path.child("hostnames").index(index), hostname, name::dns_subdomain(hostname));
        }
    }
}
