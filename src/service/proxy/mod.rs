//! The service proxy: what connects to a Service's address reaches one of its endpoints.
//!
//! [`routes`] says (purely) what a Service's frontends and endpoints are, a [`Proxy`] carries the traffic, and
//! [`ServiceProxy`] keeps the one supplied with the other.

mod balance;
mod follow;
mod state;
pub mod userspace;

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

pub use self::balance::Balancer;
pub use self::follow::ServiceProxy;
pub use self::state::{Frontend, Protocol, Route, routes};
use crate::client::ObjectRef;

/// A frontend that could not be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", privileged(*.address, .source))]
pub struct ProxyError {
    /// The frontend's address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

fn privileged(address: SocketAddr, source: &io::Error) -> &'static str {
    if address.port() < 1024 && source.kind() == io::ErrorKind::PermissionDenied {
        " (ports below 1024 need the privilege CAP_NET_BIND_SERVICE; use a port above, or run with it)"
    } else {
        ""
    }
}

/// Carries the traffic of Services.
#[async_trait]
pub trait Proxy: Debug + Send + Sync + 'static {
    /// Makes `routes` the routes of `service`, instead of those it had; none of them removes it.
    ///
    /// When it returns, new connections go by the new routes. Connections that exist go on, also those to endpoints that
    /// are no longer named: they drain. Called for one service at a time.
    ///
    /// # Errors
    /// Every frontend that cannot be served; the others are.
    ///
    /// # Cancel safety
    /// Dropping the future may leave some of the old routes in place; the next call puts that right.
    async fn set(&self, service: &ObjectRef, routes: Vec<Route>) -> Result<(), Vec<ProxyError>>;
}
