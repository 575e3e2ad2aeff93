//! `portforward`: connections to a pod's ports, over WebSocket channels, SPDY streams, or SPDY inside a WebSocket.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt, TryStreamExt, future};
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::Streaming;
use crate::api::{ApiError, Backend, ByteStream, Call, Connect, Connection, Target};
use crate::server::http::body::Pieced;
use crate::server::http::spdy;
use crate::server::http::upgrade::{self, Raw, Wanted};

/// SPDY inside a WebSocket: what kubectl speaks first.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Two channels per port.
const CHANNELS: &str = "v4.channel.k8s.io";
const SPDY: &str = "portforward.k8s.io";

/// How much is read from a port at a time.
const PIECE: usize = 32 * 1024;
/// How many messages may wait for a port or a client.
const QUEUE: usize = 32;
/// How many connections one client may have open at a time.
const MAX_CONNECTIONS: usize = 512;

/// Opens connections to one pod's ports.
#[derive(Clone, Debug)]
struct Ports {
    backend: Arc<dyn Backend>,
    call: Call,
    target: Target,
}

impl Ports {
    async fn open(&self, port: u16) -> Result<Pin<Box<dyn ByteStream>>, String> {
        let refused = |error: &ApiError| {
            format!("error forwarding port {port} to pod {}, uid : {}", self.target.name(), error.message())
        };
        match self.backend.connect(&self.call, &self.target, Connect::PortForward(port)).await {
            Ok(Connection::Port(stream)) => Ok(stream),
            Ok(other) => Err(refused(&ApiError::internal(format!("asked for a port, got {other:?}")))),
            Err(error) => Err(refused(&error)),
        }
    }
}

impl Streaming<'_> {
    pub(super) async fn port_forward(self) -> Result<Response<Pieced>, ApiError> {
        let wanted = Wanted::of(self.headers)?;
        let ports = Ports { backend: Arc::clone(self.backend), call: self.call.clone(), target: self.target };
        match wanted {
            Wanted::Spdy { .. } => {
                let protocol = wanted.choose(&[SPDY])?;
                self.sessions.start(self.upgrade, self.closing, |raw| over_spdy(raw, ports))?;
                Ok(wanted.agree(protocol))
            }
            Wanted::WebSocket { .. } if wanted.protocols().iter().any(|offer| offer == TUNNEL) => {
                self.sessions.start(self.upgrade, self.closing, |raw| over_tunnel(raw, ports))?;
                Ok(wanted.agree(TUNNEL))
            }
            Wanted::WebSocket { .. } => {
                let protocol = wanted.choose(&[CHANNELS])?;
                let numbers = self.query.all("ports").flat_map(|value| value.split(',')).map(|text| {
                    let number: Option<u16> = text.parse().ok().filter(|number| *number > 0);
                    number.ok_or_else(|| ApiError::bad_request(format!("unable to parse {text:?} as a port")))
                });
                let numbers: Vec<u16> = numbers.collect::<Result<_, _>>()?;
                if numbers.is_empty() {
                    return Err(ApiError::bad_request("query parameter \"port\" is required"));
                }
                if numbers.len() > 64 {
                    return Err(ApiError::bad_request("at most 64 ports can be forwarded over one connection"));
                }
                self.sessions.start(self.upgrade, self.closing, |raw| over_channels(raw, ports, numbers))?;
                Ok(wanted.agree(protocol))
            }
        }
    }
}

/// Copies between a port and a client until both have said all.
async fn copy<W>(port: Pin<Box<dyn ByteStream>>, mut from_client: mpsc::Receiver<Bytes>, to_client: impl Fn(Bytes) -> W)
where
    W: Future<Output = bool>,
{
    let (mut read, mut write) = tokio::io::split(port);
    let up = async {
        while let Some(bytes) = from_client.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The server's side of the connection may still have something to say.
        let _ = write.shutdown().await;
    };
    let down = async {
        let mut piece = BytesMut::new();
        loop {
            piece.reserve(PIECE);
            match read.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(_) if !to_client(piece.split().freeze()).await => return,
                Ok(_) => {}
            }
        }
    };
    tokio::pin!(up);
    tokio::pin!(down);
    // Once the port has said all, nothing that the client adds can matter to it.
    tokio::select! {
        () = &mut down => {}
        () = &mut up => down.await,
    }
}

