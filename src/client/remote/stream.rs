//! Streams to pods: logs as they come, programs and ports over WebSockets.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::Method;
use ::http::header::CONTENT_TYPE;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt, TryStreamExt};
use http_body_util::BodyDataStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::answer;
use super::backend::RemoteBackend;
use super::http::unreachable;
use super::upgrade::WebSocket;
use super::wire::Location;
use crate::api::{
    Answer, ApiError, Call, Connect, Connection, ExecOptions, ExecSession, LogOptions, Output, Reason, Target,
    TerminalSize,
};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// How many messages may wait.
const QUEUE: usize = 32;
/// How long the far side of a port may go on after the near side has said all.
const LINGER: Duration = Duration::from_secs(60);
/// How much of a port's data may wait.
const BUFFER: usize = 64 * 1024;

/// The tasks that carry open streams. Dropping it ends them; each also ends when its stream is dropped.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<JoinSet<()>>);

impl Sessions {
    fn start(&self, session: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(session);
    }
}

impl RemoteBackend {
    pub(super) async fn open(&self, call: &Call, target: &Target, connect: Connect) -> Result<Connection, ApiError> {
        match connect {
            Connect::Log(options) => {
                let mut location = Location::of(&target.clone().sub("log"));
                log(&mut location, &options);
                let response = self.send(call, Method::GET, &location, None).await?;
                let text = BodyDataStream::new(response.into_body()).map_err(|error| unreachable(&error));
                Ok(Connection::Log(text.boxed()))
            }
            Connect::Exec(options) => self.run(call, target.clone().sub("exec"), &options).await,
            Connect::Attach(options) => self.run(call, target.clone().sub("attach"), &options).await,
            Connect::Get(path) => {
                let location = Location::of(&target.clone().sub("proxy")).below(&path);
                let response = self.send(call, Method::GET, &location, None).await?;
                let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
                let media = media.unwrap_or_default().to_owned();
                Ok(Connection::Answer(Answer { media, body: answer::body(response).await? }))
            }
            Connect::PortForward(port) => {
                let mut location = Location::of(&target.clone().sub("portforward"));
                location.add("ports", &port.to_string());
                let websocket = self.websocket(call, &location, "v4.channel.k8s.io").await?;
                let (near, far) = tokio::io::duplex(BUFFER);
                self.sessions.start(forward(websocket, far));
                Ok(Connection::Port(Box::pin(near)))
            }
        }
    }

    async fn run(&self, call: &Call, target: Target, options: &ExecOptions) -> Result<Connection, ApiError> {
        let mut location = Location::of(&target);
        location.some("container", Some(&options.container).filter(|name| !name.is_empty()));
        for argument in &options.command {
            location.add("command", argument);
        }
        location.flag("stdin", options.stdin).flag("stdout", options.stdout);
        location.flag("stderr", options.stderr).flag("tty", options.tty);
        let websocket = self.websocket(call, &location, "v5.channel.k8s.io").await?;
        let (stdin, from_stdin) = mpsc::channel(QUEUE);
        let (to_output, output) = mpsc::channel(QUEUE);
        let (resize, sizes) = mpsc::channel(QUEUE);
        let (ended, exit) = oneshot::channel();
        self.sessions.start(async move {
            let closed = to_output.clone();
            tokio::select! {
                result = carry(websocket, from_stdin, sizes, to_output) => drop(ended.send(result)),
                () = closed.closed() => {}
            }
        });
        Ok(Connection::Exec(ExecSession { stdin, output, resize, exit }))
    }
}

fn log(location: &mut Location, options: &LogOptions) {
    location.some("container", Some(&options.container).filter(|name| !name.is_empty()));
    location.flag("follow", options.follow).flag("previous", options.previous);
    location.flag("timestamps", options.timestamps);
    location.some("sinceSeconds", options.since.map(|since| since.as_secs().max(1)));
    location.some("sinceTime", options.since_time);
    location.some("tailLines", options.tail_lines).some("limitBytes", options.limit_bytes);
}

