//! Rules for the metadata that all kinds share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use serde_json::json;

use crate::api::NameRule;
use crate::api::field::{FieldErrors, Path, Shown};

use super::{IMMUTABLE, complain, label, name, not_negative};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Checks the metadata of an object that is created, after its name has been generated.
pub fn validate_meta(meta: &ObjectMeta, namespaced: bool, rule: NameRule, errors: &mut FieldErrors) {
    let path = Path::new("metadata");
    if let Some(prefix) = meta.generate_name.as_deref().filter(|prefix| !prefix.is_empty()) {
        complain(errors, &path.child("generateName"), prefix, name::check_prefix(rule, prefix));
    }
    match meta.name.as_deref().unwrap_or_default() {
        "" => errors.required(&path.child("name"), "name or generateName is required"),
        given => complain(errors, &path.child("name"), given, name::check(rule, given)),
    }
    let namespace = path.child("namespace");
    match (meta.namespace.as_deref().unwrap_or_default(), namespaced) {
        ("", true) => errors.required(&namespace, ""),
        (given, true) => complain(errors, &namespace, given, name::dns_label(given)),
        ("", false) => {}
        (_, false) => errors.forbidden(&namespace, "not allowed on this type"),
    }
    not_negative(errors, &path.child("generation"), meta.generation.unwrap_or(0));
    validate_common(meta, &path, errors);
}

/// Checks the metadata of an object that is updated.
pub fn validate_meta_update(new: &ObjectMeta, old: &ObjectMeta, errors: &mut FieldErrors) {
    let path = Path::new("metadata");
    if old.deletion_timestamp.is_some() {
        no_new_finalizers(new, old, &path, errors);
    }
    let version = new.resource_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        errors.invalid(&path.child("resourceVersion"), version, "must be specified for an update");
    }
    if new.generation.unwrap_or(0) < old.generation.unwrap_or(0) {
        errors.invalid(&path.child("generation"), new.generation.unwrap_or(0), "must not be decremented");
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default().shown();
    let time = |value: &Option<Time>| json!(value).shown();
    for (field, new, old) in
        [("name", &new.name, &old.name), ("namespace", &new.namespace, &old.namespace), ("uid", &new.uid, &old.uid)]
    {
        if new.as_deref().unwrap_or_default() != old.as_deref().unwrap_or_default() {
            errors.invalid(&path.child(field), Plain(text(new)), IMMUTABLE);
        }
    }
    for (field, new, old) in [
        ("creationTimestamp", &new.creation_timestamp, &old.creation_timestamp),
        ("deletionTimestamp", &new.deletion_timestamp, &old.deletion_timestamp),
    ] {
        // What shows alike is alike: the wire knows whole seconds.
        if new != old && time(new) != time(old) {
            errors.invalid(&path.child(field), Plain(time(new)), IMMUTABLE);
        }
    }
    let period = new.deletion_grace_period_seconds;
    if period != old.deletion_grace_period_seconds {
        errors.invalid(&path.child("deletionGracePeriodSeconds"), Plain(json!(period).shown()), IMMUTABLE);
    }
    validate_common(new, &path, errors);
}

/// A value that is shown already.
struct Plain(String);

impl Shown for Plain {
    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// What creation and update check alike.
fn validate_common(meta: &ObjectMeta, path: &Path<'_>, errors: &mut FieldErrors) {
    label::labels(errors, &path.child("labels"), meta.labels.as_ref());
    label::annotations(errors, &path.child("annotations"), meta.annotations.as_ref());
    owners(meta.owner_references.as_deref().unwrap_or_default(), &path.child("ownerReferences"), errors);
    finalizers(meta.finalizers.as_deref().unwrap_or_default(), &path.child("finalizers"), errors);
    managed_fields(meta.managed_fields.as_deref().unwrap_or_default(), &path.child("managedFields"), errors);
}

fn owners(owners: &[OwnerReference], path: &Path<'_>, errors: &mut FieldErrors) {
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            errors.invalid(&path.child("apiVersion"), &owner.api_version, "version must not be empty");
        }
        for (field, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.invalid(&path.child(field), value, "must not be empty");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.invalid(path, json!(owner), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.controller == Some(true) {
            if let Some(first) = controller {
                let [first, current] = [first, owner].map(|owner| format!("{}/{}", owner.kind, owner.name));
                let text = "Only one reference can have Controller set to true. Found \"true\" in references for";
                errors.invalid(path, json!(owners), format!("{text} {first} and {current}"));
            } else {
                controller = Some(owner);
            }
        }
    }
}

fn finalizers(finalizers: &[String], path: &Path<'_>, errors: &mut FieldErrors) {
    for finalizer in finalizers {
        complain(errors, path, finalizer, label::qualified_name(finalizer));
    }
    if [ORPHAN, FOREGROUND].iter().all(|name| finalizers.iter().any(|finalizer| finalizer == name)) {
        let text = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.invalid(path, json!(finalizers), text);
    }
}

fn no_new_finalizers(new: &ObjectMeta, old: &ObjectMeta, path: &Path<'_>, errors: &mut FieldErrors) {
    let kept = old.finalizers.as_deref().unwrap_or_default();
    let mut extra: Vec<_> =
        new.finalizers.iter().flatten().filter(|finalizer| !kept.contains(finalizer)).map(|f| f.shown()).collect();
    extra.sort();
    extra.dedup();
    if !extra.is_empty() {
        let text = "no new finalizers can be added if the object is being deleted, found new finalizers";
        errors.forbidden(&path.child("finalizers"), format!("{text} []string{{{}}}", extra.join(", ")));
    }
}

fn managed_fields(entries: &[ManagedFieldsEntry], path: &Path<'_>, errors: &mut FieldErrors) {
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let operation = entry.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            errors.invalid(&path.child("operation"), operation, "must be `Apply` or `Update`");
        }
        let kind = entry.fields_type.as_deref().unwrap_or_default();
        if !matches!(kind, "" | "FieldsV1") {
            errors.invalid(&path.child("fieldsType"), kind, "must be `FieldsV1`");
        }
        if entry.manager.as_ref().is_some_and(|manager| manager.len() > 128) {
            errors.too_long(&path.child("manager"), 128);
        }
        if entry.subresource.as_ref().is_some_and(|name| name.len() > 256) {
            errors.too_long(&path.child("subresource"), 256);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..Default::default() }
    }

    fn created(meta: &ObjectMeta) -> String {
        let mut errors = FieldErrors::new();
        validate_meta(meta, true, NameRule::DnsSubdomain, &mut errors);
        errors.to_string()
    }

    #[test]
    fn bad_names_and_labels_name_their_field() {
        assert_eq!(created(&meta("web")), "[]");
        assert!(created(&meta("Web")).starts_with(
            "metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 subdomain must consist of lower case"
        ));
        assert_eq!(created(&meta("")), "metadata.name: Required value: name or generateName is required");
        let mut labelled = meta("web");
        labelled.labels = Some([("a".to_owned(), "b c".to_owned())].into());
        assert!(created(&labelled).starts_with("metadata.labels: Invalid value: \"b c\": a valid label must be"));
    }

    #[test]
    fn identity_may_not_change() {
        let old = ObjectMeta { uid: Some("1".into()), resource_version: Some("7".into()), ..meta("web") };
        let new = ObjectMeta { uid: Some("2".into()), ..old.clone() };
        let mut errors = FieldErrors::new();
        validate_meta_update(&new, &old, &mut errors);
        assert_eq!(errors.to_string(), "metadata.uid: Invalid value: \"2\": field is immutable");
    }
}
