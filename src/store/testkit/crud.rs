//! Reading and writing single objects.

use super::{Empty, create, delete, map, update, value};
use crate::store::{StoreError, Write};

/// What was created is what is read, under the revision that the commit returned.
pub async fn a_created_object_can_be_read(store: Empty) {
    let created = create(&store, map("default", "a", "1")).await;
    assert_eq!(created.meta().resource_version, Some(created.revision().to_string()));
    let read = store.get(&created.key()).await.unwrap().expect("it was created");
    assert_eq!(read, created);
    assert_eq!(value(&read), "1");
}

/// There is one revision over everything, and writes take it up by one.
pub async fn every_write_takes_the_next_revision(store: Empty) {
    let start = store.revision().await.unwrap();
    let a = create(&store, map("default", "a", "1")).await;
    assert_eq!(a.revision(), start.next());
    let b = create(&store, map("other", "b", "1")).await;
    assert_eq!(b.revision(), a.revision().next());
    let gone = delete(&store, &a).await;
    assert_eq!(gone.revision(), b.revision().next());
    assert_eq!(store.revision().await.unwrap(), gone.revision());
}

/// A creation does not replace.
pub async fn a_taken_key_is_refused(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    let refused = store.commit(Write::create(map("default", "a", "2"))).await;
    assert!(matches!(refused, Err(StoreError::Exists(key)) if key == first.key()));
    assert_eq!(store.get(&first.key()).await.unwrap(), Some(first));
}

/// An update makes a new version and leaves the old handle as it was.
pub async fn an_update_replaces_the_version_it_was_made_from(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    let second = update(&store, map("default", "a", "2"), &first).await;
    assert_eq!(store.get(&first.key()).await.unwrap(), Some(second.clone()));
    assert_eq!((value(&first), value(&second)), ("1".into(), "2".into()));
    assert_ne!(first.meta().resource_version, second.meta().resource_version);
}

/// An update made from another version than the stored one is refused and told what is stored.
pub async fn an_update_of_an_old_version_conflicts(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    let second = update(&store, map("default", "a", "2"), &first).await;
    let late = Write::update(map("default", "a", "3"), first.revision());
    match store.commit(late).await {
        Err(StoreError::Conflict { current, .. }) => assert_eq!(*current, second),
        other => panic!("wanted a conflict, got {other:?}"),
    }
}

/// A deletion returns the last version under its own revision, and only where the version is the expected one.
pub async fn a_deletion_needs_the_version_it_was_decided_on(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    let second = update(&store, map("default", "a", "2"), &first).await;
    let late = store.commit(Write::Delete { key: first.key(), expected: first.revision() }).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
    let gone = delete(&store, &second).await;
    assert_eq!(value(&gone), "2");
    assert_eq!(gone.revision(), second.revision().next());
    assert_eq!(gone.meta().resource_version, Some(gone.revision().to_string()));
    assert_eq!(store.get(&first.key()).await.unwrap(), None);
}

/// Reading what is not there gives nothing; writing it fails.
pub async fn what_is_missing_is_not_found(store: Empty) {
    let draft = map("default", "a", "1");
    let expected = store.revision().await.unwrap();
    assert_eq!(store.get(&draft.key()).await.unwrap(), None);
    let gone = store.commit(Write::Delete { key: draft.key(), expected }).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
    let updated = store.commit(Write::update(draft, expected)).await;
    assert!(matches!(updated, Err(StoreError::NotFound(_))));
}

/// After a deletion the key is free.
pub async fn a_key_can_be_used_again(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    delete(&store, &first).await;
    let second = create(&store, map("default", "a", "2")).await;
    assert_eq!(store.get(&first.key()).await.unwrap(), Some(second));
}

/// What is refused leaves no trace.
pub async fn a_refused_write_takes_no_revision(store: Empty) {
    let first = create(&store, map("default", "a", "1")).await;
    store.commit(Write::create(map("default", "a", "2"))).await.expect_err("taken");
    assert_eq!(store.revision().await.unwrap(), first.revision());
}
