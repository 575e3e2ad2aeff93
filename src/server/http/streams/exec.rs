//! `exec` and `attach`: a program's streams over WebSocket channels or SPDY streams.

use std::pin::Pin;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Sink, SinkExt, StreamExt, future, stream};
use http::Response;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Streaming;
use super::protocol::{self, CLOSE, ERROR, Input, Output, RESIZE, STDERR, STDIN, STDOUT};
use crate::api::{ApiError, Connect, Connection, ExecOptions, ExecSession, Output as From};
use crate::server::http::body::Pieced;
use crate::server::http::spdy;
use crate::server::http::upgrade::{self, Raw, Wanted};

const WEBSOCKET: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
const SPDY: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// How long a client may take to close after the program's end.
const LINGER: Duration = Duration::from_secs(2);

type Outputs<'a> = Pin<Box<dyn Sink<Output, Error = ()> + Send + 'a>>;

impl Streaming<'_> {
    pub(super) async fn exec(self, run: bool) -> Result<Response<Pieced>, ApiError> {
        let options = self.exec_options(run)?;
        let wanted = Wanted::of(self.headers)?;
        let protocol = wanted.choose(if matches!(wanted, Wanted::Spdy { .. }) { SPDY } else { WEBSOCKET })?;
        let connect = if run { Connect::Exec(options.clone()) } else { Connect::Attach(options.clone()) };
        let session = match self.backend.connect(self.call, &self.target, connect).await? {
            Connection::Exec(session) => session,
            other => return Err(ApiError::internal(format!("asked for a program, got {other:?}"))),
        };
        let spdy = matches!(wanted, Wanted::Spdy { .. });
        self.sessions.start(self.upgrade, self.closing, move |raw| async move {
            if spdy { over_spdy(raw, session, options).await } else { over_websocket(raw, session, &options).await }
        })?;
        Ok(wanted.agree(protocol))
    }

    fn exec_options(&self, run: bool) -> Result<ExecOptions, ApiError> {
        let options = ExecOptions {
            container: self.query.get("container").unwrap_or_default().to_owned(),
            command: if run { self.query.all("command").map(str::to_owned).collect() } else { Vec::new() },
            stdin: self.query.flag("stdin"),
            stdout: self.query.flag("stdout"),
            stderr: self.query.flag("stderr"),
            tty: self.query.flag("tty"),
        };
        if run && options.command.is_empty() {
            return Err(ApiError::bad_request("you must specify a command for the container"));
        }
        if !(options.stdin || options.stdout || options.stderr) {
            return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(options)
    }
}

/// Carries a program's streams until it has ended or the client is gone.
async fn carry(session: ExecSession, mut inputs: BoxStream<'_, Input>, mut outputs: Outputs<'_>) {
    let ExecSession { stdin, mut output, resize, exit } = session;
    let feeding = async {
        let mut stdin = Some(stdin);
        while let Some(input) = inputs.next().await {
            match input {
                Input::Stdin(bytes) => {
                    if let Some(sender) = &stdin
                        && sender.send(bytes).await.is_err()
                    {
                        stdin = None;
                    }
                }
                Input::EndOfStdin => stdin = None,
                // A size that comes while another waits is soon followed by the next.
                Input::Resize(size) => drop(resize.try_send(size)),
            }
        }
    };
    let writing = async {
        while let Some((from, bytes)) = output.recv().await {
            let output = match from {
                From::Stdout => Output::Stdout(bytes),
                From::Stderr => Output::Stderr(bytes),
            };
            outputs.send(output).await?;
        }
        let exit = exit.await.unwrap_or_else(|_| Err(ApiError::internal("the container's node went away")));
        outputs.send(Output::Status(protocol::status(exit))).await?;
        outputs.close().await
    };
    tokio::pin!(feeding);
    tokio::select! {
        () = &mut feeding => {}
        // The client closes when it has read all; to close before it has could cost it the end.
        _ = writing => drop(tokio::time::timeout(LINGER, feeding).await),
    }
}

