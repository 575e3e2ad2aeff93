//! The server that a simulated container is by default: it listens on its declared ports and tells who answers, over
//! HTTP/1.1 and, in the clear, HTTP/2; over that it also answers gRPC's health checks.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::context::ContainerContext;
use super::health::{self, Health};
use super::network::Listener;
use crate::runtime::PodStream;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A server: what it answers, and how long it goes on after it is asked to end.
pub(super) struct Server {
    context: ContainerContext,
    drain: Duration,
    health: Health,
}

impl Server {
    pub(super) fn new(context: ContainerContext, drain: Duration, health: Health) -> Self {
        Self { context, drain, health }
    }

    /// Serves until the container is asked to end, then drains: for a while it still accepts (whoever routes to it
    /// may not know yet) but keeps no connection alive, then finishes what it has begun.
    pub(super) async fn run(self) -> i32 {
        let (listeners, sockets) = match self.open().await {
            Ok(opened) => opened,
            Err(message) => {
                self.context.print_error(&message);
                return 1;
            }
        };
        let close = CancellationToken::new();
        let mut connections: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        for socket in &sockets {
            connections.push(Box::pin(self.answer_datagrams(socket, close.clone())));
        }
        let mut incoming = stream::select_all(listeners.into_iter().map(|listener| {
            Box::pin(stream::unfold(listener, |mut listener| async { Some((listener.accept().await, listener)) }))
        }));
        let mut drained = pin!(async {
            self.context.terminated().await;
            self.context.clock().sleep(self.drain).await;
        });
        loop {
            tokio::select! {
                biased;
                Some(accepted) = incoming.next() => if let Ok(stream) = accepted {
                    connections.push(Box::pin(self.serve(stream, close.clone())));
                },
                Some(()) = connections.next() => {}
                () = &mut drained => break,
            }
        }
        drop(incoming);
        close.cancel();
        while connections.next().await.is_some() {}
        0
    }

    async fn open(&self) -> Result<(Vec<Listener>, Vec<UdpSocket>), String> {
        let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
        let ip = self.context.ip();
        for declared in self.context.ports() {
            let Ok(port) = u16::try_from(declared.container_port) else { continue };
            let protocol = declared.protocol.as_deref().unwrap_or("TCP");
            let told = |error: io::Error| {
                let hint = match error.kind() {
                    io::ErrorKind::PermissionDenied => " (ports below 1024 need the privilege to bind them)",
                    _ => "",
                };
                format!("listen {} {ip}:{port}: bind: {error}{hint}", protocol.to_lowercase())
            };
            match protocol {
                "TCP" => listeners.push(self.context.listen(port).await.map_err(told)?),
                "UDP" if self.context.has_sockets() => {
                    sockets.push(UdpSocket::bind((ip, port)).await.map_err(told)?);
                }
                _ => continue,
            }
            self.context.print(format_args!("listening on {ip}:{port}/{protocol}"));
        }
        Ok((listeners, sockets))
    }

    async fn serve(&self, mut stream: PodStream, close: CancellationToken) {
        // hyper's own detection gives up a connection that has not spoken yet when the server closes; a request that
        // is on its way then would be lost.
        let Ok(begun) = beginning(&mut stream).await else { return };
        let speaks_http2 = begun == PREFACE;
        let (reader, writer) = tokio::io::split(stream);
        let stream = tokio::io::join(Cursor::new(begun).chain(reader), writer);
        match speaks_http2 {
            true => self.serve_http2(stream, close).await,
            false => self.serve_http1(stream, close).await,
        }
    }

    async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, close: CancellationToken) {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(answer(&self.context, &self.health, &request))
        });
        let mut connection = pin!(
            hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
        );
        // A connection that breaks is its client's affair.
        tokio::select! {
            biased;
            _ = &mut connection => {}
            () = close.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn serve_http2<S>(&self, stream: S, close: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (context, health) = (self.context.clone(), self.health.clone());
        // Streams are tasks of their own: they answer at once, so none outlives its connection for long.
        let service = service_fn(move |request: Request<Incoming>| {
            let response = match health::is_call(&request) {
                true => health::answer(&request, &health).map(Either::Right),
                false => answer(&context, &health, &request).map(Either::Left),
            };
            async move { Ok::<_, Infallible>(response) }
        });
        let mut connection = pin!(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service)
        );
        tokio::select! {
            biased;
            _ = &mut connection => {}
            () = close.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer_datagrams(&self, socket: &UdpSocket, close: CancellationToken) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                biased;
                received = socket.recv_from(&mut buffer) => if let Ok((_, sender)) = received {
                    let _ = socket.send_to(text(&self.context).as_bytes(), sender).await; // datagrams may be lost
                },
                () = close.cancelled() => return,
            }
        }
    }
}

/// The first bytes of a connection: as many as tell which protocol it speaks.
async fn beginning(stream: &mut PodStream) -> io::Result<Vec<u8>> {
    let mut begun = Vec::with_capacity(PREFACE.len());
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        let missing = PREFACE.len() - begun.len();
        if (&mut *stream).take(missing as u64).read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    Ok(begun)
}

fn facts(context: &ContainerContext) -> [(&'static str, String); 6] {
    [
        ("pod", context.pod().to_owned()),
        ("namespace", context.namespace().to_owned()),
        ("image", context.image().to_owned()),
        ("node", context.node().to_owned()),
        ("container", context.container().to_owned()),
        ("ip", context.ip().to_string()),
    ]
}

fn text(context: &ContainerContext) -> String {
    facts(context).iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn answer(context: &ContainerContext, health: &Health, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media, body) = if accept.contains("json") {
        let mut facts: serde_json::Map<String, serde_json::Value> =
            facts(context).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        facts.insert("method".to_owned(), request.method().as_str().into());
        facts.insert("path".to_owned(), request.uri().path().into());
        ("application/json", serde_json::Value::from(facts).to_string() + "\n")
    } else {
        ("text/plain; charset=utf-8", text(context))
    };
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if !health.is_good() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    // Of HTTP/1.1 alone; HTTP/2 has a frame for it.
    if context.is_terminated() && request.version() < hyper::Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The program of an image that nobody described: what the pod asks to run, where simulated containers have it, else
/// a server on the declared ports. A container that declares none just waits.
#[derive(Clone, Debug)]
pub(super) struct DefaultProgram {
    pub(super) drain: Duration,
}

impl super::context::Program for Arc<DefaultProgram> {
    fn run(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        let drain = self.drain;
        Box::pin(async move {
            let command = context.arguments();
            if command.first().is_some_and(|program| super::shell::knows(program)) {
                let input = context.take_stdin();
                let sink = super::shell::Sink::Log(context.log().clone());
                let mut shell = super::shell::Shell::new(context.clone(), sink, input);
                // The programs here handle no signals: they end with the signal's default effect.
                return tokio::select! {
                    biased;
                    code = shell.run(&command) => code,
                    _ = context.terminated() => 143,
                };
            }
            Server::new(context, drain, Health::default()).run().await
        })
    }
}
