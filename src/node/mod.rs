//! The node agent: the kubelet's job.
//!
//! An [`Agent`] registers its node, keeps it alive, and brings every pod that is bound to it to what the pod's spec
//! asks for, on whatever [`Runtime`](crate::runtime::Runtime) it is given. It reaches the API only through a
//! [`Client`](crate::client::Client), so it serves a server in this process and one behind HTTPS alike.

mod admission;
mod admit;
mod agent;
mod config;
mod endpoint;
mod env;
mod eviction;
mod hooks;
mod images;
mod lease;
mod machine;
mod oom;
mod pod_worker;
mod preempt;
mod probe;
mod reclaim;
mod register;
mod resize;
mod restart;
mod sandbox;
mod service_links;
mod static_pod;
mod stats;
mod status;
mod sysctl;
mod volume;

pub use agent::Agent;
pub use config::{AgentConfig, KUBELET_VERSION};
pub use eviction::config::{Amount, BadThreshold, EvictionConfig, Pressure, Signal, Threshold};
pub use reclaim::ImageGc;

#[cfg(test)]
mod tests;
