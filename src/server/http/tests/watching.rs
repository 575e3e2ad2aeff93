use serde_json::Value;

use super::fixture::{Few, front, send};

const MAPS: &str = "/api/v1/configmaps";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_watch_is_a_line_of_json_per_event() {
    let backend = Few::named(&["a", "b"]);
    let path = format!("{MAPS}?watch=true&resourceVersion=4&allowWatchBookmarks=true");
    let events = lines(&send(&front(&backend), "GET", &path, &[], "").await.text);
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ADDED", "ADDED", "BOOKMARK", "ERROR"]);
    assert_eq!(events[1]["object"]["metadata"]["name"], "b");
    assert_eq!(events[2]["object"]["kind"], "ConfigMap");
    assert_eq!(events[2]["object"]["metadata"]["resourceVersion"], "9");
    assert_eq!(events[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(events[3]["object"]["code"], 410);
    assert_eq!(*backend.calls.lock().unwrap(), ["watch from Exact(Revision(4)), bookmarks true"]);
}

#[tokio::test]
async fn a_watched_table_has_its_columns_once() {
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let events =
        lines(&send(&front(&Few::named(&["a", "b"])), "GET", &format!("{MAPS}?watch=1"), &accept, "").await.text);
    assert_eq!(events[0]["object"]["columnDefinitions"][0]["name"], "Name");
    assert!(events[1]["object"]["columnDefinitions"].is_null());
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn a_watch_without_initial_events_begins_now() {
    let backend = Few::named(&[]);
    let path = format!("{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
    send(&front(&backend), "GET", &path, &[], "").await;
    assert_eq!(backend.calls.lock().unwrap()[1], "watch from Exact(Revision(9)), bookmarks false");
}
