//! The default plugins: one file each, under upstream's names.

mod balanced_allocation;
mod default_binder;
mod default_preemption;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod pod_topology_spread;
mod priority_sort;
mod scheduling_gates;
mod taint_toleration;

pub use self::balanced_allocation::BalancedAllocation;
pub use self::default_binder::DefaultBinder;
pub use self::default_preemption::DefaultPreemption;
pub use self::image_locality::ImageLocality;
pub use self::inter_pod_affinity::InterPodAffinity;
pub use self::node_affinity::NodeAffinity;
pub use self::node_name::NodeName;
pub use self::node_ports::NodePorts;
pub use self::node_resources_fit::{NodeResourcesFit, ScoringStrategy, Shape};
pub use self::node_unschedulable::NodeUnschedulable;
pub use self::pod_topology_spread::PodTopologySpread;
pub use self::priority_sort::PrioritySort;
pub use self::scheduling_gates::SchedulingGates;
pub use self::taint_toleration::TaintToleration;
