//! [`RemoteBackend`]: the verbs of the API over HTTP(S), to this crate's server or to any Kubernetes API server.

mod answer;
mod backend;
mod http;
pub mod kubeconfig;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;
mod watch;
mod wire;

pub use self::backend::RemoteBackend;
pub use self::http::ConnectError;
