//! What a container has written.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::api::{LogOptions, Output};
use crate::clock::Clock;
use crate::runtime::RuntimeError;

/// How much of a log is kept: what a kubelet keeps of one file before it rotates.
const KEPT_BYTES: usize = 10 << 20;

/// A piece of a log: a line with its end, or the beginning of one.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) at: Timestamp,
    pub(super) output: Output,
    pub(super) text: Bytes,
}

impl Piece {
    fn ends_line(&self) -> bool {
        self.text.ends_with(b"\n")
    }
}

#[derive(Debug, Default)]
struct Pieces {
    /// How many were dropped before the first that is kept.
    dropped: usize,
    kept: VecDeque<Piece>,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    pieces: Mutex<Pieces>,
    changed: Notify,
}

/// A container's log. Clones are the same log.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Shared>);

impl Log {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared { clock, pieces: Mutex::default(), changed: Notify::new() }))
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds text; whole lines become pieces of their own.
    pub(super) fn write(&self, output: Output, text: &[u8]) {
        let at = self.0.clock.now();
        let mut pieces = self.pieces();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            pieces.bytes += line.len();
            pieces.kept.push_back(Piece { at, output, text: Bytes::copy_from_slice(line) });
        }
        while pieces.bytes > KEPT_BYTES {
            let Some(oldest) = pieces.kept.pop_front() else { break };
            pieces.bytes -= oldest.text.len();
            pieces.dropped += 1;
        }
        drop(pieces);
        self.0.changed.notify_waiters();
    }

    /// Ends the log: followers get the rest, then the end.
    pub(super) fn close(&self) {
        self.pieces().closed = true;
        self.0.changed.notify_waiters();
    }

    /// The size of what is kept, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.pieces().bytes as u64
    }

    /// Where the next piece will be.
    pub(super) fn end(&self) -> usize {
        let pieces = self.pieces();
        pieces.dropped + pieces.kept.len()
    }

    /// The pieces from `position` on, then (where `follow`) those to come, until the log is closed.
    pub(super) fn stream(&self, position: usize, follow: bool) -> BoxStream<'static, Piece> {
        stream::unfold((self.clone(), position), move |(log, position)| async move {
            let (piece, position) = loop {
                // From before the look: what is written after that is told.
                let changed = log.0.changed.notified();
                let (next, closed) = {
                    let pieces = log.pieces();
                    let index = position.max(pieces.dropped);
                    (pieces.kept.get(index - pieces.dropped).cloned().map(|piece| (piece, index + 1)), pieces.closed)
                };
                match next {
                    Some(next) => break next,
                    None if closed || !follow => return None,
                    None => changed.await,
                }
            };
            Some((piece, (log, position)))
        })
        .boxed()
    }

    /// Where the last `lines` lines begin.
    fn tail(&self, lines: u64) -> usize {
        let pieces = self.pieces();
        let mut position = pieces.dropped + pieces.kept.len();
        let mut seen = 0;
        for (index, piece) in pieces.kept.iter().enumerate().rev() {
            let ends_earlier_line = piece.ends_line() && index + 1 < pieces.kept.len();
            seen += u64::from(ends_earlier_line || index + 1 == pieces.kept.len());
            if seen > lines {
                break;
            }
            position = pieces.dropped + index;
        }
        position
    }

    /// The log as options ask for it.
    pub(super) fn read(&self, options: &LogOptions) -> BoxStream<'static, Result<Bytes, RuntimeError>> {
        let start = options.tail_lines.map_or(0, |lines| self.tail(lines));
        let since = match options.since {
            Some(age) => self.0.clock.now().checked_sub(age).ok(),
            None => options.since_time,
        };
        let (timestamps, mut begins_line) = (options.timestamps, true);
        let mut left = options.limit_bytes.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        self.stream(start, options.follow)
            .filter(move |piece| std::future::ready(since.is_none_or(|since| piece.at >= since)))
            .map(move |piece| {
                let mut text = BytesMut::new();
                if timestamps && begins_line {
                    let mut stamp = String::new();
                    let _ = write!(stamp, "{:.9} ", piece.at); // writing to a string cannot fail
                    text.extend_from_slice(stamp.as_bytes());
                }
                begins_line = piece.ends_line();
                text.extend_from_slice(&piece.text);
                text.freeze()
            })
            .scan((), move |(), mut text: Bytes| {
                let enough = left == 0;
                text.truncate(left);
                left -= text.len();
                std::future::ready((!enough).then_some(Ok(text)))
            })
            .boxed()
    }

    /// The last part of the log as text, at most so many lines and bytes.
    pub(super) fn last(&self, lines: u64, bytes: usize) -> String {
        let start = self.tail(lines);
        let pieces = self.pieces();
        let text: Vec<u8> = pieces
            .kept
            .iter()
            .skip(start.saturating_sub(pieces.dropped))
            .flat_map(|piece| piece.text.iter().copied())
            .collect();
        String::from_utf8_lossy(&text[text.len().saturating_sub(bytes)..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let log = Log::new(Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        log.write(Output::Stdout, b"one\ntwo\n");
        log.write(Output::Stderr, b"thr");
        log.write(Output::Stdout, b"ee\n");
        log
    }

    async fn text(log: &Log, options: LogOptions) -> String {
        let pieces: Vec<_> =
            log.read(&options).map(|piece| String::from_utf8(piece.unwrap().into()).unwrap()).collect().await;
        pieces.concat()
    }

    #[tokio::test(start_paused = true)]
    async fn logs_are_cut_by_lines_bytes_and_age() {
        let log = log();
        assert_eq!(text(&log, LogOptions { tail_lines: Some(2), ..LogOptions::default() }).await, "two\nthree\n");
        assert_eq!(text(&log, LogOptions { tail_lines: Some(0), ..LogOptions::default() }).await, "");
        assert_eq!(text(&log, LogOptions { limit_bytes: Some(5), ..LogOptions::default() }).await, "one\nt");
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        log.write(Output::Stdout, b"late\n");
        let since = Some(std::time::Duration::from_secs(30));
        assert_eq!(text(&log, LogOptions { since, ..LogOptions::default() }).await, "late\n");
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_carries_one_timestamp() {
        let text = text(&log(), LogOptions { timestamps: true, ..LogOptions::default() }).await;
        assert_eq!(text.lines().last().unwrap(), "2026-01-01T00:00:00.000000000Z three");
    }

    #[tokio::test(start_paused = true)]
    async fn followers_see_what_comes_and_then_the_end() {
        let log = log();
        let mut stream = log.read(&LogOptions { follow: true, tail_lines: Some(0), ..LogOptions::default() });
        log.write(Output::Stdout, b"more\n");
        assert_eq!(stream.next().await.unwrap().unwrap(), "more\n");
        log.close();
        assert!(stream.next().await.is_none());
    }
}
