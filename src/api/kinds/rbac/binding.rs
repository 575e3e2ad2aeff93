//! What both kinds of bindings have in common.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::GROUP;
use crate::api::field::Path;
use crate::api::rules::{self, name};
use crate::api::{Cell, Column, FieldErrors};

pub(super) fn default(role: &mut RoleRef, subjects: Option<&mut Vec<Subject>>) {
    if role.api_group.as_deref().unwrap_or_default().is_empty() {
        role.api_group = Some(GROUP.into());
    }
    for subject in subjects.into_iter().flatten() {
        if subject.api_group.as_deref().unwrap_or_default().is_empty() && subject.kind != "ServiceAccount" {
            subject.api_group = Some(GROUP.into());
        }
    }
}

pub(super) fn check(role: &RoleRef, subjects: Option<&[Subject]>, kinds: &[&str], errors: &mut FieldErrors) {
    let path = Path::new("roleRef");
    let group = role.api_group.as_deref().unwrap_or_default();
    if group != GROUP {
        errors.not_supported(&path.child("apiGroup"), group, &[GROUP]);
    }
    if !kinds.contains(&role.kind.as_str()) {
        errors.not_supported(&path.child("kind"), &role.kind, kinds);
    }
    if role.name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        rules::complain(errors, &path.child("name"), &role.name, name::path_segment(&role.name));
    }
    let path = Path::new("subjects");
    for (index, subject) in subjects.unwrap_or_default().iter().enumerate() {
        check_subject(subject, kinds.contains(&"Role"), &path.index(index), errors);
    }
}

fn check_subject(subject: &Subject, namespaced: bool, path: &Path<'_>, errors: &mut FieldErrors) {
    if subject.name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    let group = subject.api_group.as_deref().unwrap_or_default();
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                rules::complain(errors, &path.child("name"), &subject.name, name::dns_subdomain(&subject.name));
            }
            if !group.is_empty() {
                errors.not_supported(&path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject.namespace.as_deref().unwrap_or_default().is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" if group == GROUP => {}
        "User" | "Group" => errors.not_supported(&path.child("apiGroup"), group, &[GROUP]),
        kind => errors.not_supported(&path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}

pub(super) fn check_update(new: &RoleRef, old: &RoleRef, errors: &mut FieldErrors) {
    if new != old {
        let shown = json!({ "APIGroup": new.api_group, "Kind": new.kind, "Name": new.name });
        errors.invalid(&Path::new("roleRef"), shown, "cannot change roleRef");
    }
}

pub(super) fn columns(what: &str) -> Vec<Column> {
    vec![
        Column::name(),
        Column::text("Role", "RoleRef can reference a Role in the current namespace or a ClusterRole."),
        Column::age(),
        Column::text("Users", &format!("Users in the {what}")).wide(),
        Column::text("Groups", &format!("Groups in the {what}")).wide(),
        Column::text("ServiceAccounts", &format!("ServiceAccounts in the {what}")).wide(),
    ]
}

pub(super) fn cells(meta: &ObjectMeta, role: &RoleRef, subjects: Option<&[Subject]>, now: Timestamp) -> Vec<Cell> {
    let named = |kind: &str| -> Cell {
        let subjects = subjects.unwrap_or_default().iter().filter(|subject| subject.kind == kind);
        let names = subjects.map(|subject| match (kind, subject.namespace.as_deref()) {
            ("ServiceAccount", namespace) => format!("{}/{}", namespace.unwrap_or_default(), subject.name),
            _ => subject.name.clone(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        Cell::name(meta),
        format!("{}/{}", role.kind, role.name).into(),
        Cell::age(meta, now),
        named("User"),
        named("Group"),
        named("ServiceAccount"),
    ]
}
