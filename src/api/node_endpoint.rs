//! What a node agent serves to the API server: logs, exec, attach, port-forward, and what is used.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::stats::{Scope, Summary};
use super::status::ApiError;
use serde::Serialize;

/// Which logs, and how much of them (`PodLogOptions`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    /// The container; the pod's only one where empty.
    pub container: String,
    /// Go on as more is written.
    pub follow: bool,
    /// Of the instance before the last restart.
    pub previous: bool,
    /// Only what is at most so old.
    pub since: Option<Duration>,
    /// Only what is not older than this.
    pub since_time: Option<Timestamp>,
    /// Begin each line with its time.
    pub timestamps: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// What to run in a container, or (with no command) that its main process is to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The container; the pod's default one where empty.
    pub container: String,
    /// The program and its arguments; empty for attach.
    pub command: Vec<String>,
    /// Whether input is sent.
    pub stdin: bool,
    /// Whether output is wanted.
    pub stdout: bool,
    /// Whether error output is wanted apart.
    pub stderr: bool,
    /// Whether there is a terminal.
    pub tty: bool,
}

/// The kind of stream to open.
#[derive(Clone, Debug, PartialEq)]
pub enum Connect {
    /// Read a container's logs.
    Log(LogOptions),
    /// Run a program in a container.
    Exec(ExecOptions),
    /// Attach to a container's main process.
    Attach(ExecOptions),
    /// Reach a port of a pod.
    PortForward(u16),
    /// Read what the agent of a node serves at a path: `/stats/summary`, `/metrics/resource`.
    Get(String),
}

/// What a node agent answers to [`Connect::Get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The media type.
    pub media: String,
    /// The text.
    pub body: Bytes,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Which output a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A running exec or attach. Bounded channels: a slow reader slows the program down.
#[derive(Debug)]
pub struct ExecSession {
    /// Input for the program; dropping it is end of file.
    pub stdin: mpsc::Sender<Bytes>,
    /// What the program writes; ends when it has.
    pub output: mpsc::Receiver<(Output, Bytes)>,
    /// New terminal sizes.
    pub resize: mpsc::Sender<TerminalSize>,
    /// How it ended: the exit code, or why it could not run. Comes after the last output.
    pub exit: oneshot::Receiver<Result<i32, ApiError>>,
}

/// A bidirectional stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ByteStream for T {}

/// An open stream to a pod.
pub enum Connection {
    /// Log text.
    Log(BoxStream<'static, Result<Bytes, ApiError>>),
    /// A running program.
    Exec(ExecSession),
    /// A connection to a port.
    Port(Pin<Box<dyn ByteStream>>),
    /// A text.
    Answer(Answer),
}

impl Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Log(_) => "Log",
            Self::Exec(_) => "Exec",
            Self::Port(_) => "Port",
            Self::Answer(_) => "Answer",
        })
    }
}

/// A pod, as a node agent knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PodRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
}

/// A node agent, as the API server reaches it: in the same process, or over the network.
///
/// # Cancel safety
/// Dropping a connection ends what it carried.
#[async_trait]
pub trait NodeEndpoint: Debug + Send + Sync {
    /// Opens a stream to a pod on this node. [`Connect::Get`] is the node's own matter, whatever pod is named.
    ///
    /// # Errors
    /// Upstream's: a container that does not exist or is not running is a bad request.
    async fn connect(&self, pod: &PodRef, connect: Connect) -> Result<Connection, ApiError>;

    /// What the node and its pods use.
    ///
    /// # Errors
    /// Where it cannot be measured.
    async fn stats(&self, scope: Scope) -> Result<Summary, ApiError>;
}

/// Finds the agent of a node by the node's name.
pub trait NodeDirectory: Debug + Send + Sync {
    /// The agent of `node`, where one can be reached.
    fn endpoint(&self, node: &str) -> Option<Arc<dyn NodeEndpoint>>;
}
