//! The front over a backend of a few ConfigMaps, driven in process.

mod crud;
mod fixture;
#[cfg(feature = "kube")]
mod kube_client;
mod paths;
mod watching;
