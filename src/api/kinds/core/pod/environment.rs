//! Environment variables of containers: rules.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector};

use crate::api::Quantity;
use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::qualified_name;
use crate::api::rules::{complain, given, name, path as paths, present, resources};

/// What a variable can take from its pod.
const POD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that upstream can convert at all: what stands here but in no list above is refused with the list.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "spec.hostNetwork",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a variable or a file can take from a container's resources.
const RESOURCE_FIELDS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTE_DIVISORS: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";

/// Checks the variables of a container.
pub(super) fn variables(errors: &mut FieldErrors, path: &Path<'_>, variables: &[EnvVar]) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        if variable.name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            let complaints = name::environment_variable(&variable.name);
            complain(errors, &path.child("name"), &variable.name, complaints);
        }
        if let Some(from) = &variable.value_from {
            check_source(errors, &path.child("valueFrom"), from, !given(&variable.value).is_empty());
        }
    }
}

fn check_source(errors: &mut FieldErrors, path: &Path<'_>, from: &EnvVarSource, has_value: bool) {
    let mut sources = 0;
    if let Some(field) = &from.field_ref {
        sources += 1;
        field_ref(errors, &path.child("fieldRef"), field, POD_FIELDS);
    }
    if let Some(resource) = &from.resource_field_ref {
        sources += 1;
        resource_field_ref(errors, &path.child("resourceFieldRef"), resource, false);
    }
    if let Some(key) = &from.config_map_key_ref {
        sources += 1;
        check_key(errors, &path.child("configMapKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &from.secret_key_ref {
        sources += 1;
        check_key(errors, &path.child("secretKeyRef"), &key.name, &key.key);
    }
    if let Some(file) = &from.file_key_ref {
        sources += 1;
        let path = path.child("fileKeyRef");
        let complaints = name::environment_variable(&file.key);
        complain(errors, &path.child("key"), &file.key, complaints);
        present(errors, &path.child("volumeName"), &file.volume_name);
        present(errors, &path.child("path"), &file.path);
        paths::descending_not_dotted(errors, &path.child("path"), &file.path);
    }
    if sources == 0 {
        errors.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        );
    } else if has_value {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

/// A reference to a field of the pod, which must be one of `allowed` or a single label or annotation.
pub(super) fn field_ref(errors: &mut FieldErrors, path: &Path<'_>, field: &ObjectFieldSelector, allowed: &[&str]) {
    let version = given(&field.api_version);
    if version.is_empty() {
        return errors.required(&path.child("apiVersion"), "");
    }
    let text = field.field_path.as_str();
    let field_path = path.child("fieldPath");
    if text.is_empty() {
        return errors.required(&field_path, "");
    }
    if version != "v1" {
        let reason = format!("unsupported pod version: {version}");
        return errors.invalid(&field_path, text, format!("error converting fieldPath: {reason}"));
    }
    let subscripted = text.strip_suffix("']").and_then(|text| text.split_once("['"));
    let (base, subscript) = subscripted.map_or((text, None), |(base, key)| (base, Some(key)));
    let subscriptable = matches!(base, "metadata.labels" | "metadata.annotations");
    match subscript {
        Some(key) if base == "metadata.annotations" => complain(errors, path, key, qualified_name(&key.to_lowercase())),
        Some(key) if subscriptable => complain(errors, path, key, qualified_name(key)),
        Some(_) if KNOWN_FIELDS.contains(&base) => errors.invalid(path, base, "does not support subscript"),
        None if allowed.contains(&base) => {}
        None if KNOWN_FIELDS.contains(&base) => errors.not_supported(&field_path, base, allowed),
        _ => {
            let reason = format!("error converting fieldPath: field label not supported: {text}");
            errors.invalid(&field_path, text, reason);
        }
    }
}

/// A reference to a container's resource; in a volume it names the container.
pub(super) fn resource_field_ref(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    reference: &ResourceFieldSelector,
    in_volume: bool,
) {
    let resource = reference.resource.as_str();
    let huge_pages = ["requests.hugepages-", "limits.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if in_volume && given(&reference.container_name).is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !RESOURCE_FIELDS.contains(&resource) && !huge_pages {
        errors.not_supported(&path.child("resource"), resource, RESOURCE_FIELDS);
    }
    let divisor = reference.divisor.as_ref().map_or(Quantity::ZERO, resources::amount);
    if divisor.is_zero() {
        return;
    }
    let (good, what, allowed) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (matches!(divisor.to_string().as_str(), "1m" | "1"), "cpu", "1m and 1"),
        "memory" => (is_byte_divisor(divisor), "memory", BYTE_DIVISORS),
        "ephemeral-storage" => (is_byte_divisor(divisor), "local ephemeral storage", BYTE_DIVISORS),
        _ if huge_pages => (is_byte_divisor(divisor), "hugepages", BYTE_DIVISORS),
        _ => return,
    };
    if !good {
        let text = format!("only divisor's values {allowed} are supported with the {what} resource");
        errors.invalid(&path.child("divisor"), resource, text);
    }
}

fn is_byte_divisor(divisor: Quantity) -> bool {
    let text = divisor.to_string();
    BYTE_DIVISORS.split(", ").any(|allowed| allowed == text)
}

/// The key of a ConfigMap or Secret.
fn check_key(errors: &mut FieldErrors, path: &Path<'_>, object: &str, key: &str) {
    complain(errors, &path.child("name"), object, name::dns_subdomain(object));
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        complain(errors, &path.child("key"), key, name::config_map_key(key));
    }
}

/// Checks the sources of whole sets of variables.
pub(super) fn sources(errors: &mut FieldErrors, path: &Path<'_>, sources: &[EnvFromSource]) {
    for (index, source) in sources.iter().enumerate() {
        let item = path.index(index);
        let prefix = given(&source.prefix);
        if !prefix.is_empty() {
            complain(errors, &item.child("prefix"), prefix, name::environment_variable(prefix));
        }
        let config_map = source.config_map_ref.as_ref().map(|source| ("configMapRef", &source.name));
        let secret = source.secret_ref.as_ref().map(|source| ("secretRef", &source.name));
        for (field, object) in [config_map, secret].into_iter().flatten() {
            let path = item.child(field);
            if object.is_empty() {
                errors.required(&path.child("name"), "");
            } else {
                complain(errors, &path.child("name"), object, name::dns_subdomain(object));
            }
        }
        match (config_map, secret) {
            (None, None) => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            (Some(_), Some(_)) => errors.invalid(path, "", "may not have more than one field specified at a time"),
            _ => {}
        }
    }
}
