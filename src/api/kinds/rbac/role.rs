//! Role: what may be done in a namespace.

use k8s_openapi::api::rbac::v1::Role;

use super::rules;
use crate::api::{FieldErrors, Kind, NameRule, Strategy, Surroundings};

/// What a Role does.
#[derive(Debug)]
struct RoleStrategy;

impl Strategy for RoleStrategy {
    type Object = Role;

    fn default(&self, role: &mut Role) {
        role.rules.get_or_insert_default();
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, role: &Role, _: &Surroundings, errors: &mut FieldErrors) {
        rules::check(role.rules.as_deref(), true, errors);
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(RoleStrategy)
}
