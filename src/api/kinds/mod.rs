//! The kinds table: one row per kind and version, each made by the kind's own file.

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
pub mod metrics;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
mod review;
pub mod scheduling;
mod separate_status;
pub mod storage;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use foldhash::HashMap;

use super::kind::{Kind, KindRef};
use super::object::ApiType;

/// The rows, in the order in which discovery lists them.
const TABLE: &[fn() -> Kind] = &[
    core::binding::kind,
    core::config_map::kind,
    core::endpoints::kind,
    core::event::kind,
    core::limit_range::kind,
    core::namespace::kind,
    core::node::kind,
    core::persistent_volume_claim::kind,
    core::persistent_volume::kind,
    core::pod::kind,
    core::pod_template::kind,
    core::replication_controller::kind,
    core::resource_quota::kind,
    core::secret::kind,
    core::service_account::kind,
    core::service::kind,
    apiregistration::api_service::kind,
    apps::controller_revision::kind,
    apps::daemon_set::kind,
    apps::deployment::kind,
    apps::replica_set::kind,
    apps::stateful_set::kind,
    events::event::kind,
    authentication::self_subject_review,
    authentication::token_review,
    authentication::token_request,
    authorization::local_subject_access_review,
    authorization::self_subject_access_review,
    authorization::self_subject_rules_review,
    authorization::subject_access_review,
    autoscaling::hpa_v2::kind,
    autoscaling::hpa_v1::kind,
    autoscaling::scale::kind,
    batch::cron_job::kind,
    batch::job::kind,
    certificates::certificate_signing_request::kind,
    networking::ingress_class::kind,
    networking::ingress::kind,
    networking::ip_address::kind,
    networking::network_policy::kind,
    networking::service_cidr::kind,
    policy::eviction::kind,
    policy::pod_disruption_budget::kind,
    rbac::cluster_role_binding::kind,
    rbac::cluster_role::kind,
    rbac::role_binding::kind,
    rbac::role::kind,
    storage::csi_driver::kind,
    storage::csi_node::kind,
    storage::csi_storage_capacity::kind,
    storage::storage_class::kind,
    storage::volume_attachment::kind,
    storage::volume_attributes_class::kind,
    admissionregistration::mutating_admission_policy::kind,
    admissionregistration::mutating_admission_policy_binding::kind,
    admissionregistration::mutating_webhook_configuration::kind,
    admissionregistration::validating_admission_policy::kind,
    admissionregistration::validating_admission_policy_binding::kind,
    admissionregistration::validating_webhook_configuration::kind,
    apiextensions::custom_resource_definition::kind,
    scheduling::priority_class::kind,
    coordination::lease::kind,
    node::runtime_class::kind,
    discovery::endpoint_slice::kind,
    flowcontrol::flow_schema::kind,
    flowcontrol::priority_level_configuration::kind,
    resource::device_class::kind,
    resource::resource_claim::kind,
    resource::resource_claim_template::kind,
    resource::resource_slice::kind,
    metrics::node_metrics::kind,
    metrics::pod_metrics::kind,
];

static BUILTIN: LazyLock<Arc<Rows>> =
    LazyLock::new(|| Arc::new(Rows::new(TABLE.iter().map(|row| KindRef::leaked(row())))));

#[derive(Debug, Default)]
struct Rows {
    all: Vec<KindRef>,
    /// By group, version and plural, as a path has them. Never iterated.
    by_resource: HashMap<String, KindRef>,
    /// By group, version and kind. Never iterated.
    by_kind: HashMap<String, KindRef>,
    /// By type. Never iterated.
    by_type: HashMap<TypeId, KindRef>,
    /// The OpenAPI documents made of these rows so far.
    #[cfg(feature = "http")]
    documents: super::schema::openapi::Documents,
}

impl Rows {
    fn new(rows: impl IntoIterator<Item = KindRef>) -> Self {
        let mut table = Self::default();
        for kind in rows {
            table.by_resource.insert(path(&kind.group, &kind.version, &kind.plural), kind.clone());
            table.by_kind.insert(path(&kind.group, &kind.version, &kind.kind), kind.clone());
            table.by_type.insert(kind.body_type(), kind.clone());
            table.all.push(kind);
        }
        table
    }
}

/// No part of it has a `/`.
fn path(group: &str, version: &str, name: &str) -> String {
    [group, "/", version, "/", name].concat()
}

impl Kind {
    /// The row of the built-in kind `K`.
    ///
    /// # Panics
    /// Where there is none; there is one for every listable kind of the stable groups.
    pub fn of<K: ApiType>() -> KindRef {
        BUILTIN
            .by_type
            .get(&TypeId::of::<K>())
            .cloned()
            .unwrap_or_else(|| panic!("no row for {} {} in the kinds table", K::API_VERSION, K::KIND))
    }
}

/// The kinds that a server serves: the built-in ones, and those added while it runs (custom resources).
/// Clones share one table.
#[derive(Clone, Debug)]
pub struct Kinds(Arc<RwLock<Arc<Rows>>>);

impl Default for Kinds {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Kinds {
    /// A table of the built-in kinds.
    pub fn builtin() -> Self {
        Self(Arc::new(RwLock::new(Arc::clone(&BUILTIN))))
    }

    fn rows(&self) -> Arc<Rows> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `use_of` makes of the OpenAPI documents of the kinds as they are now.
    #[cfg(feature = "http")]
    pub(crate) fn documents<T>(&self, use_of: impl FnOnce(&super::schema::openapi::Documents) -> T) -> T {
        use_of(&self.rows().documents)
    }

    /// Every kind, in the order of discovery.
    pub fn all(&self) -> Vec<KindRef> {
        self.rows().all.clone()
    }

    /// The kind served under that group, version and plural.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<KindRef> {
        self.rows().by_resource.get(&path(group, version, plural)).cloned()
    }

    /// The kind of that group, version and name.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<KindRef> {
        self.rows().by_kind.get(&path(group, version, kind)).cloned()
    }

    /// The kind of that name in `apiVersion` form: `apps/v1` and `Deployment`.
    pub fn by_api_version(&self, api_version: &str, kind: &str) -> Option<KindRef> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.by_kind(group, version, kind)
    }

    /// Adds a kind, or replaces the one of the same group, version and plural.
    pub fn add(&self, kind: Kind) -> KindRef {
        let kind = KindRef::from(kind);
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let others = rows.all.iter().filter(|row| **row != kind).cloned();
        *rows = Arc::new(Rows::new(others.chain([kind.clone()])));
        kind
    }

    /// Removes the kind served under that group, version and plural.
    pub fn remove(&self, group: &str, version: &str, plural: &str) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let gone = |row: &KindRef| row.group == group && row.version == version && row.plural == plural;
        *rows = Arc::new(Rows::new(rows.all.iter().filter(|row| !gone(row)).cloned()));
    }
}
