//! Sending together what is written in one turn of a connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// A TLS stream that sends what a turn of its [`Socket`] writes at the turn's end, and not before, unless it is much.
///
/// With HTTP/2, which flushes after each frame, a hundred watches on one connection would take a system call each.
/// Clones are the same stream.
#[derive(Clone, Debug)]
pub(super) struct Gathered(Arc<Mutex<Stream>>);

#[derive(Debug)]
struct Stream {
    tls: TlsStream<Socket>,
    /// Why the last turn could not be sent.
    failure: Option<io::Error>,
}

impl Gathered {
    pub(super) fn new(tls: TlsStream<Socket>) -> Self {
        Self(Arc::new(Mutex::new(Stream { tls, failure: None })))
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was written, at the end of a turn. Whoever writes next is told where that fails.
    pub(super) fn send(&self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = &mut *self.stream();
        if let Err(error) = ready!(Pin::new(&mut stream.tls).poll_flush(cx)) {
            stream.failure = Some(error);
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }
}

impl Stream {
    /// Writes without sending, in a turn.
    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TlsStream<Socket>>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        let socket = self.tls.get_ref().0.clone();
        socket.hold(true);
        let written = write(Pin::new(&mut self.tls));
        socket.hold(false);
        written
    }
}

impl AsyncRead for Gathered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream().tls).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().write(|tls| tls.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().write(|tls| tls.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut *self.stream();
        if let Some(error) = stream.failure.take() {
            return Poll::Ready(Err(error));
        }
        match stream.tls.get_ref().0.is_in_turn() {
            true => Poll::Ready(Ok(())), // it is sent when the turn ends
            false => Pin::new(&mut stream.tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream().tls).poll_shutdown(cx)
    }
}
