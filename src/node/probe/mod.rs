//! Probes: is a container started, ready, alive?

mod exec;
mod grpc;
pub(super) mod http;
mod table;
mod tcp;
#[cfg(feature = "http")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::machine::Machine;
use crate::runtime::{ContainerId, SandboxStatus};

pub(super) use table::{Due, Key, Table};

/// What is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aspect {
    Startup,
    Readiness,
    Liveness,
}

impl Aspect {
    pub(super) const ALL: [Self; 3] = [Self::Startup, Self::Readiness, Self::Liveness];

    /// As messages begin: `Readiness probe failed`.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }

    /// As messages go on: `failed liveness probe`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }

    pub(super) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }
}

/// How one probe went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// The container answers that it is not well, or not at all.
    Failure(String),
    /// The probe itself could not be made.
    Error(String),
}

/// Probes once.
pub(super) async fn probe(
    machine: Arc<Machine>,
    sandbox: SandboxStatus,
    container: Container,
    id: ContainerId,
    probe: Probe,
) -> Outcome {
    let timeout = seconds(probe.timeout_seconds, 1);
    if let Some(action) = &probe.exec {
        return exec::probe(&machine, &id, action.command.as_deref().unwrap_or_default(), timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return match port(&container, &action.port) {
            Ok(port) => http::probe(&machine, &sandbox, action, port, timeout).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        return match port(&container, &action.port) {
            Ok(port) => tcp::probe(&machine, &sandbox, action.host.as_deref(), port, timeout).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).unwrap_or(0);
        return grpc::probe(&machine, &sandbox, action.service.as_deref().unwrap_or_default(), port, timeout).await;
    }
    Outcome::Error(format!("missing probe handler for {}", container.name))
}

pub(super) fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default))
}

/// The port that a number or the name of a container's port means.
pub(super) fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port);
            match named.or_else(|| name.parse().ok()) {
                Some(number) => number,
                None => return Err(format!("couldn't find port: {name:?} in container {}", container.name)),
            }
        }
    };
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("invalid port number: {number}"))
}
