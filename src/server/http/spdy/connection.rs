//! A connection: streams in, streams out.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite};

use super::frame::{Codec, Frame};
use super::headers::Headers;

/// How many frames may wait: in all to be written, and of each stream to be read.
const QUEUE: usize = 32;

/// How many streams a client may have open.
const STREAMS: usize = 256;

/// How long the last frames may take to be written.
const LINGER: Duration = Duration::from_secs(10);

/// The largest piece of data in one frame that is written.
const PIECE: usize = 64 * 1024;

/// A stream that the client opened.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The headers that it came with.
    pub(crate) headers: Headers,
    /// What the client sends; ends when the client has finished.
    pub(crate) input: mpsc::Receiver<Bytes>,
    /// What the client is sent.
    pub(crate) output: Output,
}

impl Stream {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// The writing side of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    id: u32,
    frames: mpsc::Sender<Frame>,
}

impl Output {
    /// Sends data; `false` where the connection is gone.
    pub(crate) async fn send(&self, mut data: Bytes) -> bool {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            if self.frames.send(Frame::Data { id: self.id, data: piece, last: false }).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Says that nothing more comes.
    pub(crate) async fn finish(&self) {
        // Where the connection is gone, it has been understood.
        let _ = self.frames.send(Frame::Data { id: self.id, data: Bytes::new(), last: true }).await;
    }

    /// Ends the stream at once.
    pub(crate) async fn reset(&self) {
        let _ = self.frames.send(Frame::Reset { id: self.id }).await;
    }
}

/// Serves a connection until the client closes it or `work`, which is given the streams as they open, has ended.
pub(crate) async fn serve<S, F, W>(io: S, work: F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send,
    F: FnOnce(mpsc::Receiver<Stream>) -> W,
    W: Future<Output = ()>,
{
    let (read, write) = tokio::io::split(io);
    let (frames, mut queue) = mpsc::channel(QUEUE);
    let (opened, streams) = mpsc::channel(QUEUE);
    let writing = async move {
        let mut sink = FramedWrite::new(write, Codec::new());
        while let Some(frame) = queue.recv().await {
            sink.send(frame).await?;
        }
        sink.close().await
    };
    let working = work(streams);
    let reading = reading(FramedRead::new(read, Codec::new()), frames, opened);
    let serving = async move {
        tokio::select! {
            ended = reading => ended,
            () = working => Ok(()),
        }
    };
    tokio::pin!(writing);
    // Serving ends first: with it go all senders of frames, and what is queued is written.
    tokio::select! {
        ended = &mut writing => return ended,
        ended = serving => ended?,
    }
    tokio::time::timeout(LINGER, writing).await.unwrap_or(Ok(()))
}

async fn reading<R>(
    mut source: FramedRead<R, Codec>,
    frames: mpsc::Sender<Frame>,
    opened: mpsc::Sender<Stream>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let mut inputs: BTreeMap<u32, mpsc::Sender<Bytes>> = BTreeMap::new();
    while let Some(frame) = source.next().await {
        match frame? {
            Frame::Open { id, .. } if inputs.len() >= STREAMS => {
                let _ = frames.send(Frame::Reset { id }).await;
            }
            Frame::Open { id, headers, last } => {
                let (sender, input) = mpsc::channel(QUEUE);
                if !last {
                    inputs.insert(id, sender);
                }
                let _ = frames.send(Frame::Reply { id, headers: Headers::new() }).await;
                let output = Output { id, frames: frames.clone() };
                if opened.send(Stream { headers, input, output }).await.is_err() {
                    return Ok(());
                }
            }
            Frame::Data { id, data, last } => {
                if let Some(input) = inputs.get(&id)
                    && !data.is_empty()
                {
                    // A stream that nobody reads any more: its data goes nowhere.
                    let _ = input.send(data).await;
                }
                if last {
                    inputs.remove(&id);
                }
            }
            Frame::Reset { id } => drop(inputs.remove(&id)),
            Frame::Ping { id } => drop(frames.send(Frame::Ping { id }).await),
            Frame::Reply { .. } | Frame::GoAway | Frame::Other => {}
        }
    }
    Ok(())
}
