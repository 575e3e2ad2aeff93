//! Answers: objects, lists and errors, as the server sent them.

use ::http::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Deserialize;
use serde_json::Value;

use super::http::unreachable;
use crate::api::{ApiError, Call, KindRef, List, Object, Reason, decode};

/// The answer where it is a good one.
///
/// # Errors
/// The `Status` that the server sent, or one made of the code.
pub(super) async fn good(response: Response<Incoming>, call: &Call) -> Result<Response<Incoming>, ApiError> {
    for warning in response.headers().get_all("warning") {
        // 299 - "text"
        let text = warning.to_str().ok().and_then(|value| value.splitn(3, ' ').nth(2));
        if let Some(text) = text.map(|text| text.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")) {
            call.warn(text);
        }
    }
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    Err(failure(code, &body(response).await?))
}

/// The error that an answer of that code and body is.
pub(super) fn failure(code: u16, body: &[u8]) -> ApiError {
    if let Ok(status) = serde_json::from_slice::<Status>(body)
        && status.status.as_deref() == Some("Failure")
    {
        return status.into();
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    let (reason, message) = match code {
        400 => (Reason::BadRequest, text),
        401 => (Reason::Unauthorized, "Unauthorized".to_owned()),
        403 => (Reason::Forbidden, text),
        404 => (Reason::NotFound, "the server could not find the requested resource".to_owned()),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource".to_owned()),
        409 => (Reason::Conflict, text),
        410 => (Reason::Expired, text),
        429 => (Reason::TooManyRequests, text),
        503 => (Reason::ServiceUnavailable, text),
        _ => (Reason::InternalError, format!("the server answered {code}: {text}")),
    };
    ApiError::new(reason, message)
}

/// The whole body of an answer.
pub(super) async fn body(response: Response<Incoming>) -> Result<Bytes, ApiError> {
    let mut incoming = response.into_body();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame.map_err(|error| unreachable(&error))?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    Ok(body.freeze())
}

/// The object that a JSON text is.
pub(super) fn object(kind: &KindRef, json: &[u8]) -> Result<Object, ApiError> {
    Ok(decode::object(kind, json).map_err(not_understood)?.object.seal_as_is())
}

/// The object that a JSON value is.
pub(super) fn object_of(kind: &KindRef, value: &Value) -> Result<Object, ApiError> {
    object(kind, &serde_json::to_vec(value).map_err(not_understood)?)
}

#[derive(Deserialize)]
struct WireList {
    #[serde(default)]
    metadata: WireListMeta,
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireListMeta {
    resource_version: String,
    r#continue: String,
    remaining_item_count: Option<i64>,
}

/// The list that a JSON text is.
pub(super) fn list(kind: &KindRef, json: &[u8]) -> Result<List, ApiError> {
    let wire: WireList = serde_json::from_slice(json).map_err(not_understood)?;
    let items = wire.items.unwrap_or_default();
    Ok(List {
        items: items.iter().map(|item| object_of(kind, item)).collect::<Result<_, _>>()?,
        revision: wire.metadata.resource_version.parse().unwrap_or_default(),
        continue_token: Some(wire.metadata.r#continue).filter(|token| !token.is_empty()),
        remaining: wire.metadata.remaining_item_count.and_then(|count| usize::try_from(count).ok()),
    })
}

/// The error of an answer that cannot be read.
pub(super) fn not_understood(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("the server's answer cannot be read: {error}"))
}
