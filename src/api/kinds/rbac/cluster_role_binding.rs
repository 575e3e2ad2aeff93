//! ClusterRoleBinding: who has a role in the cluster.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use super::binding;
use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Surroundings};

/// What a ClusterRoleBinding does.
#[derive(Debug)]
struct ClusterRoleBindingStrategy;

impl Strategy for ClusterRoleBindingStrategy {
    type Object = ClusterRoleBinding;

    fn default(&self, of: &mut ClusterRoleBinding) {
        binding::default(&mut of.role_ref, of.subjects.as_mut());
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, of: &ClusterRoleBinding, _: &Surroundings, errors: &mut FieldErrors) {
        binding::check(&of.role_ref, of.subjects.as_deref(), &["ClusterRole"], errors);
    }

    fn validate_update(
        &self,
        new: &ClusterRoleBinding,
        old: &ClusterRoleBinding,
        around: &Surroundings,
        errors: &mut FieldErrors,
    ) {
        self.validate(new, around, errors);
        binding::check_update(&new.role_ref, &old.role_ref, errors);
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        binding::columns("clusterRoleBinding")
    }

    fn cells(&self, of: &ClusterRoleBinding, now: Timestamp) -> Vec<Cell> {
        binding::cells(&of.metadata, &of.role_ref, of.subjects.as_deref(), now)
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ClusterRoleBindingStrategy)
}
