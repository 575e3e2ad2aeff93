//! Probing by a program in the container.

use std::time::Duration;

use super::Outcome;
use crate::node::machine::Machine;
use crate::runtime::{ContainerId, RuntimeError};

/// The kubelet keeps so much of a probe's output.
const OUTPUT: usize = 10 << 10;

pub(super) async fn probe(machine: &Machine, id: &ContainerId, command: &[String], timeout: Duration) -> Outcome {
    match machine.runtime.exec_sync(id, command, Some(timeout)).await {
        Ok(output) if output.code == 0 => Outcome::Success,
        Ok(output) => {
            let text = &output.output[..output.output.len().min(OUTPUT)];
            Outcome::Failure(String::from_utf8_lossy(text).into_owned())
        }
        Err(RuntimeError::Timeout { command, limit }) => {
            Outcome::Failure(format!("command timed out: {command:?} timed out after {}s", limit.as_secs()))
        }
        Err(error) => Outcome::Error(format!("rpc error: code = Unknown desc = {error}")),
    }
}
