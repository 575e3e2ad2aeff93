//! The remote backend: an API server behind HTTP.

pub mod kubeconfig;
