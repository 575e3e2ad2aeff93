//! Many writers and watchers at once.

use std::sync::Arc;

use futures::future::join_all;
use tokio::task::yield_now;

use super::watch::next;
use super::{Empty, create, map, maps, value};
use crate::api::{Object, Revision};
use crate::store::{Range, Scope, Store, StoreError, Write};

const WRITERS: u64 = 8;
const ROUNDS: u64 = 50;

/// Of creations of one key, one takes place.
pub async fn one_of_many_creators_wins(store: Empty) {
    let attempts = (0..WRITERS).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(Write::create(map("default", "a", &number.to_string()))).await.ok() })
    });
    let won: Vec<Object> = join_all(attempts).await.into_iter().filter_map(|attempt| attempt.expect("ended")).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.get(&won[0].key()).await.unwrap().as_ref(), won.first());
}

async fn count_up(store: Arc<dyn Store>, mut current: Object) {
    for _ in 0..ROUNDS {
        loop {
            let next = value(&current).parse::<u64>().expect("a number") + 1;
            let write = Write::update(map("default", "a", &next.to_string()), current.revision());
            match store.commit(write).await {
                Ok(object) => break current = object,
                Err(StoreError::Conflict { current: stored, .. }) => current = *stored,
                Err(error) => panic!("{error}"),
            }
            yield_now().await;
        }
    }
}

/// A counter that many count up shows the sum.
pub async fn no_update_is_lost(store: Empty) {
    let zero = create(&store, map("default", "a", "0")).await;
    let writers = (0..WRITERS).map(|_| tokio::spawn(count_up(Arc::clone(&store), zero.clone())));
    for writer in join_all(writers).await {
        writer.expect("no writer failed");
    }
    let last = store.get(&zero.key()).await.unwrap().expect("it was created");
    assert_eq!(value(&last), (WRITERS * ROUNDS).to_string());
    assert_eq!(last.revision().get(), zero.revision().get() + WRITERS * ROUNDS);
}

/// Every watcher sees the same changes in the same order: the order of their revisions.
pub async fn watchers_see_one_history(store: Empty) {
    let start = store.revision().await.unwrap();
    let watchers = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut watch = store.watch(&Scope::all(maps()), start).await.expect("a watch");
            let mut seen: Vec<Revision> = Vec::new();
            for _ in 0..=WRITERS * ROUNDS {
                seen.push(next(&mut watch).await.expect("a change").revision);
            }
            seen
        })
    });
    let watchers: Vec<_> = watchers.collect();
    let zero = create(&store, map("default", "a", "0")).await;
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(count_up(Arc::clone(&store), zero.clone()))).collect();
    join_all(writers).await;
    for seen in join_all(watchers).await {
        let seen = seen.expect("no watcher failed");
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0].next()), "{seen:?}");
        assert_eq!(seen.first(), Some(&start.next()));
    }
}

/// A list and a watch from its revision give everything once, however busy the store is.
pub async fn list_then_watch_misses_nothing(store: Empty) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    create(&store, map("default", &format!("m-{writer}-{round}"), "")).await;
                    yield_now().await;
                }
            })
        })
        .collect();
    yield_now().await;
    let page = store.list(&Scope::all(maps()), &Range::default()).await.unwrap();
    let mut watch = store.watch(&Scope::all(maps()), page.revision).await.unwrap();
    let mut keys: Vec<_> = page.items.iter().map(Object::key).collect();
    while keys.len() < (WRITERS * ROUNDS) as usize {
        keys.push(next(&mut watch).await.expect("a change").object.key());
    }
    join_all(writers).await;
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), (WRITERS * ROUNDS) as usize);
}
