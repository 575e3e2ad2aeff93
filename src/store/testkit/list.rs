//! Lists, pages and snapshots.

use super::{Empty, create, delete, map, maps, names, pod, pods, update, value};
use crate::store::{Range, Scope, StoreError};

/// The order is by namespace, then by name; each as bytes.
pub async fn a_list_is_ordered_by_namespace_and_name(store: Empty) {
    for (namespace, name) in [("b", "a"), ("a", "z"), ("a-b", "m"), ("a", "b"), ("a", "a-1"), ("a", "a")] {
        create(&store, map(namespace, name, "")).await;
    }
    let page = store.list(&Scope::all(maps()), &Range::default()).await.unwrap();
    assert_eq!(names(&page.items), ["a/a", "a/a-1", "a/b", "a/z", "a-b/m", "b/a"]);
    assert_eq!(page.remaining, 0);
    assert_eq!(page.revision, store.revision().await.unwrap());
}

/// A namespace is not a prefix, and a resource has its own keys.
pub async fn a_list_of_a_namespace_has_no_other(store: Empty) {
    for (namespace, name) in [("a", "1"), ("a", "2"), ("ab", "1"), ("b", "1")] {
        create(&store, map(namespace, name, "")).await;
    }
    create(&store, pod("1", "")).await;
    let listed = |namespace| {
        let store = store.clone();
        async move { store.list(&Scope::namespace(maps(), namespace), &Range::default()).await.unwrap().items.len() }
    };
    assert_eq!((listed("a").await, listed("ab").await, listed("c").await, listed("").await), (2, 1, 0, 4));
}

/// Pages read at one revision show that revision, whatever is written meanwhile.
pub async fn pages_of_one_snapshot_fit_together(store: Empty) {
    let mut objects = Vec::new();
    for number in 0..10 {
        objects.push(create(&store, map("default", &format!("m{number}"), "old")).await);
    }
    let scope = Scope::namespace(maps(), "default");
    let first = store.list(&scope, &Range { limit: Some(4), ..Range::default() }).await.unwrap();
    assert_eq!((first.items.len(), first.remaining), (4, 6));

    delete(&store, &objects[5]).await;
    update(&store, map("default", "m6", "new"), &objects[6]).await;
    create(&store, map("default", "m55", "new")).await;

    let mut seen = first.items.clone();
    while seen.len() < 10 {
        let after = seen.last().map(|object| object.key());
        let range = Range { at: Some(first.revision), after, limit: Some(4) };
        let page = store.list(&scope, &range).await.unwrap();
        assert_eq!(page.revision, first.revision);
        assert_eq!(seen.len() + page.items.len() + page.remaining, 10);
        assert!(!page.items.is_empty());
        seen.extend(page.items);
    }
    assert_eq!(seen, objects);
}

/// Any revision that is remembered can be read.
pub async fn an_older_snapshot_can_be_read(store: Empty) {
    let a = create(&store, map("default", "a", "1")).await;
    let b = update(&store, map("default", "a", "2"), &a).await;
    let gone = delete(&store, &b).await;
    create(&store, map("default", "a", "3")).await;
    for (revision, wanted) in [(a.revision(), vec!["1"]), (b.revision(), vec!["2"]), (gone.revision(), vec![])] {
        let range = Range { at: Some(revision), ..Range::default() };
        let page = store.list(&Scope::all(maps()), &range).await.unwrap();
        assert_eq!(page.items.iter().map(value).collect::<Vec<_>>(), wanted);
        assert_eq!(page.revision, revision);
    }
}

/// A compaction forgets what is before its revision, and nothing of it or after.
pub async fn a_snapshot_before_the_compaction_has_expired(store: Empty) {
    let a = create(&store, map("default", "a", "1")).await;
    let b = create(&store, map("default", "b", "1")).await;
    create(&store, map("default", "c", "1")).await;
    store.compact(b.revision()).await.unwrap();
    let at = |revision| Range { at: Some(revision), ..Range::default() };
    let expired = store.list(&Scope::all(maps()), &at(a.revision())).await;
    assert!(matches!(expired, Err(StoreError::Expired { asked, .. }) if asked == a.revision()));
    assert_eq!(store.list(&Scope::all(maps()), &at(b.revision())).await.unwrap().items.len(), 2);
}

/// Nothing can be read or compacted at a revision that has not been.
pub async fn a_snapshot_ahead_is_refused(store: Empty) {
    let ahead = create(&store, map("default", "a", "1")).await.revision().next();
    let range = Range { at: Some(ahead), ..Range::default() };
    let listed = store.list(&Scope::all(maps()), &range).await;
    assert!(matches!(listed, Err(StoreError::Future { asked, .. }) if asked == ahead));
    assert!(matches!(store.compact(ahead).await, Err(StoreError::Future { .. })));
}

/// An index holds exactly the objects that have the value now. Only for stores that index pods by their node.
pub async fn an_index_lists_the_objects_with_its_value(store: Empty) {
    if !store.is_indexed(&pods(), "spec.nodeName") {
        return;
    }
    let on = |node: &'static str| {
        let store = store.clone();
        async move {
            let scope = Scope::all(pods()).indexed("spec.nodeName", node);
            names(&store.list(&scope, &Range::default()).await.unwrap().items)
        }
    };
    let a = create(&store, pod("a", "")).await;
    let b = create(&store, pod("b", "n1")).await;
    create(&store, pod("c", "n1")).await;
    assert_eq!(on("").await, ["default/a"]);
    assert_eq!(on("n1").await, ["default/b", "default/c"]);
    update(&store, pod("a", "n1"), &a).await;
    assert_eq!(on("").await, [""; 0]);
    assert_eq!(on("n1").await, ["default/a", "default/b", "default/c"]);
    delete(&store, &b).await;
    assert_eq!(on("n1").await, ["default/a", "default/c"]);
}
