//! The same seed gives the same history; and one of several does the job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::World;
use crate::api::{ApiError, ListOptions, Reason};
use crate::client::{Fault, Intercept};
use crate::reconcile::leader::Election;

/// Everything that is stored after a rollout, a lost pod and an undo.
async fn history() -> String {
    let world = World::new().await;
    let template = |image: &str| {
        json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "c", "image": image }] },
        })
    };
    let spec = json!({ "replicas": 4, "selector": { "matchLabels": { "app": "web" } }, "template": template("v1") });
    world.create::<Deployment>(json!({ "metadata": { "name": "web" }, "spec": spec })).await;
    world.pass(30).await;
    world.patch::<Deployment>("web", json!({ "spec": { "template": template("v2") } })).await;
    world.pass(2).await;
    let lost = world.list::<Pod>().await[0].metadata.name.clone().unwrap();
    world.client.api::<Pod>("default").delete(&lost).await.unwrap();
    world.pass(30).await;
    world.client.api::<Deployment>("default").undo("web", None).await.unwrap();
    world.pass(30).await;
    let mut all = String::new();
    for kind in world.client.backend().kinds().all() {
        if kind.verbs.contains(&"list") {
            let api = world.client.dynamic(kind, "");
            for object in api.list(&ListOptions::default()).await.unwrap().items {
                all.push_str(std::str::from_utf8(&object.json()).unwrap());
                all.push('\n');
            }
        }
    }
    world.stop().await;
    all
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(history())
    };
    let first = run();
    assert!(first.lines().count() > 20);
    for _ in 0..5 {
        let again = run();
        for (a, b) in first.lines().zip(again.lines()) {
            assert_eq!(a, b);
        }
        assert_eq!(first.len(), again.len());
    }
}

#[tokio::test(start_paused = true)]
async fn another_candidate_leads_when_the_leader_is_cut_off() {
    let world = World::with(|_| false).await;
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let backend = Intercept::new(Arc::clone(world.client.backend()), move |_, _| {
        if cut.load(Ordering::SeqCst) {
            Fault::Refuse(ApiError::new(Reason::ServiceUnavailable, "cut"))
        } else {
            Fault::None
        }
    });
    let flags = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let clients = [world.client.clone().over(Arc::new(backend)), world.client.clone()];
    let mut tasks = tokio::task::JoinSet::new();
    for (number, (client, leads)) in clients.into_iter().zip(flags.clone()).enumerate() {
        tasks.spawn(async move {
            let election = Election::new("kube-system", "job", format!("candidate-{number}"));
            election
                .run(&client, || async {
                    leads.store(true, Ordering::SeqCst);
                    // Lowered when the leading ends, however it does.
                    let _lower = Lower(&leads);
                    std::future::pending::<()>().await;
                })
                .await;
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lead = || flags.clone().map(|leads| leads.load(Ordering::SeqCst));
    world.pass(60).await;
    assert_eq!(lead(), [true, false]);
    is_cut.store(true, Ordering::SeqCst);
    world.pass(13).await;
    assert_eq!(lead(), [false, false]);
    world.pass(10).await;
    assert_eq!(lead(), [false, true]);
    is_cut.store(false, Ordering::SeqCst);
    world.pass(60).await;
    assert_eq!(lead(), [false, true]);
    world.stop().await;
}

struct Lower<'a>(&'a AtomicBool);

impl Drop for Lower<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
