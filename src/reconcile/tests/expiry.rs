//! What goes after a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::World;
use crate::api::{ApiError, ApiType, Reason};
use crate::client::{Fault, Intercept};
use crate::reconcile::Context;
use crate::reconcile::controllers::expiry;

const HOUR: u64 = 60 * 60;

fn event(name: &str, happened: Option<&str>) -> Value {
    json!({
        "metadata": { "name": name },
        "involvedObject": { "kind": "Pod", "namespace": "default", "name": "web" },
        "lastTimestamp": happened,
    })
}

async fn names<K: ApiType>(world: &World) -> Vec<String> {
    world.list::<K>().await.iter().map(|object| object.metadata().name.clone().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_go_an_hour_after_they_were_last_written() {
    let world = World::with(|name| name == "event-ttl-controller").await;
    // Whatever they say of themselves.
    world.create::<Event>(event("old", Some("2020-01-01T00:00:00Z"))).await;
    world.create::<Event>(event("again", None)).await;
    world.pass(HOUR / 2).await;
    world.patch::<Event>("again", json!({ "count": 2 })).await;
    world.create::<Event>(event("new", None)).await;
    world.create::<Event>(event("gone", None)).await;
    world.client.api::<Event>("default").delete("gone").await.unwrap();
    world.pass(HOUR / 2 - 1).await;
    assert_eq!(names::<Event>(&world).await, ["again", "new", "old"]);
    world.pass(2).await;
    assert_eq!(names::<Event>(&world).await, ["again", "new"]);
    world.pass(HOUR / 2).await;
    assert_eq!(names::<Event>(&world).await, <[&str; 0]>::default());
    world.create::<Event>(event("later", None)).await;
    world.pass(HOUR + 1).await;
    assert_eq!(names::<Event>(&world).await, <[&str; 0]>::default());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_from_before_are_judged_by_when_they_happened() {
    let world = World::with(|_| false).await;
    world.create::<Event>(event("older", Some("2025-12-31T23:15:00Z"))).await;
    world.create::<Event>(event("newer", Some("2025-12-31T23:30:00Z"))).await;
    let created = names::<Event>(&world).await;
    world.pass(HOUR - 60).await;
    // That they were created is the last that happened to them.
    let deletions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&deletions);
    let backend = Intercept::new(Arc::clone(world.client.backend()), move |verb, _| {
        match verb == "delete" && counted.fetch_add(1, Ordering::Relaxed) == 0 {
            true => Fault::Refuse(ApiError::new(Reason::ServiceUnavailable, "not now")),
            false => Fault::None,
        }
    });
    let ctx = Context::new(world.client.clone().over(Arc::new(backend)));
    let running = expiry::events(&ctx, expiry::EVENT_LIFE);
    world.pass(50).await;
    assert_eq!(names::<Event>(&world).await, created);
    world.pass(15).await;
    assert_eq!(names::<Event>(&world).await, ["newer"], "the other does not wait for what is refused");
    world.pass(15).await;
    assert_eq!(names::<Event>(&world).await, <[&str; 0]>::default());
    assert_eq!(deletions.load(Ordering::Relaxed), 3, "what is refused is tried again");
    running.stop().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn finished_jobs_go_when_they_say() {
    let world =
        World::with(|name| ["ttl-after-finished-controller", "garbage-collector-controller"].contains(&name)).await;
    for (name, seconds) in [("soon", Some(100)), ("now", Some(0)), ("never", None)] {
        let template = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "v1" }] } });
        let spec = json!({ "template": template, "ttlSecondsAfterFinished": seconds });
        world.create::<Job>(json!({ "metadata": { "name": name }, "spec": spec })).await;
    }
    world.pass(HOUR).await;
    assert_eq!(names::<Job>(&world).await, ["never", "now", "soon"], "none has ended");
    for name in ["soon", "now", "never"] {
        let jobs = world.client.api::<Job>("default");
        let now = world.ctx.clock().time();
        jobs.modify_status(name, |job| {
            let condition =
                |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now });
            let status = json!({
                "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
                "startTime": now, "completionTime": now, "succeeded": 1,
            });
            job.status = Some(super::parse(status));
        })
        .await
        .unwrap();
    }
    world.pass(1).await;
    assert_eq!(names::<Job>(&world).await, ["never", "soon"]);
    world.pass(100).await;
    assert_eq!(names::<Job>(&world).await, ["never"]);
    world.stop().await;
}
