//! What the memory store does per second: `cargo bench --bench store`. One JSON object a line.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orchestrion::api::{ApiType, Draft, GroupResource, Key, Kind, Object, Strategy};
use orchestrion::store::{MemoryStore, Range, Scope, Store, StoreEvent, Write};

const OBJECTS: usize = 50_000;
const WATCHERS: usize = 5_000;
const FANOUT: usize = 100;

#[derive(Debug)]
struct Plain<T>(std::marker::PhantomData<T>);

impl<T: ApiType> Strategy for Plain<T> {
    type Object = T;
}

fn report(name: &str, count: usize, since: Instant, unit: &str) {
    let value = count as f64 / since.elapsed().as_secs_f64();
    println!(r#"{{"name":"store/{name}","value":{value:.0},"unit":"{unit}"}}"#);
}

fn pod(kind: &Arc<Kind>, number: usize, node: usize) -> Draft {
    let mut pod = Pod::default();
    pod.metadata.namespace = Some(format!("ns-{}", number % 50));
    pod.metadata.name = Some(format!("pod-{number}"));
    pod.spec = Some(PodSpec { node_name: Some(format!("node-{node}")), ..PodSpec::default() });
    Draft::of(Arc::clone(kind), Arc::new(pod))
}

async fn changes(mut watch: orchestrion::store::StoreWatch, count: usize) {
    let mut seen = 0;
    while seen < count {
        match watch.next().await {
            Some(Ok(StoreEvent::Change(_))) => seen += 1,
            Some(Ok(StoreEvent::Progress(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn update_all(store: &MemoryStore, kind: &Arc<Kind>, objects: &mut [Object]) {
    for (number, object) in objects.iter_mut().enumerate() {
        let write = Write::Update { object: pod(kind, number, number % WATCHERS), expected: object.revision() };
        *object = store.commit(write).await.expect("nobody else writes");
    }
}

#[tokio::main]
async fn main() {
    let kind = Arc::new(Kind::builtin(Plain::<Pod>(std::marker::PhantomData)));
    let store = MemoryStore::builder().history(2 * OBJECTS).build();
    let pods = GroupResource::new("", "pods");

    let start = Instant::now();
    let mut objects = Vec::with_capacity(OBJECTS);
    for number in 0..OBJECTS {
        objects.push(store.commit(Write::Create(pod(&kind, number, number % WATCHERS))).await.expect("free"));
    }
    report("create", OBJECTS, start, "ops/s");

    let keys: Vec<Key> = objects.iter().map(Object::key).collect();
    let start = Instant::now();
    for key in &keys {
        assert!(store.get(key).await.expect("in memory").is_some());
    }
    report("get", OBJECTS, start, "ops/s");

    let start = Instant::now();
    let page = store.list(&Scope::all(pods.clone()), &Range::default()).await.expect("in memory");
    report("list", page.items.len(), start, "objects/s");

    let start = Instant::now();
    for node in 0..WATCHERS {
        let scope = Scope::all(pods.clone()).indexed("spec.nodeName", format!("node-{node}"));
        assert_eq!(store.list(&scope, &Range::default()).await.expect("indexed").items.len(), OBJECTS / WATCHERS);
    }
    report("list-by-index", WATCHERS, start, "ops/s");

    let start = Instant::now();
    update_all(&store, &kind, &mut objects).await;
    report("update", OBJECTS, start, "ops/s");

    let now = store.revision().await.expect("in memory");
    let mut watches = Vec::new();
    for node in 0..WATCHERS {
        let scope = Scope::all(pods.clone()).indexed("spec.nodeName", format!("node-{node}"));
        let watch = store.watch(&scope, now).await.expect("kept");
        watches.push(tokio::spawn(changes(watch, OBJECTS / WATCHERS)));
    }
    let start = Instant::now();
    update_all(&store, &kind, &mut objects).await;
    for watch in watches {
        watch.await.expect("no watcher failed");
    }
    report("update-with-5000-node-watchers", OBJECTS, start, "ops/s");

    let now = store.revision().await.expect("in memory");
    let mut watches = Vec::new();
    for _ in 0..FANOUT {
        let watch = store.watch(&Scope::all(pods.clone()), now).await.expect("kept");
        watches.push(tokio::spawn(changes(watch, OBJECTS)));
    }
    let start = Instant::now();
    update_all(&store, &kind, &mut objects).await;
    for watch in watches {
        watch.await.expect("no watcher failed");
    }
    report("fan-out-to-100-watchers", OBJECTS * FANOUT, start, "events/s");
}
