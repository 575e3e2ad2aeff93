//! gRPC's health protocol (`grpc.health.v1.Health`), as the default server of simulated containers speaks it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};

/// Whether a container says that it is well. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Health(Arc<AtomicBool>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Health {
    pub(super) fn is_good(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, good: bool) {
        self.0.store(good, Ordering::Relaxed);
    }
}

/// A gRPC answer: messages, then trailers.
pub(super) type Messages = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// gRPC's codes.
const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";
/// A `HealthCheckResponse` in its frame: not compressed, two bytes, field 1, the status.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 2];

/// Whether a request is a gRPC call.
pub(super) fn is_call(request: &Request<Incoming>) -> bool {
    let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media == "application/grpc" || media.starts_with("application/grpc+") || media.starts_with("application/grpc;")
}

/// Answers a gRPC call. Every service that is asked for is as well as the container.
pub(super) fn answer(request: &Request<Incoming>, health: &Health) -> Response<Messages> {
    let checks = request.uri().path() == CHECK;
    let mut frames = Vec::new();
    if checks {
        let message = if health.is_good() { SERVING } else { NOT_SERVING };
        frames.push(Ok(Frame::data(Bytes::from_static(message))));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if checks { OK } else { UNIMPLEMENTED }));
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
