//! CustomResourceDefinition: a kind that is added while the cluster runs.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionStatus,
};

use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::rules::{self, name};
use crate::api::{FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a CustomResourceDefinition does.
#[derive(Debug)]
struct CrdStrategy;

impl Strategy for CrdStrategy {
    type Object = CustomResourceDefinition;

    spec_generation!();

    fn default(&self, definition: &mut CustomResourceDefinition) {
        let spec = &mut definition.spec;
        if spec.scope.is_empty() {
            spec.scope = "Namespaced".into();
        }
        let names = &mut spec.names;
        if names.singular.as_deref().unwrap_or_default().is_empty() {
            names.singular = Some(names.kind.to_lowercase());
        }
        if names.list_kind.as_deref().unwrap_or_default().is_empty() && !names.kind.is_empty() {
            names.list_kind = Some(format!("{}List", names.kind));
        }
        let conversion =
            spec.conversion.get_or_insert_with(|| CustomResourceConversion { strategy: "None".into(), webhook: None });
        let webhook = conversion.webhook.as_mut().and_then(|webhook| webhook.client_config.as_mut());
        if let Some(service) = webhook.and_then(|config| config.service.as_mut()) {
            service.port.get_or_insert(443);
        }
    }

    fn prepare_create(&self, definition: &mut CustomResourceDefinition, _: &Surroundings) {
        definition.status = Some(CustomResourceDefinitionStatus::default());
        store_version(definition);
    }

    fn prepare_update(&self, new: &mut CustomResourceDefinition, old: &CustomResourceDefinition, _: &Surroundings) {
        new.status.clone_from(&old.status);
        store_version(new);
    }

    fn prepare_status(&self, new: &mut CustomResourceDefinition, old: &CustomResourceDefinition, _: &Surroundings) {
        new.spec.clone_from(&old.spec);
    }

    fn validate(&self, definition: &CustomResourceDefinition, _: &Surroundings, errors: &mut FieldErrors) {
        let spec = &definition.spec;
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        if name != format!("{}.{}", spec.names.plural, spec.group) {
            let path = Path::new("metadata");
            errors.invalid(&path.child("name"), name, "must be spec.names.plural+\".\"+spec.group");
        }
        let path = Path::new("spec");
        check_group(spec, &path, errors);
        check_names(spec, &path.child("names"), errors);
        match spec.scope.as_str() {
            "" => errors.required(&path.child("scope"), ""),
            "Cluster" | "Namespaced" => {}
            other => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"]),
        }
        check_versions(spec, &path.child("versions"), errors);
        if spec.preserve_unknown_fields == Some(true) {
            let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                          spec.versions[*].schema instead";
            errors.invalid(&path.child("preserveUnknownFields"), true, detail);
        }
    }

    fn validate_update(
        &self,
        new: &CustomResourceDefinition,
        old: &CustomResourceDefinition,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        let path = Path::new("spec");
        let established = old.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let established =
            { established }.any(|condition| condition.type_ == "Established" && condition.status == "True");
        if new.spec.group != old.spec.group {
            errors.invalid(&path.child("group"), &new.spec.group, rules::IMMUTABLE);
        }
        if new.spec.names.plural != old.spec.names.plural {
            errors.invalid(&path.child("names").child("plural"), &new.spec.names.plural, rules::IMMUTABLE);
        }
        if established && new.spec.scope != old.spec.scope {
            errors.invalid(&path.child("scope"), &new.spec.scope, rules::IMMUTABLE);
        }
        if established && new.spec.names.kind != old.spec.names.kind {
            errors.invalid(&path.child("names").child("kind"), &new.spec.names.kind, rules::IMMUTABLE);
        }
        let stored = new.status.iter().flat_map(|status| status.stored_versions.iter().flatten());
        let path = Path::new("status");
        let path = path.child("storedVersions");
        for (index, version) in stored.enumerate() {
            if !new.spec.versions.iter().any(|served| served.name == *version) {
                errors.invalid(
                    &path.index(index),
                    version,
                    "missing from spec.versions; was previously a storage version, and must remain in spec.versions \
                     until a storage migration ensures no data remains persisted in it and it can be removed from \
                     status.storedVersions",
                );
            }
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Remembers that objects may be stored in the version that is the storage version now.
fn store_version(definition: &mut CustomResourceDefinition) {
    let Some(version) = definition.spec.versions.iter().find(|version| version.storage) else { return };
    let stored = definition.status.get_or_insert_default().stored_versions.get_or_insert_default();
    if !stored.contains(&version.name) {
        stored.push(version.name.clone());
    }
}

fn check_group(spec: &CustomResourceDefinitionSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let path = path.child("group");
    if spec.group.is_empty() {
        return errors.required(&path, "");
    }
    rules::complain(errors, &path, &spec.group, name::dns_subdomain(&spec.group));
    if !spec.group.contains('.') {
        errors.invalid(&path, &spec.group, "should be a domain with at least one dot");
    }
}

fn check_names(spec: &CustomResourceDefinitionSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let names = &spec.names;
    let lower = |text: &str| name::dns_1035_label(&text.to_lowercase());
    for (field, text, complaints) in [
        ("plural", names.plural.as_str(), name::dns_1035_label(&names.plural)),
        ("singular", names.singular.as_deref().unwrap_or_default(), {
            name::dns_1035_label(names.singular.as_deref().unwrap_or_default())
        }),
        ("kind", names.kind.as_str(), lower(&names.kind)),
        ("listKind", names.list_kind.as_deref().unwrap_or_default(), {
            lower(names.list_kind.as_deref().unwrap_or_default())
        }),
    ] {
        match (text, field) {
            ("", "plural" | "kind") => errors.required(&path.child(field), ""),
            ("", _) => {}
            _ => rules::complain(errors, &path.child(field), text, complaints),
        }
    }
    if !names.kind.is_empty() && names.list_kind.as_deref() == Some(&names.kind) {
        errors.invalid(&path.child("listKind"), &names.kind, "kind and listKind may not be the same");
    }
    for (field, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
        let path = path.child(field);
        for (index, text) in list.iter().flatten().enumerate() {
            rules::complain(errors, &path.index(index), text, name::dns_1035_label(text));
        }
    }
}

fn check_versions(spec: &CustomResourceDefinitionSpec, path: &Path<'_>, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    let mut unique = true;
    for (index, version) in spec.versions.iter().enumerate() {
        let path = path.index(index);
        unique &= names.insert(&version.name);
        rules::complain(errors, &path.child("name"), &version.name, name::dns_1035_label(&version.name));
        if version.schema.as_ref().is_none_or(|schema| schema.open_api_v3_schema.is_none()) {
            errors.required(&path.child("schema").child("openAPIV3Schema"), "schemas are required");
        }
    }
    if !unique {
        errors.invalid(path, "", "must contain unique version names");
    }
    let storing = spec.versions.iter().filter(|version| version.storage).count();
    if storing != 1 {
        errors.invalid(path, "", "must have exactly one version marked as storage version");
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CrdStrategy).short(&["crd", "crds"]).categories(&["api-extensions"]).sub(Subresource::STATUS)
}
