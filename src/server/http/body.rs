//! Bodies: reading requests within a limit, writing answers whole or as they come.

mod data;

use std::convert::Infallible;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use serde::Serialize;

pub(crate) use self::data::{Data, Pieces};
use super::closing::{self, Closing};
use crate::api::{ApiError, Reason};

/// An error of a body's source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a request or an answer, of whatever source.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer on its way to whoever sends it.
pub(crate) type Pieced = UnsyncBoxBody<Data, BoxError>;

/// The largest body that is taken (upstream's `MaxRequestBodyBytes`).
pub(crate) const BODY_LIMIT: usize = 3 * 1024 * 1024;

pub(crate) const JSON: &str = "application/json";

/// Upstream's words for a path or a kind that is not served.
pub(crate) const NO_SUCH_RESOURCE: &str = "the server could not find the requested resource";

/// Erases the type of a body.
pub(crate) fn erase<B, D>(body: B) -> UnsyncBoxBody<D, BoxError>
where
    B: http_body::Body<Data: Into<D>, Error: Into<BoxError>> + Send + 'static,
    D: Buf + 'static,
{
    body.map_frame(|frame| frame.map_data(Into::into)).map_err(Into::into).boxed_unsync()
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Pieced {
    Full::new(Data::from(bytes.into())).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that comes piece by piece.
pub(crate) fn pieces<S, D, E>(stream: S) -> Pieced
where
    S: Stream<Item = Result<D, E>> + Send + 'static,
    D: Into<Data>,
    E: Into<BoxError>,
{
    StreamBody::new(stream.map(|piece| piece.map(|data| Frame::data(data.into())).map_err(Into::into))).boxed_unsync()
}

/// The same body, cut off when `closing` is cancelled.
pub(crate) fn until(body: Pieced, closing: &Closing) -> Pieced {
    StreamBody::new(closing::until(BodyStream::new(body), Some(closing))).boxed_unsync()
}

/// The same body, keeping `guard` until it has been written or dropped.
pub(crate) fn keeping<T: Send + 'static>(body: Pieced, guard: T) -> Pieced {
    let keep = move |frame| {
        let _ = &guard;
        frame
    };
    body.map_frame(keep).boxed_unsync()
}

/// An answer with a body of that type.
pub(crate) fn answer(code: StatusCode, content_type: &str, body: Pieced) -> Response<Pieced> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let value = match content_type {
        JSON => Ok(header::HeaderValue::from_static(JSON)),
        other => other.parse(),
    };
    if let Ok(value) = value {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// An answer of plain text.
pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> Response<Pieced> {
    let mut response = answer(code, "text/plain; charset=utf-8", whole(text.into()));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// An answer of JSON.
pub(crate) fn json(code: StatusCode, value: &impl Serialize) -> Response<Pieced> {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer(code, JSON, whole(bytes)),
        Err(error) => failure(&ApiError::internal(error)),
    }
}

/// The answer that an error is.
pub(crate) fn failure(error: &ApiError) -> Response<Pieced> {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A `Status` always serialises.
    let bytes = serde_json::to_vec(error.status()).unwrap_or_default();
    let mut response = answer(code, JSON, whole(bytes));
    if let Some(seconds) = error.status().details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The error of a path or a kind that is not served.
pub(crate) fn no_such_resource() -> ApiError {
    ApiError::new(Reason::NotFound, NO_SUCH_RESOURCE)
}

/// How much of a body that is too large is read and dropped, so that its sender gets to read the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// Reads a request's body.
pub(crate) async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    // Most bodies come in one piece, which is taken as it is.
    let (mut first, mut read, mut length) = (Bytes::new(), BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ApiError::bad_request(format!("unable to read the request's body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > BODY_LIMIT {
            if length > BODY_LIMIT + DRAINED {
                break;
            }
        } else if first.is_empty() {
            first = data;
        } else {
            if read.is_empty() {
                read.extend_from_slice(&first);
            }
            read.extend_from_slice(&data);
        }
    }
    if length > BODY_LIMIT {
        let message = format!("Request entity too large: limit is {BODY_LIMIT}");
        return Err(ApiError::new(Reason::RequestEntityTooLarge, message));
    }
    Ok(if read.is_empty() { first } else { read.freeze() })
}
