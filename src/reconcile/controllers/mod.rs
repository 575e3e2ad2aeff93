//! The controllers of Kubernetes.

pub mod deployment;
pub mod replica_set;
