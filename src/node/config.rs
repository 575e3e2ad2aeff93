//! What a node agent is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::eviction::config::EvictionConfig;
use super::reclaim::ImageGc;

/// The version that agents of this crate report: the Kubernetes release whose behaviour they have.
pub const KUBELET_VERSION: &str = "v1.36.0";

/// What a node agent is told.
///
/// ```
/// let config = orchestrion::node::AgentConfig::new("node-1", "172.16.0.1".parse().unwrap());
/// assert_eq!(config.capacity["pods"].0, "110");
/// ```
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The node's name.
    pub name: String,
    /// The node's address.
    pub address: IpAddr,
    /// Labels beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node registers with.
    pub taints: Vec<Taint>,
    /// What the machine has. Resources of any name may be added.
    pub capacity: BTreeMap<String, Quantity>,
    /// What of it is kept from pods.
    pub reserved: BTreeMap<String, Quantity>,
    /// The addresses of the node's pods (`10.244.1.0/24`).
    pub pod_cidr: Option<String>,
    /// The domain of Services.
    pub cluster_domain: String,
    /// The name servers that pods use.
    pub cluster_dns: Vec<IpAddr>,
    /// How often the node says that it is alive.
    pub lease_renewal: Duration,
    /// After how long it counts as dead.
    pub lease_duration: Duration,
    /// How often the node's status is looked at; it is written when it has changed.
    pub status_interval: Duration,
    /// How often the status is written although nothing has changed.
    pub status_report: Duration,
    /// The directory of the node whose manifests are pods that run there whatever the API says (`staticPodPath`).
    pub static_pod_path: Option<String>,
    /// How often that directory is looked at.
    pub file_check: Duration,
    /// Kernel parameters that pods may set beside the safe ones: names, or beginnings of names with a `*` behind
    /// (`net.core.*`). Those that belong to no namespace of the kernel's are never taken.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// How often mounted ConfigMaps and Secrets are refreshed.
    pub sync_interval: Duration,
    /// When pods are ended to save the node.
    pub eviction: EvictionConfig,
    /// When images are removed.
    pub image_gc: ImageGc,
}

impl AgentConfig {
    /// The usual settings for a node of that name and address: 8 CPUs, 16 GiB, 110 pods.
    pub fn new(name: impl Into<String>, address: IpAddr) -> Self {
        let capacity = [("cpu", "8"), ("memory", "16Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")];
        Self {
            name: name.into(),
            address,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            capacity: capacity
                .iter()
                .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
                .collect(),
            reserved: BTreeMap::new(),
            pod_cidr: None,
            cluster_domain: "cluster.local".to_owned(),
            cluster_dns: Vec::new(),
            lease_renewal: Duration::from_secs(10),
            lease_duration: Duration::from_secs(40),
            status_interval: Duration::from_secs(10),
            status_report: Duration::from_secs(300),
            static_pod_path: None,
            file_check: Duration::from_secs(20),
            allowed_unsafe_sysctls: Vec::new(),
            sync_interval: Duration::from_secs(60),
            eviction: EvictionConfig::default(),
            image_gc: ImageGc::default(),
        }
    }

    /// Replaces what the machine has of a resource.
    #[must_use]
    pub fn with_capacity(mut self, resource: &str, amount: &str) -> Self {
        self.capacity.insert(resource.to_owned(), Quantity(amount.to_owned()));
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What pods may use: the capacity without what is reserved.
    pub fn allocatable(&self) -> BTreeMap<String, Quantity> {
        let mut allocatable = self.capacity.clone();
        for (name, amount) in &mut allocatable {
            let reserved = crate::api::rules::resources::amount_of(Some(&self.reserved), name);
            if let Some(reserved) = reserved {
                let left = crate::api::rules::resources::amount(amount) - reserved;
                amount.0 = left.to_string();
            }
        }
        allocatable
    }
}
