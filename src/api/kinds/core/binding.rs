//! Binding: the body that puts a pod on a node.

use k8s_openapi::api::core::v1::Binding;

use crate::api::field::{FieldErrors, Path};
use crate::api::{Kind, Strategy, Surroundings};

/// What a Binding does.
#[derive(Debug)]
struct BindingStrategy;

impl Strategy for BindingStrategy {
    type Object = Binding;

    fn validate(&self, binding: &Binding, _: &Surroundings, errors: &mut FieldErrors) {
        let target = Path::new("target");
        let kind = binding.target.kind.as_deref().unwrap_or_default();
        if !matches!(kind, "" | "Node") {
            errors.not_supported(&target.child("kind"), kind, &["Node", "<empty>"]);
        }
        if binding.target.name.as_deref().is_none_or(str::is_empty) {
            errors.required(&target.child("name"), "");
        }
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(BindingStrategy).verbs(&["create"])
}
