//! Rules for amounts of resources.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::api::Quantity;
use crate::api::field::{FieldError, FieldErrors, Mistake, Path, Shown};

use super::label::qualified_name;
use super::{NOT_NEGATIVE, complain};

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Text>;

/// The amount that a text stands for; nothing where it stands for none (which validation refuses).
pub fn amount(text: &Text) -> Quantity {
    Quantity::try_from(text).unwrap_or(Quantity::ZERO)
}

/// The amount of one resource, where it is listed.
pub fn amount_of(amounts: Option<&Amounts>, resource: &str) -> Option<Quantity> {
    amounts.and_then(|amounts| amounts.get(resource)).map(amount)
}

/// Rewrites amounts in their canonical form, rounded up to thousandths; leaves what is no amount.
pub fn canonical(amounts: &mut Amounts) {
    for text in amounts.values_mut().filter(|text| !Quantity::is_canonical(&text.0)) {
        if let Ok(amount) = Quantity::try_from(&*text) {
            text.0 = amount.rounded_to_milli().to_string();
        }
    }
}

/// [`canonical`] for requests and limits.
pub fn canonical_requirements(resources: &mut ResourceRequirements) {
    for amounts in [&mut resources.limits, &mut resources.requests].into_iter().flatten() {
        canonical(amounts);
    }
}

/// Resources that a container may ask for under a plain name.
const CONTAINER: &[&str] = &["cpu", "ephemeral-storage", "memory"];

/// Plain names that mean something, if only in quotas.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Standard resources that are counted in whole numbers.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether the name is that of huge pages of some size.
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether Kubernetes itself gives the name its meaning.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether the name is that of an extended resource: a domain's own, counted in whole numbers.
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && qualified_name(&format!("requests.{name}")).is_empty()
}

fn can_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Complains about a name that no container can ask for.
pub fn container_resource_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    complain(errors, path, name, qualified_name(name));
    if !name.contains('/') {
        if !STANDARD.contains(&name) && !is_huge_page(name) {
            errors.invalid(path, name, "must be a standard resource type or fully qualified");
        }
        if !CONTAINER.contains(&name) && !is_huge_page(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

fn pod_resource_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        errors.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
    }
}

/// Complains about a text that is no amount, a negative amount, and a broken one of what comes in wholes.
pub fn check_amount(errors: &mut FieldErrors, path: &Path<'_>, name: &str, text: &Text) {
    match Quantity::try_from(text) {
        Err(error) => errors.invalid(path, &text.0, error.to_string()),
        Ok(amount) => {
            if amount.is_negative() {
                errors.invalid(path, amount.to_string().as_str(), NOT_NEGATIVE);
            }
            if (COUNTED.contains(&name) || is_extended(name)) && !amount.is_whole() {
                errors.invalid(path, amount.to_string().as_str(), "must be an integer");
            }
        }
    }
}

/// Requests and limits of one container; `claims` are the names in `spec.resourceClaims`.
pub fn container_requirements(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    resources: &ResourceRequirements,
    claims: &[&str],
) {
    requirements(errors, path, resources, claims, container_resource_name);
}

/// Requests and limits of a pod as a whole.
pub fn pod_requirements(errors: &mut FieldErrors, path: &Path<'_>, resources: &ResourceRequirements) {
    requirements(errors, path, resources, &[], pod_resource_name);
}

