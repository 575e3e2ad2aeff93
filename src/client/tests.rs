//! The client over a real server.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use serde_json::json;

use super::{Applied, Client, EventRecorder, Fault, Intercept, WaitError};
use crate::api::{ApiError, ListOptions, Patch, Reason};
use crate::clock::Clock;
use crate::random::Random;
use crate::server::Server;
use crate::store::MemoryStore;

async fn client() -> Client {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let random = Random::seeded(1);
    let server = Server::builder(Arc::new(MemoryStore::default())).clock(clock).random(random.clone());
    Client::new(Arc::new(server.start().await.unwrap()), clock, random).named("tester")
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "default", "uid": name } })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_that_repeats_is_counted() {
    let client = client().await;
    let events = EventRecorder::new(client.clone()).on_host("n1");
    for _ in 0..3 {
        events.normal(&map("a"), "Seen", "it was seen");
        client.clock().sleep(Duration::from_secs(2)).await;
    }
    events.warning(&map("a"), "Lost", "it was lost");
    client.clock().sleep(Duration::from_secs(1)).await;
    let mut written = client.api::<Event>("default").list(&ListOptions::default()).await.unwrap().items;
    written.sort_by_key(|event| event.reason.clone());
    assert_eq!(written.len(), 2);
    let (lost, seen) = (&written[0], &written[1]);
    assert_eq!((lost.type_.as_deref(), lost.count), (Some("Warning"), Some(1)));
    assert_eq!((seen.type_.as_deref(), seen.count), (Some("Normal"), Some(3)));
    let (first, last) = (seen.first_timestamp.as_ref().unwrap().0, seen.last_timestamp.as_ref().unwrap().0);
    assert_eq!(last.duration_since(first).as_secs(), 4);
    assert_eq!(seen.metadata.name, Some(format!("a.{:x}", first.as_nanosecond())));
    assert_eq!(seen.reporting_component.as_deref(), Some("tester"));
    assert_eq!(seen.source.as_ref().unwrap().host.as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_is_summed_up_and_then_held_back() {
    let client = client().await;
    let events = EventRecorder::new(client.clone());
    for number in 0..100 {
        events.normal(&map("a"), "Created", format!("Created pod: {number}"));
    }
    client.clock().sleep(Duration::from_secs(1)).await;
    let written = client.api::<Event>("default").list(&ListOptions::default()).await.unwrap().items;
    assert_eq!(written.len(), 10);
    let summed = written.iter().find(|event| event.count > Some(1)).unwrap();
    assert_eq!(summed.count, Some(16));
    assert_eq!(summed.message.as_deref(), Some("(combined from similar events): Created pod: 24"));
}

const MANIFEST: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: a, image: one }
      - { name: b, image: two }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { a: one, b: two }
";

#[tokio::test(start_paused = true)]
async fn a_manifest_is_applied_without_undoing_what_others_did() {
    let client = client().await;
    let apply = |text: String| {
        let client = client.clone();
        async move { client.apply_manifest(&text, "default").await.unwrap() }
    };
    let first = apply(MANIFEST.to_owned()).await;
    assert!(first.iter().all(|applied| matches!(applied, Applied::Created(_))));
    let again = apply(MANIFEST.to_owned()).await;
    assert!(again.iter().all(|applied| matches!(applied, Applied::Unchanged(_))), "{again:?}");

    let maps = client.api::<ConfigMap>("default");
    maps.patch("settings", Patch::Merge(json!({ "data": { "c": "three" } }))).await.unwrap();
    let changed = MANIFEST.replace("      - { name: b, image: two }\n", "").replace("a: one, b: two", "a: four");
    let changed = apply(changed).await;
    assert!(changed.iter().all(|applied| matches!(applied, Applied::Configured(_))));
    let data = maps.get("settings").await.unwrap().data.clone().unwrap();
    assert_eq!(data.into_iter().collect::<Vec<_>>(), [("a".into(), "four".into()), ("c".into(), "three".into())]);
    let web = client.api::<Deployment>("default").get("web").await.unwrap();
    let containers = &web.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers;
    assert_eq!(containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["a"]);

    client.delete_manifest(MANIFEST, "default").await.unwrap();
    assert!(maps.get_opt("settings").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_condition_holds_or_time_is_up() {
    let client = client().await;
    let maps = client.api::<ConfigMap>("default");
    let minute = Duration::from_secs(60);
    let waiting = tokio::spawn({
        let maps = maps.clone();
        async move { maps.wait("a", minute, |map| map.is_some_and(|map| map.data.is_some())).await }
    });
    client.clock().sleep(Duration::from_secs(5)).await;
    let mut object = map("a");
    object.metadata.uid = None;
    maps.create(object).await.unwrap();
    client.clock().sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    maps.patch("a", Patch::Merge(json!({ "data": { "k": "v" } }))).await.unwrap();
    assert!(waiting.await.unwrap().unwrap().unwrap().data.is_some());
    let late = maps.wait("a", minute, |map| map.is_none()).await.unwrap_err();
    assert!(matches!(late, WaitError::TimedOut { .. }));
    assert_eq!(late.to_string(), "timed out waiting for the condition on configmaps/a");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_the_write_done() {
    let client = client().await;
    let down = || ApiError::new(Reason::ServiceUnavailable, "down");
    let backend = Intercept::new(Arc::clone(client.backend()), move |verb, _| match verb {
        "create" => Fault::LoseAnswer(down()),
        "delete" => Fault::Refuse(down()),
        _ => Fault::None,
    });
    let maps = client.over(Arc::new(backend)).api::<ConfigMap>("default");
    let mut object = map("a");
    object.metadata.uid = None;
    assert_eq!(maps.create(object).await.unwrap_err().reason(), Reason::ServiceUnavailable);
    assert!(maps.get("a").await.is_ok());
    assert!(maps.delete("a").await.is_err());
    assert!(maps.get("a").await.is_ok());
}

/// Both are in one thread, and nothing that they call ever waits.
#[tokio::test]
async fn who_asks_again_and_again_lets_others_answer() {
    let client = client().await;
    let maps = client.api::<ConfigMap>("default");
    let writer = maps.clone();
    tokio::spawn(async move { writer.create(map("a")).await });
    for _ in 0..1_000 {
        if maps.get_opt("a").await.unwrap().is_some() {
            return;
        }
    }
    panic!("the other task never ran");
}
