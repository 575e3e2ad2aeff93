//! The wire: the Kubernetes API over HTTP, for any [`Backend`](crate::api::Backend).
//!
//! [`Front`] is a `tower::Service`: requests in, answers out, no socket needed. Each request goes through the same
//! steps: who calls ([`layers`]), what the path means ([`route`]), may they, is there room, then the verb
//! ([`verbs`]), then the printing ([`printing`]).

mod body;
mod closing;
mod discovery;
mod front;
mod gathered;
mod health;
mod layers;
mod listener;
mod metrics;
mod negotiate;
mod openapi;
mod openapi_protobuf;
mod printing;
mod protobuf;
mod proxy;
mod query;
mod route;
mod socket;
mod spdy;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;
mod verbs;
mod watch_stream;

pub use self::body::{Body, BoxError};
pub use self::front::{Config, Front};
pub use self::health::KUBERNETES_VERSION;
pub use self::layers::authenticate::PeerUser;
pub use self::listener::Listening;
#[cfg(fuzzing)]
pub use self::spdy::read_frames;
pub use self::tls::{Tls, TlsError};
