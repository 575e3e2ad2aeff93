//! Over the wire: many watchers and one writer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use tokio::task::LocalSet;

use crate::connection::Connector;
use crate::figures::{Figure, Latencies};
use crate::pods::request;
use crate::process::Process;
use crate::wire::{PODS, create};
use crate::{Options, connection, http2};

const WATCHERS: usize = 100;
const WRITES: usize = 2_000;

/// A watch that is being answered, over either protocol.
enum Watch {
    Http1(Box<connection::Watch>),
    Http2(http2::Watch),
}

impl Watch {
    /// Reads on, and counts the events that have ended.
    async fn events(&mut self) -> usize {
        match self {
            Self::Http1(watch) => watch.events().await,
            Self::Http2(watch) => watch.events().await,
        }
    }
}

fn path() -> String {
    format!("{PODS}?watch=true&resourceVersion=0")
}

/// Each watcher on a connection of its own, of HTTP/1.1.
pub(crate) async fn http1(options: &Options) {
    let server = Process::start(options.threads);
    let connector = Connector::new(&server, b"http/1.1");
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        let connection = connector.open().await;
        watches.push(Watch::Http1(connection.watch(&request("GET", &path(), "", b"")).await.into()));
    }
    measure("server/wire/watch-100", &server, watches).await;
}

/// All on so many connections of HTTP/2.
pub(crate) async fn http2(options: &Options) {
    let server = Process::start(options.threads);
    let connector = Connector::new(&server, b"h2");
    let mut senders = Vec::new();
    for _ in 0..options.watch_connections {
        senders.push(http2::open(&connector).await);
    }
    let mut watches = Vec::new();
    for number in 0..WATCHERS {
        let sender = &mut senders[number % options.watch_connections];
        watches.push(Watch::Http2(http2::Watch::open(sender, &path()).await));
    }
    measure("server/wire-h2/watch-100", &server, watches).await;
}

/// One writer flat out, on a connection of its own.
async fn measure(name: &str, server: &Process, watches: Vec<Watch>) {
    let local = LocalSet::new();
    let mut writer = Connector::new(server, b"http/1.1").open().await;
    // When each write was answered.
    let answered: Rc<RefCell<Vec<Instant>>> = Rc::default();
    let requests: Vec<Vec<u8>> = (0..WRITES).map(create).collect();
    let (cpu, start) = (server.cpu(), Instant::now());
    let mut watchers = Vec::new();
    for mut watch in watches {
        watchers.push(local.spawn_local(async move {
            let mut seen = Vec::with_capacity(WRITES);
            while seen.len() < WRITES {
                let events = watch.events().await;
                seen.resize(seen.len() + events, Instant::now());
            }
            seen
        }));
    }
    let writing = Rc::clone(&answered);
    let writer = local.spawn_local(async move {
        for request in requests {
            assert_eq!(writer.exchange(&request).await.code, 201);
            writing.borrow_mut().push(Instant::now());
        }
        start.elapsed()
    });
    let mut latencies = Latencies::default();
    let wrote = local
        .run_until(async {
            let wrote = writer.await.expect("the writer goes on");
            for watcher in watchers {
                let seen = watcher.await.expect("it saw all");
                for (seen, answered) in seen.iter().zip(answered.borrow().iter()) {
                    // An event may well come before the answer.
                    latencies.add(seen.saturating_duration_since(*answered));
                }
            }
            wrote
        })
        .await;
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    let (p50, p99) = latencies.percentiles();
    let events = (WRITES * WATCHERS) as f64;
    Figure::new(name, events / took.as_secs_f64(), "events/s")
        .with("writes_per_second", WRITES as f64 / wrote.as_secs_f64())
        .with("answer_to_event_p50_ms", p50)
        .with("answer_to_event_p99_ms", p99)
        .with("server_cpu_us", cpu.as_secs_f64() * 1e6 / events)
        .print();
}
