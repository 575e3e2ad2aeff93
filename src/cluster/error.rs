//! Why a cluster could not start.

use std::io;
use std::net::SocketAddr;

use crate::api::ApiError;

/// Why a cluster could not start, or a node not be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No free block of loopback addresses.
    #[error("no addresses for the cluster's network: {0}")]
    Addresses(#[source] io::Error),
    /// The API refused what a cluster begins with.
    #[error("the cluster could not be set up: {0}")]
    SetUp(#[from] ApiError),
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The API server cannot listen.
    #[error("cannot serve the API on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[cfg(feature = "http")]
    #[error("no certificates: {0}")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Cluster DNS cannot be served.
    #[error("cannot serve cluster DNS: {0}")]
    Dns(#[source] io::Error),
    /// A node of that name exists.
    #[error("there is a node {0} already")]
    NodeExists(String),
    /// The network has no addresses left for a node.
    #[error("no addresses left for node {0}")]
    NoAddresses(String),
}
