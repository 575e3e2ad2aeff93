//! The socket: a thin shell over [`Front`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::body::BoxError;
use super::closing::Closing;
use super::front::Front;
use super::gathered::Gathered;
use super::layers::authenticate::PeerUser;
use super::socket::Socket;
use super::tls::Tls;
use crate::server::authn::user_of_certificate;

/// How many connections are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 8192;

/// How many requests one HTTP/2 connection may have open: informers hold one each.
const MAX_STREAMS: u32 = 1000;

/// How long a client may take to shake hands, or to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A front that listens. Dropping it closes every connection at once.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    closing: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Listening {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops gracefully: no more connections, watches end, requests that are being served get their answers, for
    /// at most `grace`.
    ///
    /// # Cancel safety
    /// Dropping the future closes every connection at once.
    pub async fn stop(mut self, grace: Duration) {
        self.closing.cancel();
        // Past the grace, dropping `self` ends what is left.
        let _ = tokio::time::timeout(grace, &mut self.accepting).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closing.cancel();
        self.accepting.abort();
    }
}

impl Front {
    /// Listens on `address` (port 0: any free one), with TLS or in the clear. Without TLS only tokens say who calls.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn listen(&self, address: SocketAddr, tls: Option<Tls>) -> io::Result<Listening> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let shell = Shell { front: self.clone(), tls, closing: closing.clone() };
        let accepting = tokio::spawn(shell.accept(listener));
        Ok(Listening { address, closing, accepting })
    }
}

/// A connection's own tasks: the streams of HTTP/2.
type Streams = Mutex<JoinSet<()>>;

/// Runs them as long as there is the connection. They hold what runs them, so that it must not hold them.
#[derive(Clone, Debug)]
struct Owned(Weak<Streams>);

impl<F> hyper::rt::Executor<F> for Owned
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let Some(streams) = self.0.upgrade() else { return };
        let mut tasks = streams.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(future.map(drop));
    }
}

#[derive(Clone)]
struct Shell {
    front: Front,
    tls: Option<Tls>,
    closing: CancellationToken,
}

impl Shell {
    async fn accept(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let next = async |places: &Arc<Semaphore>| -> Option<(OwnedSemaphorePermit, TcpStream)> {
            let place = Arc::clone(places).acquire_owned().await.ok()?;
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => return Some((place, stream)),
                    // A client that went again, or too many open files: neither is ours to die of.
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        loop {
            tokio::select! {
                () = self.closing.cancelled() => break,
                Some(_) = connections.join_next() => {}
                Some((place, stream)) = next(&places) => {
                    let shell = self.clone();
                    connections.spawn(async move {
                        shell.connection(stream).await;
                        drop(place);
                    });
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(self, stream: TcpStream) {
        // Answers are written whole; waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        let socket = Socket::new(stream);
        match &self.tls {
            None => self.serve(socket.clone(), socket, None, |_| Poll::Ready(())).await,
            Some(tls) => match tokio::time::timeout(PATIENCE, tls.acceptor().accept(socket.clone())).await {
                Ok(Ok(stream)) => {
                    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let user =
                        certificate.and_then(|der| user_of_certificate(der)).map(|user| PeerUser(Arc::new(user)));
                    let frames = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let stream = Gathered::new(stream, frames);
                    let send = stream.clone();
                    self.serve(stream, socket, user, move |cx| send.send(cx)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            },
        }
    }

    async fn serve<S>(
        self,
        stream: S,
        socket: Socket,
        user: Option<PeerUser>,
        send: impl Fn(&mut Context<'_>) -> Poll<()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Err(error) = socket.in_turns(self.answer(stream, &socket, user), send).await {
            tracing::debug!(%error, "connection ended early");
            socket.linger().await;
        }
    }

    async fn answer<S>(self, stream: S, socket: &Socket, user: Option<PeerUser>) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { front, closing, .. } = self;
        let of_requests = closing.child_token();
        let closing_requests = Closing(of_requests.clone());
        let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(closing_requests.clone());
            if let Some(user) = &user {
                request.extensions_mut().insert(user.clone());
            }
            let answer = front.answer_in_pieces(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let streams = Arc::<Streams>::default();
        let mut builder = auto::Builder::new(Owned(Arc::downgrade(&streams)));
        builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(Duration::from_secs(30));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // A client that has closed its side still gets the answers that it has asked for; those that would never end
        // end then.
        let client_ended = async {
            socket.ended().await;
            of_requests.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = &mut connection => ended,
            () = client_ended => Ok(()),
            () = closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }
}
