//! `rbac.authorization.k8s.io`

mod binding;
pub mod cluster_role;
pub mod cluster_role_binding;
pub mod role;
pub mod role_binding;
mod rules;

/// The group's name, which bindings refer to.
const GROUP: &str = "rbac.authorization.k8s.io";
