//! Programs run beside a container's own, and connections to that one.

use std::pin::Pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ExecConfig, ExecInspectResponse};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::DockerRuntime;
use super::error::{message, status};
use crate::api::{ApiError, ExecOptions, ExecSession, Output, TerminalSize};
use crate::runtime::{ContainerId, PodStream, Result, RuntimeError, SandboxId};

/// Pieces of input or output that wait for whoever is to take them.
const PIECES: usize = 16;

/// How the engine begins to tell, in place of the program's output, why that did not start.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed";

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// What a session is connected to.
#[derive(Clone, Debug)]
enum Target {
    Exec(String),
    Container(String),
}

impl DockerRuntime {
    /// Fails where a container does not run.
    async fn running(&self, id: &ContainerId) -> Result<()> {
        if self.status_of(id).await?.is_running() {
            return Ok(());
        }
        Err(RuntimeError::State(format!("container {id} is not running")))
    }

    pub(super) async fn run_beside(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.running(id).await?;
        let config = ExecConfig {
            attach_stdin: Some(options.stdin),
            attach_stdout: Some(options.stdout),
            attach_stderr: Some(options.stderr && !options.tty),
            tty: Some(options.tty),
            cmd: Some(options.command.clone()),
            ..ExecConfig::default()
        };
        let docker = self.docker();
        let exec = |error: Error| RuntimeError::Exec(message(error));
        let made = docker.create_exec(id.as_str(), config).await.map_err(exec)?;
        let start = StartExecOptions { detach: false, tty: options.tty, output_capacity: None };
        match docker.start_exec(&made.id, Some(start)).await.map_err(exec)? {
            StartExecResults::Attached { output, input } => {
                Ok(session(docker.clone(), Target::Exec(made.id), output, input, options))
            }
            StartExecResults::Detached => Err(RuntimeError::Exec("the engine has not attached to it".to_owned())),
        }
    }

    pub(super) async fn attach_to(&self, id: &ContainerId, options: &ExecOptions) -> Result<ExecSession> {
        self.running(id).await?;
        let query = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(options.stdin)
            .stdout(options.stdout)
            .stderr(options.stderr || options.tty)
            .build();
        let docker = self.docker();
        let attached = docker.attach_container(id.as_str(), Some(query)).await;
        let attached = attached.map_err(|error| RuntimeError::Exec(message(error)))?;
        let target = Target::Container(id.as_str().to_owned());
        Ok(session(docker.clone(), target, attached.output, attached.input, options))
    }

    pub(super) async fn connect(&self, id: &SandboxId, port: u16) -> Result<PodStream> {
        let sandbox = self.find_sandbox(id).await?;
        let ip = sandbox.ips.first().copied().filter(|_| sandbox.ready);
        let ip = ip.ok_or_else(|| RuntimeError::State(format!("sandbox container {id:?} is not running")))?;
        let stream = TcpStream::connect((ip, port)).await;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|source| RuntimeError::Dial { address: format!("{ip}:{port}"), source })?;
        Ok(Box::pin(stream))
    }
}

/// Carries bytes between the engine and whoever has the session, until the program ends or the session is dropped.
fn session(docker: Docker, target: Target, output: Pieces, input: Input, options: &ExecOptions) -> ExecSession {
    let (stdin, typed) = mpsc::channel(PIECES);
    let (told, out) = mpsc::channel(PIECES);
    let (resize, sizes) = mpsc::channel(PIECES);
    let (end, exit) = oneshot::channel();
    let input = AbortOnDropHandle::new(tokio::spawn(write_input(input, typed)));
    let resizing = AbortOnDropHandle::new(tokio::spawn(follow_sizes(docker.clone(), target.clone(), sizes)));
    let wanted = (options.stdout, options.stderr || options.tty);
    tokio::spawn(async move {
        let held = read_output(output, wanted, &told).await;
        drop((input, resizing));
        let _ = end.send(how_it_ended(&docker, &target, held).await); // nobody may wait for it
        drop(told);
    });
    ExecSession { stdin, output: out, resize, exit }
}

async fn write_input(mut input: Input, mut typed: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = typed.recv().await {
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            return; // the program reads no more
        }
    }
    let _ = input.shutdown().await; // it may have ended already
}

async fn follow_sizes(docker: Docker, target: Target, mut sizes: mpsc::Receiver<TerminalSize>) {
    while let Some(TerminalSize { width, height }) = sizes.recv().await {
        let (width, height) = (i32::from(width), i32::from(height));
        let resized = match &target {
            Target::Exec(id) => {
                let size = ResizeExecOptionsBuilder::default().w(width).h(height).build();
                docker.resize_exec(id, size).await
            }
            Target::Container(id) => {
                let size = ResizeContainerTTYOptionsBuilder::default().w(width).h(height).build();
                docker.resize_container_tty(id, size).await
            }
        };
        if let Err(error) = resized {
            tracing::debug!(%error, "terminal not resized");
        }
    }
}

/// Passes output on. What the engine says in place of it is held back, and returned.
async fn read_output(
    mut output: Pieces,
    (stdout, stderr): (bool, bool),
    told: &mpsc::Sender<(Output, Bytes)>,
) -> Option<String> {
    let mut held: Option<(Output, Bytes)> = None;
    let mut first = true;
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            () = told.closed() => return None,
        };
        let (kind, bytes) = match piece {
            Some(Ok(LogOutput::StdErr { message })) => (Output::Stderr, message),
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => (Output::Stdout, message),
            Some(Ok(LogOutput::StdIn { .. })) => continue,
            Some(Err(error)) => {
                tracing::debug!(%error, "a session's output has broken off");
                break;
            }
            None => break,
        };
        if std::mem::take(&mut first) && bytes.starts_with(NOT_STARTED) {
            held = Some((kind, bytes));
            continue;
        }
        for (kind, bytes) in held.take().into_iter().chain([(kind, bytes)]) {
            let wanted = if kind == Output::Stdout { stdout } else { stderr };
            if wanted && told.send((kind, bytes)).await.is_err() {
                return None;
            }
        }
    }
    held.map(|(_, bytes)| String::from_utf8_lossy(&bytes).trim().to_owned())
}

async fn how_it_ended(docker: &Docker, target: &Target, held: Option<String>) -> Result<i32, ApiError> {
    let code = |code: Option<i64>| code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    match target {
        Target::Exec(id) => match docker.inspect_exec(id).await {
            // A program that has run had a process.
            Ok(ExecInspectResponse { pid: None | Some(0), .. }) if held.is_some() => {
                Err(ApiError::internal(held.unwrap_or_default()))
            }
            Ok(found) => Ok(code(found.exit_code)),
            Err(error) => Err(ApiError::internal(message(error))),
        },
        Target::Container(id) => match docker.inspect_container(id, None).await {
            Ok(found) => Ok(code(found.state.and_then(|state| state.exit_code))),
            // It was removed as soon as it had ended.
            Err(error) if status(&error) == Some(404) => Ok(0),
            Err(error) => Err(ApiError::internal(message(error))),
        },
    }
}
