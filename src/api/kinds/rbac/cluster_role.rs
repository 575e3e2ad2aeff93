//! ClusterRole: what may be done in the cluster, or in any namespace.

use k8s_openapi::api::rbac::v1::ClusterRole;

use super::rules;
use crate::api::{FieldErrors, Kind, NameRule, Strategy, Surroundings};

/// What a ClusterRole does.
#[derive(Debug)]
struct ClusterRoleStrategy;

impl Strategy for ClusterRoleStrategy {
    type Object = ClusterRole;

    fn default(&self, role: &mut ClusterRole) {
        role.rules.get_or_insert_default();
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, role: &ClusterRole, _: &Surroundings, errors: &mut FieldErrors) {
        rules::check(role.rules.as_deref(), false, errors);
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ClusterRoleStrategy)
}
