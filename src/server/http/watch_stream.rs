//! Watches on the wire: one JSON document per event and line.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use http::{Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::body::{self, Data, JSON, Pieced};
use super::closing::{Closing, until};
use super::printing::Printer;
use crate::api::{ApiError, KindRef, Printed, WatchEvent, WatchStream};
use crate::clock::Clock;

/// The annotation of the bookmark that ends the initial events.
pub(crate) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How many events are written together at most.
const TOGETHER: usize = 64;

/// Where a watch has a connection of its own, an event that comes so long after the last one was written is written at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Any other waits for so long, and is written with those that come meanwhile. Writing costs many times what an event
/// costs, so a watcher of much traffic is served several events for the price of one; and who causes the traffic is
/// answered first, which makes for more of them.
const BEAT: Duration = Duration::from_millis(1);

/// How a watch is answered.
pub(crate) struct Answer {
    pub(crate) kind: KindRef,
    pub(crate) printer: Printer,
    pub(crate) clock: Clock,
    /// Whether it has a connection of its own, so that a system call sends what is its own and nothing else.
    pub(crate) alone: bool,
}

impl Answer {
    /// The answer that a watch is. An error after the beginning is an `ERROR` event, and ends it.
    pub(crate) fn of(self, events: WatchStream, closing: Option<&Closing>) -> Response<Pieced> {
        let body = match self.alone {
            true => body::pieces(until(self.beats(events), closing)),
            false => body::pieces(until(self.lines(events), closing)),
        };
        body::answer(StatusCode::OK, JSON, body)
    }

    /// The answer to a watch that fails at once in a way that clients look for in the stream.
    pub(crate) fn failed(self, error: ApiError) -> Response<Pieced> {
        self.of(stream::iter([Err(error)]).boxed(), None)
    }

    /// The lines of all events that are there.
    fn lines(self, events: WatchStream) -> impl Stream<Item = Result<Data, ApiError>> + Send + Unpin + 'static {
        let (mut events, mut printing) = (events.fuse(), Printing { answer: self, columns_sent: false });
        stream::poll_fn(move |context| {
            let (mut lines, mut printed) = (Vec::new(), 0);
            while printed < TOGETHER
                && let Poll::Ready(Some(event)) = events.poll_next_unpin(context)
            {
                printing.print(&mut lines, event);
                printed += 1;
            }
            match printed {
                0 if events.is_done() => Poll::Ready(None),
                0 => Poll::Pending,
                _ => Poll::Ready(Some(Ok(lines.into()))),
            }
        })
    }

    /// The lines of the events of a beat.
    fn beats(self, events: WatchStream) -> impl Stream<Item = Result<Data, ApiError>> + Send + Unpin + 'static {
        let batches = batches(events, self.clock);
        let mut printing = Printing { answer: self, columns_sent: false };
        let lines = move |events: Vec<_>| {
            let mut lines = Vec::new();
            events.into_iter().for_each(|event| printing.print(&mut lines, event));
            Ok(lines.into())
        };
        batches.map(lines).boxed()
    }
}

/// The events, together as far as they come within a beat.
fn batches<E: Send + 'static>(
    events: BoxStream<'static, E>,
    clock: Clock,
) -> impl Stream<Item = Vec<E>> + Send + 'static {
    stream::unfold((events.fuse(), None::<Duration>), move |(mut events, written)| async move {
        let mut batch = vec![events.next().await?];
        if written.is_some_and(|written| clock.elapsed().saturating_sub(written) < PAUSE) {
            clock.sleep(BEAT).await;
        }
        while batch.len() < TOGETHER
            && let Some(Some(event)) = events.next().now_or_never()
        {
            batch.push(event);
        }
        // Where more is waiting already, it need not wait for a beat.
        let written = (batch.len() < TOGETHER).then(|| clock.elapsed());
        Some((batch, (events, written)))
    })
}

/// A watch that is being printed.
struct Printing {
    answer: Answer,
    columns_sent: bool,
}

