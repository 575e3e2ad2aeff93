//! Namespace: the scope of names.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Subresource, Surroundings};

/// The finalizer in `spec.finalizers` that keeps a namespace until its content is gone.
const FINALIZER: &str = "kubernetes";
/// Finalizers that may stand without a domain.
const STANDARD_FINALIZERS: &[&str] = &[FINALIZER, "orphan", "foregroundDeletion"];
/// The label that carries the namespace's own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What a Namespace does.
#[derive(Debug)]
struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    type Object = Namespace;

    fn default(&self, namespace: &mut Namespace) {
        namespace.spec.get_or_insert_default();
        let status = namespace.status.get_or_insert_default();
        if status.phase.as_deref().unwrap_or_default().is_empty() {
            status.phase = Some("Active".into());
        }
        if let Some(name) = namespace.metadata.name.clone().filter(|name| !name.is_empty()) {
            namespace.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
        }
    }

    fn prepare_create(&self, namespace: &mut Namespace, _: &Surroundings) {
        namespace.status = None;
        // The name may have been generated after the defaults were set.
        self.default(namespace);
        let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.into());
        }
    }

    fn prepare_update(&self, new: &mut Namespace, old: &Namespace, _: &Surroundings) {
        new.spec.clone_from(&old.spec);
        new.status.clone_from(&old.status);
    }

    fn prepare_status(&self, new: &mut Namespace, old: &Namespace, _: &Surroundings) {
        new.spec.clone_from(&old.spec);
    }

    /// `finalize` is where `spec.finalizers` can be written.
    fn prepare_subresource(&self, _: &str, new: &mut Namespace, old: &Namespace, _: &Surroundings) {
        new.status.clone_from(&old.status);
    }

    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel
    }

    fn validate(&self, namespace: &Namespace, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let path = path.child("finalizers");
        for finalizer in namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten()) {
            rules::complain(errors, &path, finalizer, rules::label::qualified_name(finalizer));
            if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
                let detail = "name is neither a standard finalizer name nor is it fully qualified";
                errors.invalid(&path, finalizer, detail);
            }
        }
    }

    fn validate_status(&self, new: &Namespace, old: &Namespace, _: &Surroundings, errors: &mut FieldErrors) {
        let phase = phase(new);
        let (wanted, state) = match old.metadata.deletion_timestamp {
            None => ("Active", "empty"),
            Some(_) => ("Terminating", "not empty"),
        };
        if phase != wanted {
            let detail = format!("may only be '{wanted}' if `deletionTimestamp` is {state}");
            // The capital is upstream's.
            errors.invalid(&Path::new("status").child("Phase"), phase, detail);
        }
    }

    fn field<'a>(&self, namespace: &'a Namespace, field: &str) -> Cow<'a, str> {
        match field {
            "status.phase" => phase(namespace).into(),
            _ => "".into(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![Column::name(), Column::text("Status", "The status of the namespace"), Column::age()]
    }

    fn cells(&self, namespace: &Namespace, now: Timestamp) -> Vec<Cell> {
        vec![Cell::name(&namespace.metadata), phase(namespace).into(), Cell::age(&namespace.metadata, now)]
    }
}

fn phase(namespace: &Namespace) -> &str {
    namespace.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(NamespaceStrategy)
        .short(&["ns"])
        .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
        .sub(Subresource { name: "finalize", body: None, verbs: &["update"] })
        .sub(Subresource::STATUS)
        .selectable(&["status.phase"])
}