async fn over_websocket(raw: Raw, session: ExecSession, options: &ExecOptions) {
    let (mut sink, source) = upgrade::websocket(raw).await.split();
    // An empty message tells the client that the stream stands.
    let first = match (options.stdout, options.stderr) {
        (true, _) => STDOUT,
        (_, true) => STDERR,
        _ => ERROR,
    };
    if sink.send(channel(first, &[])).await.is_err() {
        return;
    }
    let inputs = source
        .take_while(|message| future::ready(matches!(message, Ok(message) if !message.is_close())))
        .filter_map(|message| future::ready(message.ok().and_then(|message| input_of(&message.into_data()))));
    let outputs = sink.sink_map_err(drop).with_flat_map(|output| {
        let messages = match output {
            Output::Stdout(bytes) => vec![channel(STDOUT, &bytes)],
            Output::Stderr(bytes) => vec![channel(STDERR, &bytes)],
            Output::Status(status) => {
                let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                vec![channel(ERROR, &status), Message::Close(Some(normal))]
            }
        };
        stream::iter(messages.into_iter().map(Ok::<_, ()>))
    });
    carry(session, inputs.boxed(), Box::pin(outputs)).await;
}

fn channel(number: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(number);
    message.put_slice(bytes);
    Message::Binary(message.freeze())
}

fn input_of(message: &Bytes) -> Option<Input> {
    let (channel, rest) = message.split_first()?;
    match *channel {
        STDIN if rest.is_empty() => None,
        STDIN => Some(Input::Stdin(message.slice(1..))),
        RESIZE => protocol::resize(rest),
        CLOSE if rest.first() == Some(&STDIN) => Some(Input::EndOfStdin),
        _ => None,
    }
}

async fn over_spdy(raw: Raw, session: ExecSession, options: ExecOptions) {
    let served = spdy::serve(raw, |streams| spdy_streams(streams, session, options)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "SPDY connection ended early");
    }
}

/// Collects the streams that the client opens for its options, and carries the program's over them.
async fn spdy_streams(mut opened: mpsc::Receiver<spdy::Stream>, session: ExecSession, options: ExecOptions) {
    let mut wanted = vec!["error"];
    wanted.extend(
        [("stdin", options.stdin), ("stdout", options.stdout), ("stderr", options.stderr && !options.tty)]
            .iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| *name),
    );
    wanted.extend(options.tty.then_some("resize"));
    let mut streams: Vec<(String, spdy::Stream)> = Vec::new();
    while wanted.iter().any(|name| !streams.iter().any(|(have, _)| have == name)) {
        let Some(stream) = opened.recv().await else { return };
        streams.push((stream.header("streamtype").to_owned(), stream));
    }
    let mut outputs: Vec<(String, spdy::Output)> = Vec::new();
    let mut inputs: Vec<BoxStream<'static, Input>> = Vec::new();
    for (name, stream) in streams {
        let received =
            stream::unfold(stream.input, |mut input| async { input.recv().await.map(|bytes| (bytes, input)) });
        match name.as_str() {
            "stdin" => {
                inputs.push(received.map(Input::Stdin).chain(stream::once(future::ready(Input::EndOfStdin))).boxed())
            }
            "resize" => inputs.push(received.filter_map(|json| future::ready(protocol::resize(&json))).boxed()),
            _ => {}
        }
        outputs.push((name, stream.output));
    }
    // The inputs may all end before the program does: only the connection's end ends this.
    let inputs = stream::select_all(inputs).chain(stream::pending());
    let send = |outputs: Vec<(String, spdy::Output)>, output: Output| async move {
        let (name, bytes, last) = match output {
            Output::Stdout(bytes) => ("stdout", bytes, false),
            Output::Stderr(bytes) => ("stderr", bytes, false),
            Output::Status(status) => ("error", status, true),
        };
        let to = outputs.iter().find(|(of, _)| of == name);
        if let Some((_, to)) = to
            && !to.send(bytes).await
        {
            return Err(());
        }
        if last {
            for (_, output) in &outputs {
                output.finish().await;
            }
        }
        Ok(outputs)
    };
    let outputs = futures::sink::unfold(outputs, send);
    carry(session, inputs.boxed(), Box::pin(outputs)).await;
}
