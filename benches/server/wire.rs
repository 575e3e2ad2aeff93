//! Over the wire, HTTP/1.1: many connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::Options;
use crate::connection::{Connection, Connector};
use crate::figures::{Figure, Latencies};
use crate::pods::{self, request};
use crate::process::Process;

pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

pub(crate) fn name(number: usize) -> String {
    format!("pod-{number:06}")
}

pub(crate) fn create(number: usize) -> Vec<u8> {
    request("POST", PODS, JSON, pods::usual(&name(number)).to_string().as_bytes())
}

pub(crate) fn report(name: &str, count: usize, took: Duration, cpu: Duration, latencies: &mut Latencies) {
    let (p50, p99) = latencies.percentiles();
    Figure::new(name, count as f64 / took.as_secs_f64(), "ops/s")
        .with("p50_ms", p50)
        .with("p99_ms", p99)
        .with("server_cpu_us", cpu.as_secs_f64() * 1e6 / count as f64)
        .print();
}

pub(crate) async fn run(options: &Options) {
    let server = Process::start(options.threads);
    Figure::new("server/wire/memory-idle", server.memory(), "MiB").print();
    let connector = Connector::new(&server, b"http/1.1");
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        connections.push(connector.open().await);
    }
    let all = |make: &dyn Fn(usize) -> Vec<u8>| (0..options.pods).map(make).collect::<Vec<_>>();
    let one = |number: usize| format!("{PODS}/{}", name(number));
    let label = br#"{"metadata":{"labels":{"patched":"yes"}}}"#;

    connections = load("create", &server, connections, all(&create), 201).await;
    Figure::new("server/wire/memory-created", server.memory(), "MiB").with("pods", options.pods as f64).print();
    connections = load("get", &server, connections, all(&|n| request("GET", &one(n), "", b"")), 200).await;
    let patch = |n: usize| request("PATCH", &one(n), "application/merge-patch+json", label);
    connections = load("merge-patch", &server, connections, all(&patch), 200).await;
    lists(&server, &mut connections[0], "list", PODS, options.pods).await;
    Figure::new("server/wire/memory", server.memory(), "MiB").with("pods", options.pods as f64).print();
    connections = load("delete", &server, connections, all(&|n| request("DELETE", &one(n), "", b"")), 200).await;

    // Small objects: of those, what comes with each counts.
    let map = |n: usize| request("POST", MAPS, JSON, pods::map(&name(n)).to_string().as_bytes());
    connections = load("create-small", &server, connections, all(&map), 201).await;
    lists(&server, &mut connections[0], "list-small", MAPS, options.pods).await;
}

/// Sends every request once, each connection the next one as soon as it has its answer.
async fn load(
    name: &str,
    server: &Process,
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
    expected: u16,
) -> Vec<Connection> {
    let count = requests.len();
    let waiting = Rc::new(RefCell::new(requests.into_iter()));
    let local = LocalSet::new();
    let (cpu, start) = (server.cpu(), Instant::now());
    let mut workers = Vec::new();
    for mut connection in connections {
        let waiting = Rc::clone(&waiting);
        workers.push(local.spawn_local(async move {
            let mut latencies = Latencies::default();
            loop {
                let Some(request) = waiting.borrow_mut().next() else { return (connection, latencies) };
                let sent = Instant::now();
                let answer = connection.exchange(&request).await;
                latencies.add(sent.elapsed());
                assert_eq!(answer.code, expected, "{}", String::from_utf8_lossy(&answer.start));
            }
        }));
    }
    let (mut connections, mut latencies) = (Vec::new(), Latencies::default());
    local
        .run_until(async {
            for worker in workers {
                let (connection, own) = worker.await.expect("no request failed");
                connections.push(connection);
                latencies.extend(own);
            }
        })
        .await;
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    report(&format!("server/wire/{name}"), count, took, cpu, &mut latencies);
    connections
}

/// Lists everything: in one answer, and in twenty pages.
async fn lists(server: &Process, connection: &mut Connection, what: &str, path: &str, count: usize) {
    for (name, limit) in [("whole", None), ("20-pages", Some(count.div_ceil(20)))] {
        // The first list may have to print what nobody has asked for yet; the best of the others is how fast it is.
        for round in ["first", "again"] {
            let mut best = f64::MAX;
            let (mut cpu, mut bytes) = (Duration::ZERO, 0);
            for _ in 0..if round == "first" { 1 } else { 5 } {
                let (before, start) = (server.cpu(), Instant::now());
                bytes = list(connection, path, limit).await;
                let took = start.elapsed().as_secs_f64() * 1000.0;
                if took < best {
                    (best, cpu) = (took, server.cpu() - before);
                }
            }
            Figure::new(&format!("server/wire/{what}-{name}-{round}"), best, "ms")
                .with("bytes", bytes as f64)
                .with("server_cpu_ms", cpu.as_secs_f64() * 1000.0)
                .print();
        }
    }
}

async fn list(connection: &mut Connection, all: &str, limit: Option<usize>) -> usize {
    let mut bytes = 0;
    let mut token = String::new();
    loop {
        let path = match limit {
            None => all.to_owned(),
            Some(limit) if token.is_empty() => format!("{all}?limit={limit}"),
            Some(limit) => format!("{all}?limit={limit}&continue={token}"),
        };
        let answer = connection.exchange(&request("GET", &path, "", b"")).await;
        assert_eq!(answer.code, 200);
        bytes += answer.length;
        let start = String::from_utf8_lossy(&answer.start);
        let found = start.split_once(r#""continue":""#).and_then(|(_, rest)| rest.split_once('"'));
        match found.filter(|_| limit.is_some()) {
            Some((next, _)) if !next.is_empty() => token = next.to_owned(),
            _ => return bytes,
        }
    }
}
