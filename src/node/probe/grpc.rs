//! Probing by gRPC's health protocol (`grpc.health.v1.Health/Check`).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::Outcome;
use super::http::authority;
use crate::node::machine::Machine;
use crate::runtime::SandboxStatus;

/// Names of `grpc.health.v1.HealthCheckResponse.ServingStatus`; the second is well.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// gRPC's code for a method that nobody implements.
const UNIMPLEMENTED: &str = "12";

pub(super) async fn probe(
    machine: &Machine,
    sandbox: &SandboxStatus,
    service: &str,
    port: u16,
    timeout: Duration,
) -> Outcome {
    let address = authority(sandbox, None, port);
    let connected = tokio::time::timeout(timeout, machine.runtime.reach(&sandbox.id, port)).await;
    let limit = timeout.as_secs();
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        _ => {
            return Outcome::Failure(format!(
                "timeout: failed to connect service {address:?} within {limit}s: context deadline exceeded"
            ));
        }
    };
    match tokio::time::timeout(timeout, check(stream, &address, service)).await {
        Err(_) => Outcome::Failure(format!("timeout: health rpc did not complete within {limit}s")),
        Ok(Err(why)) => Outcome::Failure(why),
        Ok(Ok(1)) => Outcome::Success,
        Ok(Ok(status)) => {
            let name = STATUSES.get(usize::from(status)).unwrap_or(&"UNKNOWN");
            Outcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
    }
}

/// A `HealthCheckRequest`: field 1, the service's name, in a gRPC frame.
fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if let Ok(length @ 1..=127) = u8::try_from(service.len()) {
        message.put_slice(&[0x0a, length]);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.put_slice(&message);
    frame.freeze()
}

/// The status in a `HealthCheckResponse`: field 1, a number; 0 where it is left out.
fn status(frame: &[u8]) -> u8 {
    match frame.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

async fn check(stream: crate::runtime::PodStream, address: &str, service: &str) -> Result<u8, String> {
    let failed = |error: &dyn std::fmt::Display| format!("error: health rpc failed: {error}");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(request(service)))
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let code_of = |headers: &hyper::HeaderMap| {
            headers.get("grpc-status").and_then(|code| code.to_str().ok()).map(str::to_owned)
        };
        let early = code_of(answer.headers());
        let body = Limited::new(answer.into_body(), 4096).collect().await.map_err(|error| failed(&error))?;
        let code = early.or_else(|| body.trailers().and_then(code_of));
        match code.as_deref() {
            None | Some("0") => Ok(status(&body.to_bytes())),
            Some(UNIMPLEMENTED) => {
                Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned())
            }
            Some(code) => Err(format!("error: health rpc failed with code {code}")),
        }
    };
    tokio::select! {
        biased;
        result = exchange => result,
        Err(error) = connection => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_messages_are_framed() {
        assert_eq!(request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(request("db")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        assert_eq!(status(&[0, 0, 0, 0, 2, 0x08, 1]), 1);
        assert_eq!(status(&[0, 0, 0, 0, 0]), 0);
    }
}
