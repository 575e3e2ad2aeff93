//! What the memory store does, on one core, with so many objects stored:
//! `cargo bench --bench store -- [--objects N[,N...]]` (1000,10000,100000).

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod figures;

use std::num::ParseIntError;
use std::sync::Arc;

use figures::{Figure, Moment, Options};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orchestrion::api::{ApiType, Draft, GroupResource, Key, Kind, KindRef, Object, Strategy};
use orchestrion::store::{MemoryStore, Range, Scope, Store, StoreEvent, StoreWatch, Write};

const NODES: usize = 5_000;
const FANOUT: usize = 100;
/// How many operations each figure measures at most.
const TIMES: usize = 50_000;

/// A kind that does nothing, so that nothing but the store is measured.
#[derive(Debug)]
struct Plain<T>(std::marker::PhantomData<T>);

impl<T: ApiType> Strategy for Plain<T> {
    type Object = T;
}

struct Bench {
    kind: KindRef,
    pods: GroupResource,
    store: MemoryStore,
    objects: Vec<Object>,
}

impl Bench {
    fn new() -> Self {
        let kind = KindRef::from(Kind::builtin(Plain::<Pod>(std::marker::PhantomData)));
        let store = MemoryStore::builder().history(2 * TIMES).build();
        Self { kind, pods: GroupResource::new("", "pods"), store, objects: Vec::new() }
    }

    fn figure(&self, name: &str, count: usize, since: Moment, unit: &str) {
        let figure = Figure::rate(&format!("store/{name}"), count, since, unit);
        figure.with("objects", self.objects.len() as f64).print();
    }

    fn pod(&self, number: usize) -> Draft {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some(format!("ns-{}", number % 50));
        pod.metadata.name = Some(format!("pod-{number}"));
        pod.spec = Some(PodSpec { node_name: Some(format!("node-{}", number % NODES)), ..PodSpec::default() });
        Draft::of(self.kind.clone(), Arc::new(pod))
    }

    /// Creates objects until there are `count`.
    async fn fill(&mut self, count: usize) {
        let drafts: Vec<_> = (self.objects.len()..count).map(|number| self.pod(number)).collect();
        let (created, start) = (drafts.len(), Moment::now());
        for draft in drafts {
            self.objects.push(self.store.commit(Write::create(draft)).await.expect("a free name"));
        }
        self.figure("create", created, start, "ops/s");
    }

    async fn reads(&self) {
        let keys: Vec<Key> = self.objects.iter().take(TIMES).map(Object::key).collect();
        let start = Moment::now();
        for key in &keys {
            assert!(self.store.get(key).await.expect("in memory").is_some());
        }
        self.figure("get", keys.len(), start, "ops/s");

        let start = Moment::now();
        let page = self.store.list(&Scope::all(self.pods.clone()), &Range::default()).await.expect("in memory");
        self.figure("list", page.items.len(), start, "objects/s");

        let mut range = Range { limit: Some(100), ..Range::default() };
        let start = Moment::now();
        let mut pages = 0;
        while pages < 1_000 {
            let page = self.store.list(&Scope::all(self.pods.clone()), &range).await.expect("kept");
            range.at = Some(page.revision);
            range.after = page.items.last().filter(|_| page.remaining > 0).map(Object::key);
            pages += 1;
        }
        self.figure("page-of-100", pages, start, "ops/s");

        let nodes = NODES.min(self.objects.len());
        let start = Moment::now();
        for node in 0..nodes {
            let scope = Scope::all(self.pods.clone()).indexed("spec.nodeName", format!("node-{node}"));
            assert!(!self.store.list(&scope, &Range::default()).await.expect("indexed").items.is_empty());
        }
        self.figure("list-of-a-node", nodes, start, "ops/s");
    }

    /// Updates of objects one after the other; how many.
    async fn update(&mut self, name: &str, count: usize) {
        let drafts: Vec<_> = (0..count).map(|number| self.pod(number)).collect();
        let start = Moment::now();
        for (object, draft) in self.objects.iter_mut().zip(drafts) {
            let write = Write::update(draft, object.revision());
            *object = self.store.commit(write).await.expect("nobody else writes");
        }
        self.figure(name, count, start, "ops/s");
    }

    async fn watched(&mut self, count: usize) {
        let now = self.store.revision().await.expect("in memory");
        let mut watches = Vec::new();
        for node in 0..NODES {
            let scope = Scope::all(self.pods.clone()).indexed("spec.nodeName", format!("node-{node}"));
            watches.push(self.store.watch(&scope, now).await.expect("kept"));
        }
        self.update("update-with-5000-node-watches", count).await;
        drop(watches);

        let now = self.store.revision().await.expect("in memory");
        let mut watches = Vec::new();
        for _ in 0..FANOUT {
            let watch = self.store.watch(&Scope::all(self.pods.clone()), now).await.expect("kept");
            watches.push(tokio::spawn(changes(watch, count)));
        }
        self.update("update-with-100-watches", count).await;
        let start = Moment::now();
        for watch in watches {
            watch.await.expect("no watcher failed");
        }
        self.figure("fan-out-to-100", count * FANOUT, start, "events/s");
    }
}

async fn changes(mut watch: StoreWatch, count: usize) {
    let mut seen = 0;
    while seen < count {
        match watch.next().await {
            Some(Ok(StoreEvent::Change(_))) => seen += 1,
            Some(Ok(StoreEvent::Progress(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn main() -> Result<(), ParseIntError> {
    let objects = Options::read(&["objects"]).get("objects", "1000,10000,100000".to_owned());
    let sizes = objects.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for size in sizes {
            let mut bench = Bench::new();
            bench.fill(size).await;
            bench.reads().await;
            let count = size.min(TIMES);
            bench.update("update", count).await;
            bench.watched(count).await;
        }
    });
    Ok(())
}
