//! SPDY/3.1, as much of it as clients of Kubernetes speak: the server's end of a connection whose streams the client
//! opens. Exec, attach and port-forward of `kubectl` run over it, plain or inside a WebSocket.
//!
//! Source: <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>

mod connection;
mod frame;
mod headers;
#[cfg(test)]
mod tests;

pub(crate) use self::connection::{Output, Stream, serve};

/// Reads frames until one is none, for the fuzzer.
#[cfg(fuzzing)]
pub fn read_frames(bytes: &[u8]) -> usize {
    use tokio_util::codec::Decoder;

    let (mut codec, mut source) = (frame::Codec::new(), bytes::BytesMut::from(bytes));
    std::iter::from_fn(|| codec.decode(&mut source).ok().flatten()).count()
}
