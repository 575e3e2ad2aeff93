//! Watches on the wire: one JSON document per event and line.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::body::{self, Body, JSON};
use super::listener::Closing;
use super::printing::Printer;
use crate::api::{ApiError, Kind, WatchEvent, WatchStream};
use crate::clock::Clock;

/// The annotation of the bookmark that ends the initial events.
pub(crate) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The answer that a watch is. An error after the beginning is an `ERROR` event, and ends it.
pub(crate) fn response(
    kind: Arc<Kind>,
    events: WatchStream,
    printer: Printer,
    clock: Clock,
    closing: Option<&Closing>,
) -> Response<Body> {
    let lines = lines(kind, events, printer, clock).map(Ok::<_, ApiError>);
    let body = match closing.cloned() {
        Some(Closing(closing)) => body::pieces(lines.take_until(closing.cancelled_owned())),
        None => body::pieces(lines),
    };
    body::answer(StatusCode::OK, JSON, body)
}

/// The answer to a watch that fails at once in a way that clients look for in the stream.
pub(crate) fn failed(kind: Arc<Kind>, error: ApiError, printer: Printer, clock: Clock) -> Response<Body> {
    response(kind, stream::iter([Err(error)]).boxed(), printer, clock, None)
}

fn lines(
    kind: Arc<Kind>,
    events: WatchStream,
    printer: Printer,
    clock: Clock,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut columns_sent = false;
    events.map(move |event| {
        let line = event.and_then(|event| {
            let printer = printer.at(clock.now());
            match &event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                    let columns = !std::mem::replace(&mut columns_sent, true);
                    Ok(line(event_type(&event), &printer.bytes(object, columns)?))
                }
                WatchEvent::Bookmark { revision, initial_events_end } => {
                    let mut meta = ObjectMeta { resource_version: Some(revision.to_string()), ..ObjectMeta::default() };
                    if *initial_events_end {
                        let annotation = (INITIAL_EVENTS_END.to_owned(), "true".to_owned());
                        meta.annotations = Some([annotation].into());
                    }
                    Ok(line("BOOKMARK", &printer.bookmark(&kind, &meta)?))
                }
            }
        });
        line.unwrap_or_else(|error| line_of_error(&error))
    })
}

fn event_type(event: &WatchEvent) -> &'static str {
    match event {
        WatchEvent::Added(_) => "ADDED",
        WatchEvent::Modified(_) => "MODIFIED",
        WatchEvent::Deleted(_) => "DELETED",
        WatchEvent::Bookmark { .. } => "BOOKMARK",
    }
}

fn line_of_error(error: &ApiError) -> Bytes {
    // A `Status` always serialises.
    line("ERROR", &serde_json::to_vec(error.status()).unwrap_or_default())
}

fn line(event_type: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + event_type.len() + 24);
    line.put_slice(br#"{"type":""#);
    line.put_slice(event_type.as_bytes());
    line.put_slice(br#"","object":"#);
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
