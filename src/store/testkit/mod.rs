//! What a [`Store`](super::Store) promises, as tests that any implementation can run: one function per promise,
//! each given an empty store.
//!
//! [`store_testkit!`](crate::store_testkit) makes a `#[tokio::test]` of each:
//!
//! ```
//! use std::sync::Arc;
//! use orchestrion::store::{MemoryStore, Store};
//! orchestrion::store_testkit!(async { Arc::new(MemoryStore::default()) as Arc<dyn Store> });
//! ```

pub mod concurrency;
pub mod crud;
pub mod list;
pub mod watch;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec};

use super::{Store, Write};
use crate::api::{Draft, GroupResource, Kind, KindRef, Object, Strategy};

/// Makes a test of each promise, over stores that the expression (a future) gives.
#[macro_export]
macro_rules! store_testkit {
    ($store:expr) => {
        $crate::store_testkit! { @paused $store;
            crud: a_created_object_can_be_read,
            crud: every_write_takes_the_next_revision,
            crud: a_taken_key_is_refused,
            crud: an_update_replaces_the_version_it_was_made_from,
            crud: an_update_of_an_old_version_conflicts,
            crud: a_deletion_needs_the_version_it_was_decided_on,
            crud: what_is_missing_is_not_found,
            crud: a_key_can_be_used_again,
            crud: a_refused_write_takes_no_revision,
            list: a_list_is_ordered_by_namespace_and_name,
            list: a_list_of_a_namespace_has_no_other,
            list: pages_of_one_snapshot_fit_together,
            list: an_older_snapshot_can_be_read,
            list: a_snapshot_before_the_compaction_has_expired,
            list: a_snapshot_ahead_is_refused,
            list: an_index_lists_the_objects_with_its_value,
            watch: a_watch_yields_every_change_in_order,
            watch: a_watch_starts_after_its_revision,
            watch: a_watch_of_a_namespace_sees_no_other,
            watch: a_watch_of_a_revision_ahead_waits_for_it,
            watch: a_watch_from_before_the_compaction_has_expired,
            watch: a_watch_on_an_index_sees_objects_come_and_go,
            watch: a_slow_watcher_misses_nothing_or_is_told,
            watch: a_dropped_watch_leaves_the_others,
        }
        $crate::store_testkit! { @threads $store;
            concurrency: one_of_many_creators_wins,
            concurrency: no_update_is_lost,
            concurrency: watchers_see_one_history,
            concurrency: list_then_watch_misses_nothing,
        }
    };
    (@paused $store:expr; $($file:ident: $promise:ident,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $promise() {
            $crate::store::testkit::$file::$promise($store.await).await;
        }
    )*};
    (@threads $store:expr; $($file:ident: $promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $promise() {
            $crate::store::testkit::$file::$promise($store.await).await;
        }
    )*};
}

/// What the kit is given: a store that nothing was written to.
pub type Empty = Arc<dyn Store>;

#[derive(Debug)]
struct Plain<T>(std::marker::PhantomData<T>);

impl<T: crate::api::ApiType> Strategy for Plain<T> {
    type Object = T;
}

fn maps() -> GroupResource {
    GroupResource::new("", "configmaps")
}

fn pods() -> GroupResource {
    GroupResource::new("", "pods")
}

/// A ConfigMap `namespace/name` whose only datum is `value`.
fn map(namespace: &str, name: &str, value: &str) -> Draft {
    let mut map = ConfigMap::default();
    map.metadata.namespace = Some(namespace.to_owned());
    map.metadata.name = Some(name.to_owned());
    map.data = Some([("value".to_owned(), value.to_owned())].into());
    Draft::of(KindRef::from(Kind::builtin(Plain::<ConfigMap>(std::marker::PhantomData))), Arc::new(map))
}

/// A Pod `default/name` on `node`.
fn pod(name: &str, node: &str) -> Draft {
    let mut pod = Pod::default();
    pod.metadata.namespace = Some("default".to_owned());
    pod.metadata.name = Some(name.to_owned());
    pod.spec = Some(PodSpec { node_name: Some(node.to_owned()).filter(|node| !node.is_empty()), ..Default::default() });
    Draft::of(KindRef::from(Kind::builtin(Plain::<Pod>(std::marker::PhantomData))), Arc::new(pod))
}

fn value(object: &Object) -> String {
    let map = object.typed::<ConfigMap>().expect("a ConfigMap");
    map.data.as_ref().and_then(|data| data.get("value")).cloned().unwrap_or_default()
}

fn names(objects: &[Object]) -> Vec<String> {
    objects.iter().map(|object| format!("{}/{}", object.namespace(), object.name())).collect()
}

async fn create(store: &Empty, draft: Draft) -> Object {
    store.commit(Write::create(draft)).await.expect("the key is free")
}

async fn update(store: &Empty, object: Draft, old: &Object) -> Object {
    store.commit(Write::update(object, old.revision())).await.expect("the version is current")
}

async fn delete(store: &Empty, old: &Object) -> Object {
    store.commit(Write::Delete { key: old.key(), expected: old.revision() }).await.expect("the version is current")
}
