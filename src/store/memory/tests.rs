use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{MemoryStore, lock};
use crate::api::{Draft, GroupResource, Object};
use crate::store::{Range, Scope, Store, StoreError, StoreEvent, StoreWatch, Write};

mod kit {
    use super::*;
    crate::store_testkit!(async { Arc::new(MemoryStore::default()) as Arc<dyn Store> });
}

/// The same promises where every watcher lags at once.
mod kit_with_short_queues {
    use super::*;
    crate::store_testkit!(async { Arc::new(MemoryStore::builder().queue(1).build()) as Arc<dyn Store> });
}

fn maps() -> GroupResource {
    GroupResource::new("", "configmaps")
}

fn map(name: &str) -> Draft {
    let mut map = ConfigMap::default();
    map.metadata.namespace = Some("default".to_owned());
    map.metadata.name = Some(name.to_owned());
    Draft::new(map)
}

async fn create(store: &MemoryStore, name: &str) -> Object {
    store.commit(Write::Create(map(name))).await.unwrap()
}

async fn next(watch: &mut StoreWatch) -> Result<StoreEvent, StoreError> {
    watch.next().await.expect("the watch goes on")
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_tells_how_far_it_has_come() {
    let store = MemoryStore::builder().progress(Some(Duration::from_secs(60))).build();
    let mut watch = store.watch(&Scope::namespace(maps(), "quiet"), store.revision().await.unwrap()).await.unwrap();
    let busy = create(&store, "a").await;
    let Ok(StoreEvent::Progress(revision)) = next(&mut watch).await else { panic!("wanted progress") };
    assert_eq!(revision, busy.revision());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_expires_only_when_the_history_has_lost_its_place() {
    let store = MemoryStore::builder().queue(2).history(5).progress(None).build();
    let start = store.revision().await.unwrap();
    let mut late = store.watch(&Scope::all(maps()), start).await.unwrap();
    for number in 0..5 {
        create(&store, &format!("m{number}")).await;
    }
    let Ok(StoreEvent::Change(change)) = next(&mut late).await else { panic!("wanted a change") };
    assert_eq!(change.revision, start.next());

    let mut too_late = store.watch(&Scope::all(maps()), start).await.unwrap();
    create(&store, "m5").await;
    create(&store, "m6").await;
    assert!(matches!(next(&mut too_late).await, Err(StoreError::Expired { .. })));
    assert!(too_late.next().await.is_none(), "an error ends the watch");
    // The other one had read what was kept then.
    let rest: Vec<_> = std::iter::from_fn(|| late.next().now_or_never().flatten()).collect();
    assert_eq!(rest.len(), 6);
}

#[tokio::test]
async fn dropping_a_watch_unregisters_it() {
    let store = MemoryStore::default();
    let start = store.revision().await.unwrap();
    let one = store.watch(&Scope::all(maps()), start).await.unwrap();
    let two = store.watch(&Scope::all(maps()), start).await.unwrap();
    assert_eq!(lock(&store.0.writer).len(), 1);
    drop(one);
    assert_eq!(lock(&store.0.writer).len(), 1);
    drop(two);
    assert_eq!(lock(&store.0.writer).len(), 0);
}

#[tokio::test]
async fn a_field_that_is_not_indexed_is_no_scope() {
    let store = MemoryStore::default();
    let scope = Scope::all(maps()).indexed("data.x", "1");
    let listed = store.list(&scope, &Range::default()).await;
    assert!(matches!(listed, Err(StoreError::NotIndexed { field: "data.x", .. })));
    assert!(store.watch(&scope, store.revision().await.unwrap()).await.is_err());
}
