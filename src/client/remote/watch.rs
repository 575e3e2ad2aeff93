//! Watches: lines of JSON become events.

use ::http::Response;
use futures::{StreamExt, TryStreamExt, future, stream};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use super::answer::{not_understood, object_of};
use super::http::unreachable;
use crate::api::{ApiError, KindRef, WatchEvent, WatchStream};

/// The longest event that is taken.
const LIMIT: usize = 32 * 1024 * 1024;

const INITIAL_EVENTS_END: &str = "/metadata/annotations/k8s.io~1initial-events-end";

#[derive(Deserialize)]
struct WireEvent {
    r#type: String,
    object: Value,
}

/// The events of an answer. An error ends them, and so does the server's end of the answer.
pub(super) fn events(kind: KindRef, response: Response<Incoming>) -> WatchStream {
    let body = BodyDataStream::new(response.into_body()).map_err(std::io::Error::other);
    let lines = FramedRead::new(StreamReader::new(body), LinesCodec::new_with_max_length(LIMIT));
    let events = lines.map_err(|error| unreachable(&error)).and_then(move |line| future::ready(event(&kind, &line)));
    // Nothing follows an error.
    let mut failed = false;
    let until_error = events.take_while(move |event| {
        let over = std::mem::replace(&mut failed, event.is_err());
        future::ready(!over)
    });
    // Polled again after its end, a body is over for good.
    until_error.chain(stream::empty()).fuse().boxed()
}

fn event(kind: &KindRef, line: &str) -> Result<WatchEvent, ApiError> {
    let WireEvent { r#type, object } = serde_json::from_str(line).map_err(not_understood)?;
    match r#type.as_str() {
        "ADDED" => object_of(kind, &object).map(WatchEvent::Added),
        "MODIFIED" => object_of(kind, &object).map(WatchEvent::Modified),
        "DELETED" => object_of(kind, &object).map(WatchEvent::Deleted),
        "BOOKMARK" => {
            let revision = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
            Ok(WatchEvent::Bookmark {
                revision: revision.parse().map_err(not_understood)?,
                initial_events_end: object.pointer(INITIAL_EVENTS_END).and_then(Value::as_str) == Some("true"),
            })
        }
        "ERROR" => Err(serde_json::from_value::<Status>(object).map_err(not_understood)?.into()),
        other => Err(not_understood(format!("unknown event type {other:?}"))),
    }
}
