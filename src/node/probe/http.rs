//! HTTP requests to containers: probes and hooks.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use tokio::net::TcpStream;

use super::Outcome;
use crate::node::machine::Machine;
use crate::runtime::{PodStream, RuntimeError, SandboxStatus};

/// So much of an answer is read.
const BODY: usize = 10 << 10;

/// Probes once: any status from 200 to 399 is well.
pub(super) async fn probe(
    machine: &Machine,
    sandbox: &SandboxStatus,
    action: &HTTPGetAction,
    port: u16,
    timeout: Duration,
) -> Outcome {
    let answer = tokio::time::timeout(timeout, get(machine, sandbox, action, port, "kube-probe/1.36")).await;
    match answer {
        Ok(Ok(status)) if (200..400).contains(&status) => Outcome::Success,
        Ok(Ok(status)) => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        Ok(Err(error)) => Outcome::Failure(error.to_string()),
        Err(_) => {
            let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
            Outcome::Failure(GetError { url: url(sandbox, action, port), why }.to_string())
        }
    }
}

/// A request that got no answer, in the words of Go's client.
#[derive(Debug, thiserror::Error)]
#[error("Get {url:?}: {why}")]
pub(in crate::node) struct GetError {
    url: String,
    why: String,
}

/// `host:port`: that of the pod, where the probe names none.
pub(super) fn authority(sandbox: &SandboxStatus, host: Option<&str>, port: u16) -> String {
    let own = || sandbox.ips.first().map(ToString::to_string).unwrap_or_default();
    let host = host.filter(|host| !host.is_empty()).map_or_else(own, str::to_owned);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn url(sandbox: &SandboxStatus, action: &HTTPGetAction, port: u16) -> String {
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let path = action.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{}{slash}{path}", authority(sandbox, action.host.as_deref(), port))
}

/// Connects to the pod, or to the host that a probe names.
pub(super) async fn dial(
    machine: &Machine,
    sandbox: &SandboxStatus,
    host: Option<&str>,
    port: u16,
) -> Result<PodStream, RuntimeError> {
    let other = host.filter(|host| !host.is_empty() && sandbox.ips.iter().all(|ip| ip.to_string() != *host));
    match other {
        None => machine.runtime.reach(&sandbox.id, port).await,
        Some(host) => {
            let stream = TcpStream::connect((host, port)).await;
            let stream = stream.map_err(|source| RuntimeError::Dial { address: format!("{host}:{port}"), source })?;
            Ok(Box::pin(stream))
        }
    }
}

/// Sends the request; the answer's status.
pub(in crate::node) async fn get(
    machine: &Machine,
    sandbox: &SandboxStatus,
    action: &HTTPGetAction,
    port: u16,
    agent: &str,
) -> Result<u16, GetError> {
    let url = url(sandbox, action, port);
    let failed = |why: String| GetError { url: url.clone(), why };
    let uri: Uri = url.parse().map_err(|error| failed(format!("{error}")))?;
    let host = action.host.as_deref();
    let mut stream = dial(machine, sandbox, host, port).await.map_err(|error| failed(error.to_string()))?;
    if action.scheme.as_deref() == Some("HTTPS") {
        stream = secure(stream, uri.host().unwrap_or_default()).await.map_err(failed)?;
    }
    let headers = action.http_headers.iter().flatten();
    let own_host = headers.clone().find(|header| header.name.eq_ignore_ascii_case("host"));
    let mut request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, own_host.map_or_else(|| uri.authority().map_or("", |host| host.as_str()), |host| &host.value))
        .header(CONNECTION, "close");
    for header in headers.clone().filter(|header| !header.name.eq_ignore_ascii_case("host")) {
        request = request.header(&header.name, &header.value);
    }
    let names = |name: &str| headers.clone().any(|header| header.name.eq_ignore_ascii_case(name));
    if !names("user-agent") {
        request = request.header(USER_AGENT, agent);
    }
    if !names("accept") {
        request = request.header(ACCEPT, "*/*");
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(go_error(&error)))?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        // The rest of a long answer is of no interest, nor is how it ends.
        let _ = Limited::new(answer.into_body(), BODY).collect().await;
        Ok::<_, hyper::Error>(status)
    };
    tokio::select! {
        biased;
        status = exchange => status.map_err(|error| failed(go_error(&error))),
        // The connection also ends when the exchange is over, in which case that comes first.
        Err(error) = connection => Err(failed(go_error(&error))),
    }
}

#[cfg(feature = "http")]
use super::tls::connect as secure;

#[cfg(not(feature = "http"))]
async fn secure(_: PodStream, _: &str) -> Result<PodStream, String> {
    Err("TLS needs the feature `http`".to_owned())
}

fn go_error(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() { "EOF".to_owned() } else { error.to_string() }
}
