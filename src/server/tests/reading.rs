use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Binding, ConfigMap, Pod};
use serde_json::json;

use super::fixture::{Fixture, said, says};
use crate::api::{
    Backend, Consistency, DeleteOptions, GetOptions, ListOptions, Revision, WatchEvent, WatchOptions, WatchStream,
};

fn names(list: &crate::api::List) -> Vec<&str> {
    list.items.iter().map(|object| object.name()).collect()
}

#[tokio::test(start_paused = true)]
async fn selectors_select() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        fixture.pod(name).await;
    }
    let target = fixture.one::<Pod>("default", "b").sub("binding");
    fixture.post::<Binding>(&target, json!({"target": {"name": "n1"}})).await.unwrap();
    fixture.merge(&fixture.one::<Pod>("default", "c"), json!({"metadata": {"labels": {"app": "db"}}})).await.unwrap();
    let table: &[(&str, &str, &[&str])] = &[
        ("app=web", "", &["a", "b"]),
        ("app notin (web)", "", &["c"]),
        ("", "spec.nodeName=n1", &["b"]),
        ("", "spec.nodeName=", &["a", "c"]),
        ("", "spec.nodeName!=n1", &["a", "c"]),
        ("", "metadata.name=c", &["c"]),
        ("app=web", "metadata.name=c", &[]),
        ("", "metadata.namespace=default,status.phase=Pending", &["a", "b", "c"]),
        ("", "metadata.namespace=other", &[]),
    ];
    for (labels, fields, expected) in table {
        let options =
            ListOptions { labels: labels.parse().unwrap(), fields: fields.parse().unwrap(), ..ListOptions::default() };
        for namespace in ["default", ""] {
            assert_eq!(names(&fixture.list::<Pod>(namespace, &options).await.unwrap()), *expected, "{labels} {fields}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_cannot_be_selected_by_is_refused() {
    let fixture = Fixture::start().await;
    let options = ListOptions { fields: "spec.foo=1".parse().unwrap(), ..ListOptions::default() };
    assert_eq!(
        said(fixture.list::<Pod>("default", &options).await),
        says(400, "BadRequest", "field label not supported: spec.foo")
    );
    assert_eq!(
        said(fixture.list::<ConfigMap>("default", &options).await),
        says(
            400,
            "BadRequest",
            r#""spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace""#
        )
    );
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_snapshot() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        fixture.map(name).await;
    }
    let mut options = ListOptions { limit: Some(2), ..ListOptions::default() };
    let first = fixture.list::<ConfigMap>("default", &options).await.unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["a", "b"], Some(3)));
    fixture.delete(&fixture.one::<ConfigMap>("default", "d"), &DeleteOptions::default()).await.unwrap();
    options.continue_token.clone_from(&first.continue_token);
    let second = fixture.list::<ConfigMap>("default", &options).await.unwrap();
    assert_eq!((names(&second), second.revision), (vec!["c", "d"], first.revision));
    options.continue_token = second.continue_token;
    let last = fixture.list::<ConfigMap>("default", &options).await.unwrap();
    assert_eq!((names(&last), &last.continue_token, last.remaining), (vec!["e"], &None, None));

    options.limit = Some(1);
    options.continue_token = None;
    options.labels = "a!=b".parse().unwrap();
    let first = fixture.list::<ConfigMap>("default", &options).await.unwrap();
    assert_eq!((first.items.len(), first.remaining, first.continue_token.is_some()), (1, None, true));
    options.consistency = Consistency::Any;
    assert_eq!(fixture.list::<ConfigMap>("default", &options).await.unwrap().items.len(), 4, "whole, from the cache");
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_snapshot_is_gone_says_how_to_go_on() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        fixture.map(name).await;
    }
    let mut options = ListOptions { limit: Some(1), ..ListOptions::default() };
    let first = fixture.list::<ConfigMap>("default", &options).await.unwrap();
    fixture.map("d").await;
    let store = fixture.server.store();
    store.compact(store.revision().await.unwrap()).await.unwrap();
    options.continue_token = first.continue_token;
    let error = fixture.list::<ConfigMap>("default", &options).await.unwrap_err();
    assert_eq!((error.code(), error.status().reason.as_deref()), (410, Some("Expired")));
    assert!(error.message().starts_with("The provided continue parameter is too old to display a consistent list"));
    options.continue_token.clone_from(&error.status().metadata.continue_);
    options.limit = None;
    assert_eq!(names(&fixture.list::<ConfigMap>("default", &options).await.unwrap()), ["b", "c", "d"]);
    options = ListOptions { consistency: Consistency::Exact(Revision::from(2)), ..ListOptions::default() };
    assert_eq!(
        said(fixture.list::<ConfigMap>("default", &options).await),
        says(410, "Expired", "The resourceVersion for the provided list is too old.")
    );
    options.continue_token = Some("nonsense".into());
    assert_eq!(said(fixture.list::<ConfigMap>("default", &options).await).0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_revision_ahead_is_refused_for_now() {
    let fixture = Fixture::start().await;
    let current = fixture.map("m").await.revision();
    let consistency = Consistency::NotOlderThan(Revision::from(999));
    let message = format!("Too large resource version: 999, current: {current}");
    let target = fixture.one::<ConfigMap>("default", "m");
    let get = fixture.server.get(&fixture.call, &target, &GetOptions { consistency }).await;
    assert_eq!(said(get), says(504, "Timeout", &message));
    let list = fixture.list::<ConfigMap>("default", &ListOptions { consistency, ..ListOptions::default() }).await;
    assert_eq!(said(list), says(504, "Timeout", &message));
}

/// How the tests note events: `+a`, `=a`, `-a`, `|` for bookmarks and `||` for the one after the initial events.
async fn noted(watch: &mut WatchStream, count: usize) -> String {
    let mut notes = Vec::new();
    for _ in 0..count {
        notes.push(match watch.next().await {
            None => "end".to_owned(),
            Some(Err(error)) => error.to_string(),
            Some(Ok(WatchEvent::Added(object))) => format!("+{}", object.name()),
            Some(Ok(WatchEvent::Modified(object))) => format!("={}", object.name()),
            Some(Ok(WatchEvent::Deleted(object))) => format!("-{}", object.name()),
            Some(Ok(WatchEvent::Bookmark { initial_events_end: true, .. })) => "||".to_owned(),
            Some(Ok(WatchEvent::Bookmark { .. })) => "|".to_owned(),
        });
    }
    notes.join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_with_what_is_there_or_after_a_revision() {
    let fixture = Fixture::start().await;
    let first = fixture.map("a").await;
    fixture.map("b").await;
    let mut everything = fixture.watch::<ConfigMap>("default", &WatchOptions::default()).await;
    let after = WatchOptions { from: Consistency::Exact(first.revision()), ..WatchOptions::default() };
    let mut after = fixture.watch::<ConfigMap>("", &after).await;
    let initial = WatchOptions { send_initial_events: true, bookmarks: true, ..WatchOptions::default() };
    let mut initial = fixture.watch::<ConfigMap>("default", &initial).await;
    fixture.delete(&fixture.one::<ConfigMap>("default", "a"), &DeleteOptions::default()).await.unwrap();
    assert_eq!(noted(&mut everything, 3).await, "+a +b -a");
    assert_eq!(noted(&mut after, 2).await, "+b -a");
    assert_eq!(noted(&mut initial, 4).await, "+a +b || -a");
}

#[tokio::test(start_paused = true)]
async fn what_begins_to_match_appears_and_what_ceases_to_goes() {
    let fixture = Fixture::start().await;
    let options = WatchOptions { labels: "app=db".parse().unwrap(), ..WatchOptions::default() };
    let mut watch = fixture.watch::<Pod>("default", &options).await;
    fixture.pod("a").await;
    let target = fixture.one::<Pod>("default", "a");
    let mut last = None;
    for label in ["db", "db", "web", "db"] {
        let patch = json!({"metadata": {"labels": {"app": label}, "annotations": {"n": format!("{last:?}")}}});
        last = Some(fixture.merge(&target, patch).await.unwrap().revision());
    }
    fixture.delete(&target, &DeleteOptions::default()).await.unwrap();
    assert_eq!(noted(&mut watch, 2).await, "+a =a");
    let Some(Ok(WatchEvent::Deleted(gone))) = watch.next().await else { panic!("wanted the pod gone") };
    assert_eq!(gone.meta().labels.as_ref().unwrap()["app"], "db", "as it was when it matched");
    assert_eq!(gone.revision().next(), last.unwrap());
    assert_eq!(noted(&mut watch, 3).await, "+a =a -a");
}

#[tokio::test(start_paused = true)]
async fn a_node_sees_its_pods_come() {
    let fixture = Fixture::start().await;
    let options = WatchOptions { fields: "spec.nodeName=n1".parse().unwrap(), ..WatchOptions::default() };
    let mut watch = fixture.watch::<Pod>("", &options).await;
    for (name, node) in [("a", "n2"), ("b", "n1")] {
        fixture.pod(name).await;
        let target = fixture.one::<Pod>("default", name).sub("binding");
        fixture.post::<Binding>(&target, json!({"target": {"name": node}})).await.unwrap();
    }
    assert_eq!(noted(&mut watch, 1).await, "+b");
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_gets_bookmarks_and_one_at_its_end() {
    let fixture = Fixture::start().await;
    let options = WatchOptions { bookmarks: true, timeout: Some(Duration::from_secs(150)), ..WatchOptions::default() };
    let mut watch = fixture.watch::<ConfigMap>("kube-system", &options).await;
    let newest = fixture.map("elsewhere").await.revision();
    let Some(Ok(WatchEvent::Bookmark { revision, .. })) = watch.next().await else { panic!("wanted a bookmark") };
    assert_eq!(revision, newest);
    assert_eq!(noted(&mut watch, 3).await, "| | end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_in_time_though_there_is_more_to_tell() {
    let fixture = Fixture::start().await;
    let options = WatchOptions { timeout: Some(Duration::from_secs(150)), ..WatchOptions::default() };
    let mut watch = fixture.watch::<ConfigMap>("default", &options).await;
    for name in ["a", "b"] {
        fixture.map(name).await;
    }
    assert_eq!(noted(&mut watch, 1).await, "+a");
    tokio::time::advance(Duration::from_secs(151)).await;
    assert_eq!(noted(&mut watch, 1).await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_too_long_ago_has_expired() {
    let fixture = Fixture::start().await;
    let old = fixture.map("a").await.revision();
    let newest = fixture.map("b").await.revision();
    fixture.server.store().compact(newest).await.unwrap();
    let options = WatchOptions { from: Consistency::Exact(old), ..WatchOptions::default() };
    let watch = fixture.server.watch(&fixture.call, &fixture.all::<ConfigMap>("default"), &options).await;
    let error = watch.err().unwrap();
    assert_eq!((error.code(), error.message()), (410, format!("too old resource version: {old} ({newest})").as_str()));
}
