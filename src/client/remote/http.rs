//! Connections to the server, and requests over them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig};

use super::kubeconfig::{Access, KubeconfigError};
use super::tls;
use crate::api::{ApiError, ByteStream, Reason};

/// A remote backend cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// The server's URL is none.
    #[error("{url:?} is no http or https URL of a server")]
    Url {
        /// The text.
        url: String,
    },
    /// A certificate or key cannot be read.
    #[error("the {what} is not PEM")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// Certificates do not serve.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The token cannot stand in a header.
    #[error("the token cannot stand in a header")]
    Token,
}

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Dials the server.
#[derive(Clone)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A connection, plain or not.
pub(super) struct Io {
    stream: TokioIo<Pin<Box<dyn ByteStream>>>,
    http2: bool,
}

impl Dialer {
    fn new(access: &Access, uri: &Uri, protocols: &[&str]) -> Result<Self, ConnectError> {
        let bad = || ConnectError::Url { url: access.server.clone() };
        let host = uri.host().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("https") => {
                let name = access.server_name.clone().unwrap_or_else(|| host.clone());
                let name = ServerName::try_from(name).map_err(|_| bad())?;
                (Some((tls::config(access, protocols)?, name)), 443)
            }
            Some("http") => (None, 80),
            _ => return Err(bad()),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(port), tls })
    }

    /// Connects.
    pub(super) async fn dial(&self) -> io::Result<Io> {
        tokio::time::timeout(PATIENCE, self.connect()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect(&self) -> io::Result<Io> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some((config, name)) = &self.tls else {
            return Ok(Io { stream: TokioIo::new(Box::pin(stream)), http2: false });
        };
        let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Io { stream: TokioIo::new(Box::pin(stream)), http2 })
    }
}

impl Io {
    /// The connection as a stream of bytes.
    pub(super) fn into_stream(self) -> Pin<Box<dyn ByteStream>> {
        self.stream.into_inner()
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = Io;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Io>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial().await })
    }
}

impl Connection for Io {
    fn connected(&self) -> Connected {
        if self.http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Sends requests to one server, over pooled connections.
pub(super) struct Transport {
    client: Client<Dialer, Full<Bytes>>,
    /// For streams: connections of their own, HTTP/1.1.
    pub(super) dialer: Dialer,
    pub(super) base: Uri,
    pub(super) authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.base)
    }
}

impl Transport {
    pub(super) fn new(access: &Access) -> Result<Self, ConnectError> {
        let bad = || ConnectError::Url { url: access.server.clone() };
        let base: Uri = access.server.parse().map_err(|_| bad())?;
        let authorization = access.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ConnectError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(Duration::from_secs(30))
            .build(Dialer::new(access, &base, &["h2", "http/1.1"])?);
        let dialer = Dialer::new(access, &base, &["http/1.1"])?;
        Ok(Self { client, dialer, base, authorization: authorization.transpose()? })
    }

    /// The URI of a path (with its query) on the server.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, ApiError> {
        let prefix = self.base.path().trim_end_matches('/');
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(format!("{prefix}{path}").parse().map_err(ApiError::internal)?);
        Uri::from_parts(parts).map_err(ApiError::internal)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ApiError> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        self.client.request(request).await.map_err(|error| unreachable(&error))
    }
}

/// The error of a server that cannot be reached, with the whole chain of causes.
pub(super) fn unreachable(error: &dyn std::error::Error) -> ApiError {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    ApiError::new(Reason::ServiceUnavailable, message)
}
