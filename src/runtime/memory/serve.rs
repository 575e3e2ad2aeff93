//! The server that a simulated container is by default: it listens on its declared ports and tells who answers.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::context::ContainerContext;
use super::network::Listener;
use crate::runtime::PodStream;

/// A server: what it answers, and how long it goes on after it is asked to end.
pub(super) struct Server {
    context: ContainerContext,
    drain: Duration,
}

impl Server {
    pub(super) fn new(context: ContainerContext, drain: Duration) -> Self {
        Self { context, drain }
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
        let (closing, close) = watch::channel(false);
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
        closing.send_replace(true);
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

    async fn serve(&self, stream: PodStream, mut close: watch::Receiver<bool>) {
        let service =
            service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(self.answer(&request)) });
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
            () = closed(&mut close) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer_datagrams(&self, socket: &UdpSocket, mut close: watch::Receiver<bool>) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                biased;
                received = socket.recv_from(&mut buffer) => if let Ok((_, sender)) = received {
                    let _ = socket.send_to(self.text().as_bytes(), sender).await; // datagrams may be lost
                },
                () = closed(&mut close) => return,
            }
        }
    }

    fn facts(&self) -> [(&'static str, String); 6] {
        let context = &self.context;
        [
            ("pod", context.pod().to_owned()),
            ("namespace", context.namespace().to_owned()),
            ("image", context.image().to_owned()),
            ("node", context.node().to_owned()),
            ("container", context.container().to_owned()),
            ("ip", context.ip().to_string()),
        ]
    }

    fn text(&self) -> String {
        self.facts().iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (media, body) = if accept.contains("json") {
            let mut facts: serde_json::Map<String, serde_json::Value> =
                self.facts().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            facts.insert("method".to_owned(), request.method().as_str().into());
            facts.insert("path".to_owned(), request.uri().path().into());
            ("application/json", serde_json::Value::from(facts).to_string() + "\n")
        } else {
            ("text/plain; charset=utf-8", self.text())
        };
        let mut response = Response::new(Full::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if self.context.is_terminated() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Waits until the server closes.
async fn closed(close: &mut watch::Receiver<bool>) {
    let _ = close.wait_for(|closing| *closing).await; // a server that is gone has closed
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
            Server::new(context, drain).run().await
        })
    }
}
