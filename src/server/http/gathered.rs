//! Sending together what is written in one turn of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// So much is sent before the turn ends, where more is to come. TLS takes as much at a time.
const ROOM: usize = 64 * 1024;

/// So much at once is sent as it is, after what was before it.
const LARGE: usize = 32 * 1024;

/// So much is copied at a time: of more, glibc 2.36 leaves the copying to the processor, and AMD's takes longer.
const COPIED: usize = 2048;

fn parts(bytes: &[u8]) -> impl Iterator<Item = IoSlice<'_>> {
    bytes.chunks(COPIED).map(IoSlice::new)
}

/// A TLS stream that sends what a turn of its [`Socket`] writes when the turn ends, where it gathers.
///
/// HTTP/2 flushes after each frame: a hundred watches on one connection would take a record of TLS and a system call
/// each. Clones are the same stream.
#[derive(Clone, Debug)]
pub(super) struct Gathered(Arc<Mutex<Stream>>);

#[derive(Debug)]
struct Stream {
    tls: TlsStream<Socket>,
    gathers: bool,
    /// What was written and not sent. It has room only while there is something, so that who waits takes none.
    waiting: Vec<u8>,
    /// How much of it TLS has taken.
    taken: usize,
    /// Why the last turn could not be sent.
    failure: Option<io::Error>,
}

impl Gathered {
    /// `gathers` where there are many writes in a turn: HTTP/1.1 has one, which would be copied for nothing.
    pub(super) fn new(tls: TlsStream<Socket>, gathers: bool) -> Self {
        Self(Arc::new(Mutex::new(Stream { tls, gathers, waiting: Vec::new(), taken: 0, failure: None })))
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was written, at the end of a turn. Whoever writes next is told where that fails.
    pub(super) fn send(&self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = &mut *self.stream();
        if let Err(error) = ready!(stream.flush(cx)) {
            stream.failure = Some(error);
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }
}

impl Stream {
    fn is_gathering(&self) -> bool {
        self.gathers && self.tls.get_ref().0.is_in_turn()
    }

    fn write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let gathers = self.is_gathering() && length < LARGE;
        if !gathers || self.waiting.len() == ROOM {
            ready!(self.drain(cx))?;
        }
        if !gathers && length <= COPIED {
            return Pin::new(&mut self.tls).poll_write_vectored(cx, pieces);
        }
        if !gathers {
            let parts: Vec<_> = pieces.iter().flat_map(|piece| parts(piece)).collect();
            return Pin::new(&mut self.tls).poll_write_vectored(cx, &parts);
        }
        if self.waiting.capacity() == 0 {
            self.waiting.reserve_exact(ROOM);
        }
        let before = self.waiting.len();
        for part in pieces.iter().flat_map(|piece| parts(piece)) {
            let room = ROOM - self.waiting.len();
            self.waiting.extend_from_slice(&part[..part.len().min(room)]);
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }

    /// Has TLS take what waits.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let rest @ [_, ..] = &self.waiting[self.taken..] {
            let parts: Vec<_> = parts(rest).collect();
            self.taken += ready!(Pin::new(&mut self.tls).poll_write_vectored(cx, &parts))?;
        }
        self.taken = 0;
        self.waiting.clear();
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        self.waiting = Vec::new();
        Pin::new(&mut self.tls).poll_flush(cx)
    }
}

impl AsyncRead for Gathered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream().tls).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut *self.stream();
        if let Some(error) = stream.failure.take() {
            return Poll::Ready(Err(error));
        }
        match stream.is_gathering() {
            true => Poll::Ready(Ok(())), // what there is is sent when the turn ends
            false => stream.flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut *self.stream();
        ready!(stream.drain(cx))?;
        Pin::new(&mut stream.tls).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    use super::*;
    use crate::cluster::pki::Authority;
    use crate::server::http::Tls;

    /// Both ends of a connection, on which something has been sent already.
    async fn pair() -> (Gathered, Socket, client::TlsStream<TcpStream>) {
        let authority = Authority::new("test").unwrap();
        let identity = authority.server(&["localhost"]).unwrap();
        let tls = Tls::new(&identity.certificate, &identity.key, None).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Socket::new(listener.accept().await.unwrap().0);
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect("localhost".try_into().unwrap(), client);
        let (server, client) = tokio::join!(tls.acceptor().accept(socket.clone()), connected);
        let (mut server, mut client) = (Gathered::new(server.unwrap(), true), client.unwrap());
        // Out of turns, it is a stream as others are.
        server.write_all(b"first").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        (server, socket, client)
    }

    #[tokio::test]
    async fn what_a_turn_writes_is_sent_in_one_record_when_it_ends() {
        let (stream, socket, mut client) = pair().await;
        let mut own = stream.clone();
        let raw = client.get_ref().0;
        let task = async {
            for part in ["a", "b", "c"] {
                own.write_all(part.as_bytes()).await.unwrap();
                own.flush().await.unwrap();
            }
            assert_eq!(raw.peek(&mut [0]).now_or_never().map(Result::unwrap), None, "the turn goes on");
            std::future::pending::<()>().await;
        };
        let mut turns = Box::pin(socket.in_turns(task, |cx| stream.send(cx)));
        assert_eq!(turns.as_mut().now_or_never(), None);
        let mut record = [0; 1024];
        let length = raw.peek(&mut record).await.unwrap();
        assert_eq!(usize::from(u16::from_be_bytes([record[3], record[4]])), length - 5, "one record");
        drop(turns);
        let mut read = [0; 3];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
    }

    #[tokio::test]
    async fn what_is_written_comes_in_order_however_much_it_is() {
        let (stream, socket, mut client) = pair().await;
        let sizes = [1, LARGE, 2, LARGE - 1, LARGE - 1, LARGE - 1, 3 * ROOM, 1, COPIED + 1, ROOM];
        let written: Vec<Vec<u8>> = sizes.iter().zip(1..).map(|(size, byte)| vec![byte; *size]).collect();
        let expected = written.concat();
        let mut own = stream.clone();
        let task = async move {
            for part in written {
                own.write_all(&part).await.unwrap();
            }
        };
        let mut read = vec![0; expected.len()];
        let (_, all) = tokio::join!(socket.in_turns(task, |cx| stream.send(cx)), client.read_exact(&mut read));
        all.unwrap();
        assert!(read == expected);
    }

    #[tokio::test]
    async fn who_writes_is_told_that_nobody_reads_any_more() {
        let (stream, socket, client) = pair().await;
        drop(client);
        let mut own = stream.clone();
        let task = async move {
            loop {
                if let Err(error) = own.write_all(&[0; 100]).await {
                    return error;
                }
                tokio::task::yield_now().await;
            }
        };
        let error = socket.in_turns(task, |cx| stream.send(cx)).await;
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
    }
}
