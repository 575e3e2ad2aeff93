//! Lifecycle hooks: post-start and pre-stop.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::machine::Machine;
use super::probe::{self, http};
use crate::runtime::{ContainerId, SandboxStatus};

/// Runs a hook to its end.
pub(super) async fn run(
    machine: &Machine,
    sandbox: &SandboxStatus,
    container: &Container,
    id: &ContainerId,
    handler: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match machine.runtime.exec_sync(id, &command, None).await {
            Ok(output) if output.code == 0 => Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.output).into_owned();
                Err(format!("command '{}' exited with {}: {text}", command.join(" "), output.code))
            }
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(get) = &handler.http_get {
        let port = probe::port(container, &get.port)?;
        let answer = http::get(machine, sandbox, get, port, "kube-lifecycle/v1.36").await;
        // Any answer will do: the hook was called.
        return answer.map(drop).map_err(|error| error.to_string());
    }
    if let Some(sleep) = &handler.sleep {
        machine.clock().sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    Err("invalid handler: it says nothing to do".to_owned())
}
