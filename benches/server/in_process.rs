//! In process, on one core: a client that calls the server directly.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::decode;
use orchestrion::api::{Consistency, DeleteOptions, Kind, ListOptions, Object, Patch, WatchOptions};
use orchestrion::client::{Api, Client, Informer};
use orchestrion::clock::Clock;
use orchestrion::random::Random;
use orchestrion::server::Server;
use orchestrion::store::MemoryStore;
use serde_json::{Value, json};

use crate::Options;
use crate::figures::{Figure, Moment};
use crate::pods;

const NODES: usize = 5_000;
const WATCHERS: usize = 100;

async fn client() -> Client {
    let server = Server::builder(Arc::new(MemoryStore::default())).start().await.expect("an empty store");
    Client::new(Arc::new(server), Clock::system(), Random::from_entropy())
}

fn name(number: usize) -> String {
    format!("pod-{number:06}")
}

pub(crate) async fn run(options: &Options) {
    for (size, pod) in [("small", pods::small as fn(&str) -> Value), ("usual", pods::usual)] {
        verbs(size, pod, options.pods).await;
    }
}

/// What one pod costs to read, copy and print.
pub(crate) fn codec() {
    const TIMES: usize = 10_000;
    let kind = Kind::of::<Pod>();
    let json = serde_json::to_vec(&pods::usual("pod")).expect("JSON");
    let start = Moment::now();
    let mut last = None;
    for _ in 0..TIMES {
        last = Some(decode::object(&kind, &json).expect("a pod").object);
    }
    Figure::rate("server/local/decode-usual", TIMES, start, "ops/s").with("bytes", json.len() as f64).print();
    let draft = last.expect("there was one");
    let start = Moment::now();
    for _ in 0..TIMES {
        std::hint::black_box(draft.body().copy());
    }
    Figure::rate("server/local/copy-usual", TIMES, start, "ops/s").print();
    let start = Moment::now();
    for _ in 0..TIMES {
        std::hint::black_box(draft.body().to_json().expect("JSON"));
    }
    Figure::rate("server/local/encode-usual", TIMES, start, "ops/s").print();
}

/// The verbs, one after the other.
async fn verbs(size: &str, pod: fn(&str) -> Value, count: usize) {
    let client = client().await;
    let api: Api<Pod> = client.api("default");
    let print = |verb: &str, start: Moment| {
        Figure::rate(&format!("server/local/{verb}-{size}"), count, start, "ops/s").print();
    };

    let drafts: Vec<Pod> = (0..count).map(|number| pods::typed(&pod(&name(number)))).collect();
    let start = Moment::now();
    for draft in drafts {
        api.create(draft).await.expect("a free name");
    }
    print("create", start);

    let names: Vec<String> = (0..count).map(name).collect();
    let start = Moment::now();
    for name in &names {
        api.get(name).await.expect("it exists");
    }
    print("get", start);

    let mut objects = api.list(&ListOptions::default()).await.expect("a list").items;
    assert_eq!(objects.len(), count);
    for object in &mut objects {
        Arc::make_mut(object).metadata.labels.get_or_insert_default().insert("changed".to_owned(), "yes".to_owned());
    }
    let start = Moment::now();
    for object in objects {
        api.update(object).await.expect("nobody else writes");
    }
    print("update", start);

    let start = Moment::now();
    for name in &names {
        api.patch(name, Patch::Merge(json!({"metadata": {"labels": {"patched": "yes"}}}))).await.expect("it exists");
    }
    print("merge-patch", start);

    const LISTS: usize = 10;
    let start = Moment::now();
    for _ in 0..LISTS {
        api.list(&ListOptions::default()).await.expect("a list");
    }
    Figure::rate(&format!("server/local/list-{size}"), LISTS * count, start, "objects/s").print();

    let informer = Informer::start(api.clone());
    informer.synced().await;
    let start = Moment::now();
    for name in &names {
        assert!(informer.get("default", name).is_some());
    }
    print("informer-get", start);
    drop(informer);

    let start = Moment::now();
    for name in &names {
        api.delete_with(name, &DeleteOptions::default()).await.expect("it exists");
    }
    print("delete", start);
}

/// A hundred watchers of one namespace.
pub(crate) async fn fan_out(count: usize) {
    let client = client().await;
    let api: Api<Pod> = client.api("default");
    let from = Consistency::Exact(api.list(&ListOptions::default()).await.expect("a list").revision);
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let events = api.watch(&WatchOptions { from, ..WatchOptions::default() }).await.expect("a watch");
        watchers.push(tokio::spawn(events.take(count).for_each(|event| async { drop(event.expect("an event")) })));
    }
    let drafts: Vec<Pod> = (0..count).map(|number| pods::typed(&pods::small(&name(number)))).collect();
    let start = Moment::now();
    for draft in drafts {
        api.create(draft).await.expect("a free name");
    }
    for watcher in watchers {
        watcher.await.expect("it saw all");
    }
    Figure::rate("server/local/fan-out-100", count * WATCHERS, start, "events/s").print();
}

