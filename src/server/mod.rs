//! The API server: the semantics of the Kubernetes API, and its wire front.

#[cfg(feature = "http")]
pub mod authn;
#[cfg(feature = "http")]
pub mod http;
