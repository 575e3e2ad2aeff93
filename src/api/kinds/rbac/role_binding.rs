//! RoleBinding: who has a role in a namespace.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;

use super::binding;
use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Surroundings};

/// What a RoleBinding does.
#[derive(Debug)]
struct RoleBindingStrategy;

impl Strategy for RoleBindingStrategy {
    type Object = RoleBinding;

    fn default(&self, of: &mut RoleBinding) {
        binding::default(&mut of.role_ref, of.subjects.as_mut());
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, of: &RoleBinding, _: &Surroundings, errors: &mut FieldErrors) {
        binding::check(&of.role_ref, of.subjects.as_deref(), &["Role", "ClusterRole"], errors);
    }

    fn validate_update(&self, new: &RoleBinding, old: &RoleBinding, around: &Surroundings, errors: &mut FieldErrors) {
        self.validate(new, around, errors);
        binding::check_update(&new.role_ref, &old.role_ref, errors);
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        binding::columns("roleBinding")
    }

    fn cells(&self, of: &RoleBinding, now: Timestamp) -> Vec<Cell> {
        binding::cells(&of.metadata, &of.role_ref, of.subjects.as_deref(), now)
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(RoleBindingStrategy)
}