fn requirements(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    resources: &ResourceRequirements,
    claims: &[&str],
    check_name: fn(&mut FieldErrors, &Path<'_>, &str),
) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let mut names: Vec<&str> = Vec::new();
    for (path, amounts) in [(&limits_path, &resources.limits), (&requests_path, &resources.requests)] {
        for (name, text) in amounts.iter().flatten() {
            let entry = path.key(name);
            check_name(errors, &entry, name);
            check_amount(errors, &entry, name, text);
            if let Some(size) = name.strip_prefix("hugepages-").and_then(|size| size.parse::<Quantity>().ok()) {
                let (amount, size) = (amount(text).value(), size.value());
                if size <= 0 || amount % size != 0 {
                    errors.invalid(&entry, &text.0, format!("{} is not positive integer multiple of {name}", text.0));
                }
            }
            names.push(name);
            if std::ptr::eq(path, &requests_path) {
                request_within_limit(errors, &limits_path, path, name, text, resources.limits.as_ref());
            }
        }
    }
    if names.iter().any(|name| is_huge_page(name)) && !names.iter().any(|name| matches!(*name, "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    resource_claims(errors, &path.child("claims"), resources, claims);
}

fn request_within_limit(
    errors: &mut FieldErrors,
    limits_path: &Path<'_>,
    requests_path: &Path<'_>,
    name: &str,
    request: &Text,
    limits: Option<&Amounts>,
) {
    let overcommit = can_be_overcommitted(name);
    let request = amount(request);
    match amount_of(limits, name) {
        Some(limit) if request != limit && !overcommit => {
            let text = format!("must be equal to {name} limit of {limit}");
            errors.invalid(requests_path, request.to_string().as_str(), text);
        }
        Some(limit) if request > limit => {
            let text = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(requests_path, request.to_string().as_str(), text);
        }
        None if !overcommit => errors.required(limits_path, "Limit must be set for non overcommitable resources"),
        _ => {}
    }
}

fn resource_claims(errors: &mut FieldErrors, path: &Path<'_>, resources: &ResourceRequirements, known: &[&str]) {
    let mut seen: Vec<(&str, Option<&str>)> = Vec::new();
    for (index, claim) in resources.claims.iter().flatten().enumerate() {
        let path = path.index(index);
        let (name, request) = (claim.name.as_str(), claim.request.as_deref().filter(|request| !request.is_empty()));
        if name.is_empty() {
            errors.required(&path, "");
            continue;
        }
        if let Some(request) = request {
            complain(errors, &path.child("request"), request, super::name::dns_label(request));
        }
        let overlaps = |other: &&(&str, Option<&str>)| {
            other.0 == name && (other.1.is_none() || request.is_none() || other.1 == request)
        };
        if let Some(other) = seen.iter().find(overlaps) {
            let shown = match (other.1, request) {
                (Some(_), Some(request)) => format!("{name}/{request}"),
                _ => name.to_owned(),
            };
            errors.duplicate(&path, shown);
        }
        seen.push((name, request));
        if !known.contains(&name) {
            let rest = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            errors.push(FieldError {
                mistake: Mistake::NotFound,
                field: path.to_string(),
                value: Some(name.shown()),
                detail: format!("must be one of the names in pod.spec.resourceClaims{rest}"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_within_limits() {
        let cases = [
            ("{limits: {cpu: 1}, requests: {cpu: 500m}}", "[]"),
            (
                "{limits: {cpu: 1}, requests: {cpu: 1500m}}",
                "resources.requests: Invalid value: \"1500m\": must be less than or equal to cpu limit of 1",
            ),
            (
                "{requests: {example.com/gpu: 1}}",
                "resources.limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (
                "{limits: {memory: -1Gi}}",
                "resources.limits[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
            ),
            (
                "{limits: {memory: lots}}",
                "resources.limits[memory]: Invalid value: \"lots\": quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                "{limits: {coffee: 1}}",
                "[resources.limits[coffee]: Invalid value: \"coffee\": must be a standard resource type or fully \
                 qualified, resources.limits[coffee]: Invalid value: \"coffee\": must be a standard resource for \
                 containers]",
            ),
        ];
        for (yaml, expected) in cases {
            let mut errors = FieldErrors::new();
            let resources = serde_yaml::from_str(yaml).unwrap();
            container_requirements(&mut errors, &Path::new("resources"), &resources, &[]);
            assert_eq!(errors.to_string(), expected, "{yaml}");
        }
    }
}
