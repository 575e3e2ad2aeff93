//! One log line per request, and the identity by which it can be found.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use crate::api::User;
use crate::random::Random;

/// The header of a request's identity.
pub(crate) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The identity of a request: the client's own, or a new one.
pub(crate) fn audit_id(headers: &HeaderMap, random: &Random) -> HeaderValue {
    let own = headers.get(AUDIT_ID).filter(|id| id.len() <= 64).cloned();
    own.or_else(|| HeaderValue::from_maybe_shared(Bytes::from(random.uid())).ok())
        .unwrap_or_else(|| HeaderValue::from_static(""))
}

/// Logs a request that was answered.
pub(crate) fn answered<B>(method: &Method, path: &str, user: Option<&User>, response: &Response<B>, took: Duration) {
    let user = user.map_or("", |user| user.name.as_str());
    tracing::debug!(target: "orchestrion::http", %method, path, user, code = response.status().as_u16(), ?took, "request");
}
