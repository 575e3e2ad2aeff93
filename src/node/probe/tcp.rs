//! Probing by a TCP connection.

use std::time::Duration;

use super::Outcome;
use crate::node::machine::Machine;
use crate::runtime::{RuntimeError, SandboxStatus};

pub(super) async fn probe(
    machine: &Machine,
    sandbox: &SandboxStatus,
    host: Option<&str>,
    port: u16,
    timeout: Duration,
) -> Outcome {
    let address = super::http::authority(sandbox, host, port);
    match tokio::time::timeout(timeout, super::http::dial(machine, sandbox, host, port)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error @ RuntimeError::Dial { .. })) => Outcome::Failure(error.to_string()),
        Ok(Err(error)) => Outcome::Failure(format!("dial tcp {address}: {error}")),
        Err(_) => Outcome::Failure(format!("dial tcp {address}: i/o timeout")),
    }
}
