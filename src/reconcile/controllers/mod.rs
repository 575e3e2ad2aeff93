//! The controllers of Kubernetes.

pub mod replica_set;
