//! The assembly of the parts into a cluster.

#[cfg(feature = "http")]
pub mod kubeconfig;
#[cfg(feature = "http")]
pub mod pki;