async fn over_tunnel(raw: Raw, ports: Ports) {
    let (sink, source) = upgrade::websocket(raw).await.split();
    let reader = StreamReader::new(
        source
            .map_err(std::io::Error::other)
            .take_while(|message| future::ready(!matches!(message, Ok(message) if message.is_close())))
            .try_filter_map(|message| {
                let data = matches!(message, Message::Binary(_) | Message::Text(_)).then(|| message.into_data());
                future::ready(Ok(data))
            })
            .boxed(),
    );
    let sink = sink
        .sink_map_err(std::io::Error::other)
        .with(|bytes: Bytes| future::ready(Ok::<_, std::io::Error>(Message::Binary(bytes))));
    let writer = SinkWriter::new(CopyToBytes::new(Box::pin(sink)));
    served(spdy::serve(tokio::io::join(reader, writer), |streams| forward(streams, ports)).await);
}

async fn over_spdy(raw: Raw, ports: Ports) {
    served(spdy::serve(raw, |streams| forward(streams, ports)).await);
}

fn served(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "port-forward ended early");
    }
}

/// Pairs the streams that a client opens (one for data, one for errors, of the same request) and connects each
/// pair to its port.
async fn forward(mut streams: mpsc::Receiver<spdy::Stream>, ports: Ports) {
    let mut halves: BTreeMap<String, spdy::Stream> = BTreeMap::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = streams.recv() => stream,
            Some(_) = connections.join_next() => continue,
        };
        let Some(stream) = stream else { return };
        if connections.len() + halves.len() >= MAX_CONNECTIONS {
            stream.output.reset().await;
            continue;
        }
        let request = format!("{}/{}", stream.header("port"), stream.header("requestid"));
        let Some(other) = halves.remove(&request) else {
            halves.insert(request, stream);
            continue;
        };
        let (data, error) = if stream.header("streamtype") == "data" { (stream, other) } else { (other, stream) };
        let ports = ports.clone();
        connections.spawn(async move {
            let opened = match data.header("port").parse() {
                Ok(port) => ports.open(port).await,
                Err(_) => Err(format!("unable to parse {:?} as a port", data.header("port"))),
            };
            match opened {
                Ok(port) => copy(port, data.input, |bytes| data.output.send(bytes)).await,
                Err(message) => drop(error.output.send(message.into()).await),
            }
            data.output.finish().await;
            error.output.finish().await;
        });
    }
}

/// Serves the ports of one WebSocket: port `i` has the channels `2i` for data and `2i + 1` for errors, and each
/// channel begins with the port's number.
async fn over_channels(raw: Raw, ports: Ports, numbers: Vec<u16>) {
    let (mut sink, mut source) = upgrade::websocket(raw).await.split();
    let (out, mut queue) = mpsc::channel::<Message>(QUEUE);
    let mut inputs = Vec::new();
    let mut connections = JoinSet::new();
    for (index, number) in (0_u8..).zip(numbers) {
        let (input, from_client) = mpsc::channel(QUEUE);
        inputs.push(input);
        let (ports, out) = (ports.clone(), out.clone());
        connections.spawn(async move {
            let send = |channel: u8, bytes: Bytes| {
                let mut message = BytesMut::with_capacity(bytes.len() + 1);
                message.put_u8(channel);
                message.put_slice(&bytes);
                out.send(Message::Binary(message.freeze()))
            };
            for channel in [2 * index, 2 * index + 1] {
                let _ = send(channel, Bytes::copy_from_slice(&number.to_le_bytes())).await;
            }
            match ports.open(number).await {
                Ok(port) => copy(port, from_client, |bytes| async { send(2 * index, bytes).await.is_ok() }).await,
                Err(message) => drop(send(2 * index + 1, message.into()).await),
            }
        });
    }
    drop(out);
    let reading = async {
        while let Some(Ok(message)) = source.next().await {
            if message.is_close() {
                return;
            }
            let message = message.into_data();
            let Some((channel, _)) = message.split_first() else { continue };
            if let Some(input) = inputs.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0) {
                // A port that has closed takes nothing more.
                let _ = input.send(message.slice(1..)).await;
            }
        }
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