/// Carries a program's streams until it has ended.
async fn carry(
    websocket: WebSocket,
    mut stdin: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<TerminalSize>,
    output: mpsc::Sender<(Output, Bytes)>,
) -> Result<i32, ApiError> {
    let (mut sink, mut source) = websocket.split();
    let writing = async {
        let (mut stdin_open, mut sizes_open) = (true, true);
        while stdin_open || sizes_open {
            let message = tokio::select! {
                bytes = stdin.recv(), if stdin_open => match bytes {
                    Some(bytes) => channel(STDIN, &bytes),
                    None => {
                        stdin_open = false;
                        channel(CLOSE, &[STDIN])
                    }
                },
                size = sizes.recv(), if sizes_open => match size {
                    Some(size) => channel(RESIZE, json!({ "Width": size.width, "Height": size.height }).to_string().as_bytes()),
                    None => {
                        sizes_open = false;
                        continue;
                    }
                },
            };
            if sink.send(message).await.is_err() {
                break;
            }
        }
        // The end is the reader's to notice.
        std::future::pending::<()>().await;
    };
    let reading = async {
        while let Some(message) = source.next().await {
            let message = message.map_err(|error| unreachable(&error))?.into_data();
            let Some((channel, _)) = message.split_first() else { continue };
            let rest = message.slice(1..);
            match *channel {
                ERROR if !rest.is_empty() => return exit_code(&rest),
                from @ (STDOUT | STDERR) if !rest.is_empty() => {
                    let from = if from == STDOUT { Output::Stdout } else { Output::Stderr };
                    // Nobody reads: the session is being dropped.
                    let _ = output.send((from, rest)).await;
                }
                _ => {}
            }
        }
        Err(ApiError::new(Reason::ServiceUnavailable, "the connection ended before the program"))
    };
    tokio::select! {
        result = reading => result,
        () = writing => Err(ApiError::internal("unreachable")),
    }
}

fn exit_code(status: &[u8]) -> Result<i32, ApiError> {
    let status: Status = serde_json::from_slice(status).map_err(super::answer::not_understood)?;
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|cause| cause.message.as_deref()?.parse().ok()) {
        Some(code) if status.reason.as_deref() == Some("NonZeroExitCode") => Ok(code),
        _ => Err(status.into()),
    }
}

fn channel(number: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(number);
    message.put_slice(bytes);
    Message::Binary(message.freeze())
}

/// Carries the data of one port. Each channel begins with the port's number, which is left out.
async fn forward(websocket: WebSocket, port: DuplexStream) {
    let (mut sink, mut source) = websocket.split();
    let (mut read, mut write) = tokio::io::split(port);
    let up = async {
        let mut piece = BytesMut::new();
        loop {
            piece.reserve(BUFFER);
            match read.read_buf(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(_) if sink.send(channel(0, &piece.split())).await.is_err() => break,
                Ok(_) => {}
            }
        }
    };
    let down = async {
        let mut begun = false;
        while let Some(Ok(message)) = source.next().await {
            let message = message.into_data();
            match message.first() {
                Some(0) if begun && write.write_all(&message[1..]).await.is_err() => {
                    return;
                }
                Some(0) => begun = true,
                // What is wrong with the port shows as its end.
                Some(1) if message.len() > 3 => {
                    tracing::debug!(why = %String::from_utf8_lossy(&message[1..]), "port-forward failed");
                    break;
                }
                _ => {}
            }
        }
        let _ = write.shutdown().await;
    };
    tokio::pin!(up);
    tokio::pin!(down);
    tokio::select! {
        () = &mut down => {}
        // Whether the near side has only said all, or is gone, shows when there is something to write to it.
        () = &mut up => drop(tokio::time::timeout(LINGER, down).await),
    }
}