impl Printing {
    /// Appends the line of an event.
    fn print(&mut self, lines: &mut Vec<Bytes>, event: Result<WatchEvent, ApiError>) {
        let (begin, object) = match event.and_then(|event| self.printed(&event)) {
            Ok(printed) => printed,
            Err(error) => {
                // A `Status` always serialises.
                let status = serde_json::to_vec(error.status()).unwrap_or_default();
                (ERROR, Bytes::from(status).into())
            }
        };
        // Piece by piece: who watches the same shares what the object reads as.
        let [head, tail] = object.pieces();
        lines.extend([Bytes::from_static(begin.as_bytes()), head, tail, Bytes::from_static(END.as_bytes())]);
    }

    fn printed(&mut self, event: &WatchEvent) -> Result<(&'static str, Printed), ApiError> {
        let (begin, object) = match event {
            WatchEvent::Added(object) => (ADDED, object),
            WatchEvent::Modified(object) => (MODIFIED, object),
            WatchEvent::Deleted(object) => (DELETED, object),
            WatchEvent::Bookmark { revision, initial_events_end } => {
                let mut meta = ObjectMeta { resource_version: Some(revision.to_string()), ..ObjectMeta::default() };
                if *initial_events_end {
                    let annotation = (INITIAL_EVENTS_END.to_owned(), "true".to_owned());
                    meta.annotations = Some([annotation].into());
                }
                return Ok((BOOKMARK, self.answer.printer.bookmark(&self.answer.kind, &meta)?.into()));
            }
        };
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        Ok((begin, self.answer.printer.at(&self.answer.clock).printed(object, columns)?))
    }
}

// What the lines begin with, and all end with.
const ADDED: &str = r#"{"type":"ADDED","object":"#;
const MODIFIED: &str = r#"{"type":"MODIFIED","object":"#;
const DELETED: &str = r#"{"type":"DELETED","object":"#;
const BOOKMARK: &str = r#"{"type":"BOOKMARK","object":"#;
const ERROR: &str = r#"{"type":"ERROR","object":"#;
const END: &str = "}\n";

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;
    use crate::api::{Kind, Revision};
    use crate::server::http::negotiate::{Accepted, Form, Media};
    use crate::server::http::query::Query;

    #[tokio::test(start_paused = true)]
    async fn events_are_written_at_once_after_a_pause_and_together_in_traffic() {
        let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let (sender, events) = mpsc::unbounded();
        let mut batches = Box::pin(batches(events.boxed(), clock));
        let send = |numbers: std::ops::Range<usize>| numbers.for_each(|n| sender.unbounded_send(n).unwrap());
        send(0..2);
        assert_eq!(batches.next().now_or_never().flatten(), Some(vec![0, 1]), "the first at once");
        send(2..3);
        assert_eq!(batches.next().now_or_never(), None, "what follows waits");
        send(3..5);
        let before = clock.elapsed();
        assert_eq!(batches.next().await, Some(vec![2, 3, 4]), "for what comes meanwhile");
        assert_eq!(clock.elapsed() - before, BEAT);
        clock.sleep(PAUSE).await;
        send(5..TOGETHER + 6);
        let full: Vec<usize> = (5..TOGETHER + 5).collect();
        assert_eq!(batches.next().now_or_never().flatten(), Some(full), "so many at most");
        assert_eq!(batches.next().now_or_never().flatten(), Some(vec![TOGETHER + 5]), "the rest does not wait");
        drop(sender);
        assert_eq!(batches.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_shares_a_connection_waits_for_nothing() {
        let kind = Kind::of::<ConfigMap>();
        let (sender, events) = mpsc::unbounded();
        let accepted = Accepted { media: Media::Json, form: Form::Whole };
        let printer = Printer::of(accepted, &Query::default(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let mut lines = Answer { kind, printer, clock, alone: false }.lines(events.boxed());
        for revision in 1..4 {
            let bookmark = WatchEvent::Bookmark { revision: Revision::from(revision), initial_events_end: false };
            sender.unbounded_send(Ok(bookmark)).unwrap();
            let line = Bytes::from(lines.next().now_or_never().flatten().expect("at once").unwrap());
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(line["object"]["metadata"]["resourceVersion"], revision.to_string());
        }
    }
}
