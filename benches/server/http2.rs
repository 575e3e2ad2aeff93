//! Over the wire, HTTP/2: one connection with as many requests open as HTTP/1.1 has connections, as Go's clients do it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::LocalSet;

use crate::Options;
use crate::connection::Connector;
use crate::figures::Latencies;
use crate::pods;
use crate::process::Process;
use crate::wire::{name, report};

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// A connection of HTTP/2.
pub(crate) async fn open(connector: &Connector) -> Sender {
    let stream = TokioIo::new(connector.stream().await);
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// A watch that is being answered.
pub(crate) struct Watch(Incoming);

impl Watch {
    /// Watches pods.
    pub(crate) async fn open(sender: &mut Sender, path: &str) -> Self {
        let request = Request::get(format!("https://localhost{path}")).header("accept", "application/json");
        let answer = sender.send_request(request.body(Full::default()).expect("a request")).await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        Self(answer.into_body())
    }

    /// Reads on, and counts the events that have ended.
    pub(crate) async fn events(&mut self) -> usize {
        let frame = self.0.frame().await.expect("the watch goes on").expect("the connection holds");
        frame.data_ref().map_or(0, |data| memchr::memchr_iter(b'\n', data).count())
    }
}

pub(crate) async fn run(options: &Options) {
    let server = Process::start(options.threads);
    let sender = open(&Connector::new(&server, b"h2")).await;

    let pods = "https://localhost/api/v1/namespaces/default/pods";
    let one = |number: usize| format!("{pods}/{}", name(number));
    let request = |method: Method, path: &str, content_type: &str, body: Bytes| {
        let request = Request::builder().method(method).uri(path).header("accept", "application/json");
        let request = if body.is_empty() { request } else { request.header("content-type", content_type) };
        request.body(Full::new(body)).expect("a request")
    };
    let create = |n: usize| {
        request(Method::POST, pods, "application/json", pods::usual(&name(n)).to_string().into_bytes().into())
    };
    let label = Bytes::from_static(br#"{"metadata":{"labels":{"patched":"yes"}}}"#);
    let patch = |n: usize| request(Method::PATCH, &one(n), "application/merge-patch+json", label.clone());
    let bare = |method: Method| move |n: usize| request(method.clone(), &one(n), "", Bytes::new());
    let steps: [(&str, &dyn Fn(usize) -> Request<Full<Bytes>>); 4] =
        [("create", &create), ("get", &bare(Method::GET)), ("merge-patch", &patch), ("delete", &bare(Method::DELETE))];
    for (verb, make) in steps {
        load(verb, &server, &sender, options.connections, (0..options.pods).map(make).collect()).await;
    }
}

async fn load(verb: &str, server: &Process, sender: &Sender, streams: usize, requests: Vec<Request<Full<Bytes>>>) {
    let count = requests.len();
    let waiting = Rc::new(RefCell::new(requests.into_iter()));
    let local = LocalSet::new();
    let (cpu, start) = (server.cpu(), Instant::now());
    let mut workers = Vec::new();
    for _ in 0..streams {
        let (waiting, mut sender) = (Rc::clone(&waiting), sender.clone());
        workers.push(local.spawn_local(async move {
            let mut latencies = Latencies::default();
            loop {
                let Some(request) = waiting.borrow_mut().next() else { return latencies };
                let sent = Instant::now();
                let answer = sender.send_request(request).await.expect("an answer");
                assert!(answer.status().is_success(), "{}", answer.status());
                answer.into_body().collect().await.expect("a body");
                latencies.add(sent.elapsed());
            }
        }));
    }
    let mut latencies = Latencies::default();
    local
        .run_until(async {
            for worker in workers {
                latencies.extend(worker.await.expect("no request failed"));
            }
        })
        .await;
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    report(&format!("server/wire-h2/{verb}"), count, took, cpu, &mut latencies);
}
