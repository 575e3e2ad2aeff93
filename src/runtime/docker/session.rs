//! Programs run beside a container's own, and connections to that one.

use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ExecConfig, ExecInspectResponse, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::cluster::DockerCluster;
use super::error::{failed, message, status};
use super::{DockerRuntime, pause};
use crate::api::{ApiError, ExecOptions, ExecSession, Output, TerminalSize};
use crate::runtime::{ContainerId, Result, RuntimeError};

/// Pieces of input or output that wait for whoever is to take them.
const PIECES: usize = 16;

/// How the engine begins to tell, in place of the program's output, why that did not start.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed";

/// How often, and how long apart, the engine is asked whether a program has been started that is to be ended.
const LOOKS: u32 = 200;
const STARTING: Duration = Duration::from_millis(50);

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// What a session is connected to.
#[derive(Clone, Debug)]
enum Target {
    /// A program beside a container's own: its ID, and the container's.
    Exec(String, String),
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
                let target = Target::Exec(made.id, id.as_str().to_owned());
                Ok(session(self.cluster().clone(), target, output, input, options))
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
        Ok(session(self.cluster().clone(), target, attached.output, attached.input, options))
    }
}

/// Carries bytes between the engine and whoever has the session, until the program ends or the session is dropped: then a
/// program that was run for it is killed.
fn session(cluster: DockerCluster, target: Target, output: Pieces, input: Input, options: &ExecOptions) -> ExecSession {
    let (stdin, typed) = mpsc::channel(PIECES);
    let (told, out) = mpsc::channel(PIECES);
    let (resize, sizes) = mpsc::channel(PIECES);
    let (end, exit) = oneshot::channel();
    let input = AbortOnDropHandle::new(tokio::spawn(write_input(input, typed)));
    let docker = cluster.engine().docker().clone();
    let resizing = AbortOnDropHandle::new(tokio::spawn(follow_sizes(docker.clone(), target.clone(), sizes)));
    let wanted = (options.stdout, options.stderr || options.tty);
    tokio::spawn(async move {
        let read = read_output(output, wanted, &told).await;
        drop((input, resizing));
        let held = match (read, &target) {
            (Read::ToItsEnd(held), _) => held,
            (Read::Abandoned, Target::Container(_)) => return,
            (Read::Abandoned, Target::Exec(id, container)) => {
                if let Err(error) = kill(&cluster, id, container).await {
                    tracing::warn!(%error, container, "a program that nobody waits for goes on");
                }
                return;
            }
        };
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
            Target::Exec(id, _) => {
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

/// What became of a session.
enum Read {
    /// The program has ended. What the engine said in place of its output.
    ToItsEnd(Option<String>),
    /// Whoever had it has left.
    Abandoned,
}

/// Ends a program that was run beside a container's own. The engine has no request for that; a program in the
/// container's process namespace has the right.
async fn kill(cluster: &DockerCluster, id: &str, container: &str) -> Result<()> {
    let engine = cluster.engine();
    let mut looks = 0;
    let pid = loop {
        let found = engine.docker().inspect_exec(id).await.map_err(|error| failed("look at a program", error))?;
        match found.pid.filter(|pid| *pid > 0 && found.running == Some(true)) {
            Some(pid) => break pid,
            // It has ended, or cannot be started.
            None if found.exit_code.is_some() || looks == LOOKS => return Ok(()),
            // The engine answers before it has started it.
            None => engine.clock().sleep(STARTING).await,
        }
        looks += 1;
    };
    // The number that the process has in the container, where nobody else can come to have it but the container's own.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let Some(inner) = numbers.and_then(|numbers| numbers.split_whitespace().last()?.parse::<i32>().ok()) else {
        return Ok(()); // it has ended
    };
    let host = HostConfig {
        pid_mode: Some(format!("container:{container}")),
        network_mode: Some("none".to_owned()),
        ..HostConfig::default()
    };
    let name = format!("kill-{id}");
    pause::run(cluster, pause::KILL, "KILL", &name, inner.to_ne_bytes().to_vec(), host).await
}

/// Passes output on. What the engine says in place of it is held back, and returned.
async fn read_output(mut output: Pieces, (stdout, stderr): (bool, bool), told: &mpsc::Sender<(Output, Bytes)>) -> Read {
    let mut held: Option<(Output, Bytes)> = None;
    let mut first = true;
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            () = told.closed() => return Read::Abandoned,
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
                return Read::Abandoned;
            }
        }
    }
    Read::ToItsEnd(held.map(|(_, bytes)| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

async fn how_it_ended(docker: &Docker, target: &Target, held: Option<String>) -> Result<i32, ApiError> {
    let code = |code: Option<i64>| code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    match target {
        Target::Exec(id, _) => match docker.inspect_exec(id).await {
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
