//! Kubernetes as a library: a whole cluster in a process, every part replaceable.

pub mod api;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod node;
pub mod random;
pub mod reconcile;
pub mod runtime;
pub mod scheduler;
pub mod server;
pub mod service;
pub mod store;
