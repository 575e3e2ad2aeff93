use std::time::Duration;

use k8s_openapi::api::core::v1::{Binding, ConfigMap, Pod, ReplicationController};
use serde_json::json;

use super::fixture::{Fixture, said, says, value};
use crate::api::{Backend, DeleteOptions, Deleted, ListOptions, Propagation};

async fn bound(fixture: &Fixture, name: &str) {
    fixture.pod(name).await;
    let target = fixture.one::<Pod>("default", name).sub("binding");
    fixture.post::<Binding>(&target, json!({"metadata": {"name": name}, "target": {"name": "n1"}})).await.unwrap();
}

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_period: Some(seconds), ..DeleteOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_running_pod_is_given_time_and_that_can_only_get_less() {
    let fixture = Fixture::start().await;
    bound(&fixture, "web-0").await;
    let target = fixture.one::<Pod>("default", "web-0");
    let times = |deleted: Deleted| {
        let metadata = value(deleted.object())["metadata"].clone();
        (metadata["deletionTimestamp"].as_str().unwrap().to_owned(), metadata["deletionGracePeriodSeconds"].clone())
    };
    let first = times(fixture.delete(&target, &DeleteOptions::default()).await.unwrap());
    assert_eq!(first, ("2026-01-01T00:00:30Z".into(), json!(30)));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(times(fixture.delete(&target, &grace(60)).await.unwrap()), first);
    let shorter = times(fixture.delete(&target, &grace(10)).await.unwrap());
    assert_eq!(shorter, ("2026-01-01T00:00:10Z".into(), json!(10)));
    let gone = fixture.delete(&target, &grace(0)).await.unwrap();
    assert!(matches!(gone, Deleted::Gone(_)));
    assert_eq!(said(fixture.get::<Pod>("default", "web-0").await).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_runs_nowhere_goes_at_once() {
    let fixture = Fixture::start().await;
    fixture.pod("web-0").await;
    let target = fixture.one::<Pod>("default", "web-0");
    assert!(matches!(fixture.delete(&target, &DeleteOptions::default()).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(
        said(fixture.delete(&target, &DeleteOptions::default()).await),
        says(404, "NotFound", r#"pods "web-0" not found"#)
    );
}

#[tokio::test(start_paused = true)]
async fn propagation_becomes_a_finalizer() {
    let fixture = Fixture::start().await;
    for (policy, finalizer) in [(Propagation::Foreground, "foregroundDeletion"), (Propagation::Orphan, "orphan")] {
        fixture.map("m").await;
        let target = fixture.one::<ConfigMap>("default", "m");
        let options = DeleteOptions { propagation: Some(policy), ..DeleteOptions::default() };
        let deleted = fixture.delete(&target, &options).await.unwrap();
        assert_eq!(deleted.object().meta().finalizers.as_deref().unwrap(), [finalizer]);
        let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        fixture.delete(&target, &background).await.unwrap();
        assert_eq!(said(fixture.get::<ConfigMap>("default", "m").await).0, 404, "the finalizer was taken back");
    }
    let controller = json!({"metadata": {"name": "rc"}, "spec": {"replicas": 0, "template": {
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    }}});
    fixture.create::<ReplicationController>("default", controller).await.unwrap();
    let target = fixture.one::<ReplicationController>("default", "rc");
    let deleted = fixture.delete(&target, &DeleteOptions::default()).await.unwrap();
    assert_eq!(deleted.object().meta().finalizers.as_deref().unwrap(), ["orphan"]);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_can_name_what_it_means() {
    let fixture = Fixture::start().await;
    let map = fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    let (uid, version) = (map.uid(), map.revision());
    let table = [
        (
            DeleteOptions { uid: Some("x".into()), ..DeleteOptions::default() },
            format!(
                "the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been \
                 deleted and then recreated"
            ),
        ),
        (
            DeleteOptions { resource_version: Some("1".into()), ..DeleteOptions::default() },
            format!(
                "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({version}). \
                 The object might have been modified"
            ),
        ),
    ];
    for (options, why) in table {
        let expected = format!("Operation cannot be fulfilled on ConfigMap \"m\": {why}");
        assert_eq!(said(fixture.delete(&target, &options).await), says(409, "Conflict", &expected));
    }
    let right = DeleteOptions {
        uid: Some(uid.to_owned()),
        resource_version: Some(version.to_string()),
        ..DeleteOptions::default()
    };
    fixture.delete(&target, &right).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dry_deletion_deletes_nothing() {
    let fixture = Fixture::start().await;
    let map = fixture.map("m").await;
    let options = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    fixture.delete(&fixture.one::<ConfigMap>("default", "m"), &options).await.unwrap();
    assert_eq!(fixture.get::<ConfigMap>("default", "m").await.unwrap(), map);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_as_far_as_it_matches() {
    let fixture = Fixture::start().await;
    for name in ["a", "b"] {
        fixture.map(name).await;
        let labelled = json!({"metadata": {"name": format!("{name}-labelled"), "labels": {"app": "web"}}});
        fixture.create::<ConfigMap>("default", labelled).await.unwrap();
    }
    let matching = ListOptions { labels: "app=web".parse().unwrap(), ..ListOptions::default() };
    let all = fixture.all::<ConfigMap>("default");
    let deleted =
        fixture.server.delete_collection(&fixture.call, &all, &DeleteOptions::default(), &matching).await.unwrap();
    assert_eq!(deleted.items.len(), 2);
    let left = fixture.list::<ConfigMap>("default", &ListOptions::default()).await.unwrap();
    assert_eq!(left.items.iter().map(|map| map.name()).collect::<Vec<_>>(), ["a", "b"]);
}
