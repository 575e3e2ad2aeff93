//! Streams to pods: logs, exec, attach and port-forward, each over whatever the client upgrades to.

mod exec;
mod log;
mod port_forward;
mod protocol;

use std::sync::Arc;

use http::{HeaderMap, Response};
use hyper::upgrade::OnUpgrade;

use super::body::{Pieced, no_such_resource};
use super::closing::Closing;
use super::query::Query;
use super::upgrade::Sessions;
use crate::api::{ApiError, Backend, Call, Target};

/// A request for a stream.
#[derive(Debug)]
pub(crate) struct Streaming<'a> {
    pub(crate) backend: &'a Arc<dyn Backend>,
    pub(crate) call: &'a Call,
    pub(crate) target: Target,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) upgrade: Option<OnUpgrade>,
    pub(crate) closing: Option<Closing>,
    pub(crate) sessions: &'a Sessions,
}

/// Whether a subresource of pods is a stream.
pub(crate) fn is_stream(group: &str, resource: &str, subresource: &str) -> bool {
    group.is_empty() && resource == "pods" && matches!(subresource, "log" | "exec" | "attach" | "portforward")
}

impl Streaming<'_> {
    /// Opens the stream.
    pub(crate) async fn open(self) -> Result<Response<Pieced>, ApiError> {
        match self.target.subresource.as_str() {
            "log" => self.log().await,
            "exec" => self.exec(true).await,
            "attach" => self.exec(false).await,
            "portforward" => self.port_forward().await,
            _ => Err(no_such_resource()),
        }
    }
}