/// Writes of pods that are on nodes: with nobody watching, and with a watch per node.
pub(crate) async fn node_watches(count: usize) {
    let mut each = Vec::new();
    for watched in [false, true] {
        let client = client().await;
        let api: Api<Pod> = client.api("default");
        let from = Consistency::Exact(api.list(&ListOptions::default()).await.expect("a list").revision);
        let mut watchers = Vec::new();
        for node in (0..NODES).filter(|_| watched) {
            let fields = format!("spec.nodeName=node-{node}").parse().expect("a selector");
            let options = WatchOptions { from, fields, ..WatchOptions::default() };
            let events = client.all::<Pod>().watch(&options).await.expect("a watch");
            let events = events.take(count / NODES);
            watchers.push(tokio::spawn(events.for_each(|event| async { drop(event.expect("an event")) })));
        }
        tokio::task::yield_now().await;
        let drafts = (0..count).map(|number| {
            let mut pod = pods::typed(&pods::small(&name(number)));
            pod.spec.get_or_insert_default().node_name = Some(format!("node-{}", number % NODES));
            pod
        });
        let drafts: Vec<Pod> = drafts.collect();
        let start = Moment::now();
        for draft in drafts {
            api.create(draft).await.expect("a free name");
            // As somebody who waits for an answer does: who was woken runs.
            tokio::task::yield_now().await;
        }
        for watcher in watchers {
            watcher.await.expect("it saw all");
        }
        let name = if watched { "server/local/create-5000-node-watches" } else { "server/local/create-no-watch" };
        each.push(start.elapsed().1.as_secs_f64() * 1e6 / count as f64);
        Figure::rate(name, count, start, "ops/s").print();
    }
    Figure::new("server/local/node-watches-cost", each[1] - each[0], "us").print();
}

/// One write, one event and one page, with more and more objects around.
pub(crate) async fn growth() {
    const TIMES: usize = 1_000;
    const PAGE: usize = 100;
    for stored in [1_000, 10_000, 100_000] {
        let client = client().await;
        let api: Api<Pod> = client.api("default");
        for number in 0..stored {
            api.create(pods::typed(&pods::small(&name(number)))).await.expect("a free name");
        }
        let print = |what: &str, took: Duration| {
            let each = took.as_secs_f64() * 1e6 / TIMES as f64;
            Figure::new(&format!("server/growth/{what}"), each, "us").with("objects", stored as f64).print();
        };
        let mut objects: Vec<Object> = Vec::new();
        let mut options = ListOptions { limit: Some(PAGE), ..ListOptions::default() };
        let start = Moment::now();
        for _ in 0..TIMES {
            let list = api.dynamic().list(&options).await.expect("a page");
            if objects.len() < TIMES {
                objects.extend(list.items);
            }
            options.continue_token = list.continue_token;
        }
        print("page-of-100", start.elapsed().1);

        let from = Consistency::Exact(api.list(&options_for_one()).await.expect("a list").revision);
        let label = |object: &Object| {
            let mut pod = Pod::clone(&object.typed::<Pod>().expect("a pod"));
            pod.metadata.labels.get_or_insert_default().insert("changed".to_owned(), "yes".to_owned());
            pod
        };
        let changed: Vec<Pod> = objects.iter().take(TIMES).map(label).collect();
        let start = Moment::now();
        for pod in changed {
            api.update(pod).await.expect("nobody else writes");
        }
        print("update", start.elapsed().1);

        let mut events = api.watch(&WatchOptions { from, ..WatchOptions::default() }).await.expect("a watch");
        let mut read = async |count: usize| {
            for _ in 0..count {
                events.next().await.expect("the watch goes on").expect("an event");
            }
        };
        let start = Moment::now();
        read(TIMES).await;
        print("event-long-after", start.elapsed().1);

        let mut took = Duration::ZERO;
        for some in objects.chunks(PAGE) {
            for object in some {
                let again = |pod: &mut Pod| {
                    pod.metadata.labels.get_or_insert_default().insert("changed".to_owned(), "again".to_owned());
                };
                api.modify(object.name(), again).await.expect("a pod");
            }
            let start = Moment::now();
            read(some.len()).await;
            took += start.elapsed().1;
        }
        print("event", took);
    }
}

fn options_for_one() -> ListOptions {
    ListOptions { limit: Some(1), ..ListOptions::default() }
}
