//! The controllers of Kubernetes.

pub mod deployment;
pub mod endpoints;
pub mod namespace;
pub mod replica_set;
pub mod root_ca;
pub mod service_account;
