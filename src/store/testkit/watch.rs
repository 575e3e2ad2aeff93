//! Watches.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};

use super::{Empty, create, delete, map, maps, pod, pods, update};
use crate::store::{Change, Scope, StoreError, StoreEvent, StoreWatch};

/// The next change, past what says only that there is none.
pub(super) async fn next(watch: &mut StoreWatch) -> Result<Arc<Change>, StoreError> {
    loop {
        match watch.next().await.expect("a watch ends with an error only") {
            Ok(StoreEvent::Change(change)) => return Ok(change),
            Ok(StoreEvent::Progress(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// How the tests note a change: `+` creation, `=` update, `-` deletion.
async fn noted(watch: &mut StoreWatch) -> String {
    let change = next(watch).await.expect("a change");
    assert_eq!(change.object.revision(), change.revision);
    let sign = match (&change.previous, change.deleted) {
        (None, _) => '+',
        (Some(_), false) => '=',
        (Some(_), true) => '-',
    };
    format!("{sign}{}", change.object.name())
}

/// Creations, updates and deletions come once each, in order, with the version before.
pub async fn a_watch_yields_every_change_in_order(store: Empty) {
    let mut watch = store.watch(&Scope::all(maps()), store.revision().await.unwrap()).await.unwrap();
    let a = create(&store, map("default", "a", "1")).await;
    create(&store, map("default", "b", "1")).await;
    let a2 = update(&store, map("default", "a", "2"), &a).await;
    delete(&store, &a2).await;
    for wanted in ["+a", "+b", "=a", "-a"] {
        assert_eq!(noted(&mut watch).await, wanted);
    }
    let a3 = create(&store, map("default", "a", "3")).await;
    let change = next(&mut watch).await.unwrap();
    assert_eq!((&change.object, &change.previous), (&a3, &None));
    assert!(watch.next().now_or_never().is_none());
}

/// What happened up to the revision is not repeated; what happened since is not skipped.
pub async fn a_watch_starts_after_its_revision(store: Empty) {
    let a = create(&store, map("default", "a", "1")).await;
    create(&store, map("default", "b", "1")).await;
    create(&store, map("default", "c", "1")).await;
    let mut watch = store.watch(&Scope::all(maps()), a.revision()).await.unwrap();
    create(&store, map("default", "d", "1")).await;
    for wanted in ["+b", "+c", "+d"] {
        assert_eq!(noted(&mut watch).await, wanted);
    }
}

/// A scope keeps to its resource and its namespace, in the past and in the future.
pub async fn a_watch_of_a_namespace_sees_no_other(store: Empty) {
    let start = store.revision().await.unwrap();
    create(&store, map("one", "a", "1")).await;
    create(&store, map("two", "b", "1")).await;
    let mut watch = store.watch(&Scope::namespace(maps(), "two"), start).await.unwrap();
    create(&store, pod("p", "")).await;
    create(&store, map("one", "c", "1")).await;
    create(&store, map("two", "d", "1")).await;
    for wanted in ["+b", "+d"] {
        assert_eq!(noted(&mut watch).await, wanted);
    }
    assert!(watch.next().now_or_never().is_none());
}

/// A watch may be asked for a revision that is yet to come.
pub async fn a_watch_of_a_revision_ahead_waits_for_it(store: Empty) {
    let ahead = store.revision().await.unwrap().next();
    let mut watch = store.watch(&Scope::all(maps()), ahead).await.unwrap();
    create(&store, map("default", "a", "1")).await;
    create(&store, map("default", "b", "1")).await;
    assert_eq!(noted(&mut watch).await, "+b");
}

/// What was forgotten cannot be watched, and the store says so.
pub async fn a_watch_from_before_the_compaction_has_expired(store: Empty) {
    let a = create(&store, map("default", "a", "1")).await;
    let b = create(&store, map("default", "b", "1")).await;
    create(&store, map("default", "c", "1")).await;
    store.compact(b.revision()).await.unwrap();
    let expired = match store.watch(&Scope::all(maps()), a.revision()).await {
        Ok(mut watch) => next(&mut watch).await.err(),
        Err(error) => Some(error),
    };
    assert!(matches!(expired, Some(StoreError::Expired { .. })));
    let mut watch = store.watch(&Scope::all(maps()), b.revision()).await.unwrap();
    assert_eq!(noted(&mut watch).await, "+c");
}

/// The change that moves an object out of an indexed value is seen by the watchers of either value. Only for
/// stores that index pods by their node.
pub async fn a_watch_on_an_index_sees_objects_come_and_go(store: Empty) {
    if !store.is_indexed(&pods(), "spec.nodeName") {
        return;
    }
    let start = store.revision().await.unwrap();
    let scope = |node: &str| Scope::all(pods()).indexed("spec.nodeName", node);
    let mut waiting = store.watch(&scope(""), start).await.unwrap();
    let mut placed = store.watch(&scope("n1"), start).await.unwrap();
    create(&store, pod("other", "n2")).await;
    let a = create(&store, pod("a", "")).await;
    let bound = update(&store, pod("a", "n1"), &a).await;
    delete(&store, &bound).await;
    for wanted in ["+a", "=a"] {
        assert_eq!(noted(&mut waiting).await, wanted);
    }
    for wanted in ["=a", "-a"] {
        assert_eq!(noted(&mut placed).await, wanted);
    }
    assert!(waiting.next().now_or_never().is_none());
    let mut later = store.watch(&scope("n1"), start).await.unwrap();
    for wanted in ["=a", "-a"] {
        assert_eq!(noted(&mut later).await, wanted);
    }
}

/// A watcher that reads late gets every change, or is told that it cannot.
pub async fn a_slow_watcher_misses_nothing_or_is_told(store: Empty) {
    const CHANGES: u64 = 3_000;
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(&Scope::namespace(maps(), "default"), start).await.unwrap();
    let mut last = create(&store, map("default", "a", "")).await;
    for _ in 1..CHANGES {
        last = update(&store, map("default", "a", ""), &last).await;
    }
    let mut wanted = start;
    while wanted < last.revision() {
        wanted = wanted.next();
        match next(&mut watch).await {
            Ok(change) => assert_eq!(change.revision, wanted),
            Err(StoreError::Expired { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Watchers do not depend on each other.
pub async fn a_dropped_watch_leaves_the_others(store: Empty) {
    let start = store.revision().await.unwrap();
    let mut kept = store.watch(&Scope::all(maps()), start).await.unwrap();
    let mut dropped = store.watch(&Scope::all(maps()), start).await.unwrap();
    create(&store, map("default", "a", "1")).await;
    assert_eq!(noted(&mut dropped).await, "+a");
    drop(dropped);
    create(&store, map("default", "b", "1")).await;
    for wanted in ["+a", "+b"] {
        assert_eq!(noted(&mut kept).await, wanted);
    }
}
