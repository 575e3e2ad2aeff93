//! Why a runtime could not do what it was asked.

use std::time::Duration;

/// A failed operation of a [`Runtime`](super::Runtime). The texts are those that containerd gives through a kubelet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No such sandbox or container.
    #[error("{what} {id:?}: not found")]
    NotFound {
        /// `sandbox` or `container`.
        what: &'static str,
        /// Its ID.
        id: String,
    },
    /// Not possible in the state that the container or sandbox is in.
    #[error("{0}")]
    State(String),
    /// The image could not be fetched.
    #[error("{message}")]
    Pull {
        /// The image.
        image: String,
        /// Why.
        message: String,
    },
    /// The image's name makes no sense.
    #[error("couldn't parse image name \"{0}\": invalid reference format")]
    ImageName(String),
    /// The container cannot be made as configured.
    #[error("{0}")]
    Create(String),
    /// A part of a volume cannot be mounted: it leads out of the volume, or cannot be made. What is wrong with it is not
    /// the pod's to know.
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}")]
    SubPath {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// The container's main program cannot be started.
    #[error("{0}")]
    Start(String),
    /// A program cannot be run in a container.
    #[error("{0}")]
    Exec(String),
    /// A program did not end in time.
    #[error("command {command:?} timed out")]
    Timeout {
        /// The program and its arguments.
        command: String,
        /// The time that it had.
        limit: Duration,
    },
    /// A pod's network could not be set up.
    #[error("{0}")]
    Network(String),
    /// The engine that runs the containers did not do what it was asked for, or cannot be reached.
    #[error("failed to {operation}: {message}")]
    Engine {
        /// What it was asked for.
        operation: String,
        /// What it said.
        message: String,
    },
    /// A file of a pod cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Its path on the node.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A port of a pod could not be reached.
    #[error("dial tcp {address}: connect: {}", told(source))]
    Dial {
        /// Address and port.
        address: String,
        /// Why.
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// Whether what was named does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Why there is no connection, in Go's words: they stand in the messages of probes.
fn told(source: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        ErrorKind::HostUnreachable => "no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => source.to_string(),
    }
}
