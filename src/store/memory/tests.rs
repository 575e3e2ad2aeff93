use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::MemoryStore;
use super::history::{PATIENCE, RECENT};
use crate::api::{Draft, GroupResource, Object};
use crate::store::{Range, Scope, Store, StoreError, StoreEvent, StoreWatch, Write};

mod kit {
    use super::*;
    crate::store_testkit!(async { Arc::new(MemoryStore::default()) as Arc<dyn Store> });
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
    store.commit(Write::create(map(name))).await.unwrap()
}

async fn next(watch: &mut StoreWatch) -> Result<StoreEvent, StoreError> {
    watch.next().await.expect("the watch goes on")
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_tells_how_far_it_has_come() {
    let store = MemoryStore::builder().progress(Some(Duration::from_secs(60))).build();
    let mut watch = store.watch(&Scope::namespace(maps(), "quiet"), store.revision().await.unwrap()).await.unwrap();
    for name in ["a", "b"] {
        // It waits already.
        assert!(watch.next().now_or_never().is_none());
        let busy = create(&store, name).await;
        let Ok(StoreEvent::Progress(revision)) = next(&mut watch).await else { panic!("wanted progress") };
        assert_eq!(revision, busy.revision());
    }
}

#[tokio::test(start_paused = true)]
async fn it_tells_so_once_it_has_been_idle_for_so_long() {
    let patience = Duration::from_secs(60);
    let store = MemoryStore::builder().progress(Some(patience)).build();
    let mut watch = store.watch(&Scope::all(maps()), store.revision().await.unwrap()).await.unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        assert!(watch.next().now_or_never().is_none());
        tokio::time::advance(patience * 2 / 3).await;
        let name = begun.elapsed().as_secs().to_string();
        create(&store, &name).await;
        assert!(matches!(next(&mut watch).await, Ok(StoreEvent::Change(_))));
    }
    let last = Instant::now();
    for times in 1..3 {
        assert!(matches!(next(&mut watch).await, Ok(StoreEvent::Progress(_))));
        assert_eq!(last.elapsed(), patience * times);
    }
}

/// A task, as far as it can be woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_watch_wakes_whom_it_was_asked_by_last_and_nobody_once_it_is_dropped() {
    let store = MemoryStore::builder().progress(None).build();
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(&Scope::all(maps()), start).await.unwrap();
    let mut other = store.watch(&Scope::all(maps()), start).await.unwrap();
    let [first, second, third] = std::array::from_fn(|_| Arc::new(Task::default()));
    let asked = |watch: &mut StoreWatch, by: &Arc<Task>| {
        let waker = Waker::from(Arc::clone(by));
        watch.poll_next_unpin(&mut Context::from_waker(&waker)).is_ready()
    };
    let woken = |task: &Task| task.0.swap(0, Ordering::Relaxed);
    assert!(!asked(&mut watch, &first) && !asked(&mut watch, &second) && !asked(&mut other, &third));
    create(&store, "a").await;
    assert_eq!([&first, &second, &third].map(|task| woken(task)), [0, 1, 1]);

    assert!(asked(&mut watch, &second) && !asked(&mut watch, &second));
    assert!(asked(&mut other, &third) && !asked(&mut other, &third));
    drop(watch);
    assert_eq!(Arc::strong_count(&second), 1);
    create(&store, "b").await;
    assert_eq!([&first, &second, &third].map(|task| woken(task)), [0, 0, 1]);
    drop(other); // which waits no longer
    assert_eq!(Arc::strong_count(&third), 1);
}

#[tokio::test]
async fn whom_a_watch_wakes_may_have_watches_itself() {
    struct Task(#[expect(dead_code, reason = "it goes with the task")] Mutex<StoreWatch>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let store = MemoryStore::builder().progress(None).build();
    let start = store.revision().await.unwrap();
    let watch = async || store.watch(&Scope::all(maps()), start).await.unwrap();
    let mut one = watch().await;
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Task(Mutex::new(watch().await))));
        assert!(one.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(one);
    assert!(store.0.writer.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_expires_only_when_the_history_has_lost_its_place() {
    let store = MemoryStore::builder().history(5).progress(None).build();
    let start = store.revision().await.unwrap();
    let mut late = store.watch(&Scope::all(maps()), start).await.unwrap();
    for number in 0..5 {
        create(&store, &format!("m{number}")).await;
    }
    for expected in [start.next(), start.next().next()] {
        let Ok(StoreEvent::Change(change)) = next(&mut late).await else { panic!("wanted a change") };
        assert_eq!(change.revision, expected);
    }

    let mut too_late = store.watch(&Scope::all(maps()), start).await.unwrap();
    create(&store, "m5").await;
    create(&store, "m6").await;
    assert!(matches!(next(&mut too_late).await, Err(StoreError::Expired { .. })));
    assert!(too_late.next().await.is_none(), "an error ends the watch");
    // The other one is where the history begins.
    let rest: Vec<_> = std::iter::from_fn(|| late.next().now_or_never().flatten()).collect();
    assert!(rest.len() == 5 && rest.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_watcher_of_a_quiet_scope_is_told_for_as_long_as_the_history_remembers() {
    let store = MemoryStore::builder().hot(1).history(PATIENCE + 100).progress(None).build();
    let quiet = Scope::namespace(maps(), "quiet");
    let mut watch = store.watch(&quiet, store.revision().await.unwrap()).await.unwrap();
    let elsewhere = async |round: usize| {
        for number in 0..PATIENCE + 50 {
            create(&store, &format!("m{round}-{number}")).await;
        }
    };
    let quietly = async |name: &str| {
        let mut draft = map(name);
        draft.meta_mut().namespace = Some("quiet".to_owned());
        let object = store.commit(Write::create(draft)).await.unwrap();
        object.json();
        object
    };
    // Where the watch began, the history has forgotten; what comes in its scope then has lost its typed form.
    elsewhere(0).await;
    elsewhere(1).await;
    let first = quietly("first").await;
    elsewhere(2).await;
    let Ok(StoreEvent::Change(change)) = next(&mut watch).await else { panic!("wanted a change") };
    assert!(change.object == first && !change.object.ptr_eq(&first));

    quietly("second").await;
    elsewhere(3).await;
    elsewhere(4).await;
    assert!(matches!(next(&mut watch).await, Err(StoreError::Expired { .. })));
}

#[tokio::test]
async fn what_a_watcher_has_yet_to_see_cools_when_it_has() {
    let store = MemoryStore::builder().hot(1).progress(None).build();
    let start = store.revision().await.unwrap();
    let watch = async |after| store.watch(&Scope::all(maps()), after).await.unwrap();
    let (mut slow, mut gone, mut quick) = (watch(start).await, watch(start).await, watch(start).await);
    let write = async |name: &str| {
        let object = create(&store, name).await;
        object.json();
        object
    };
    let first = write("first").await;
    assert!(matches!(next(&mut quick).await, Ok(StoreEvent::Change(_))));
    assert!(quick.next().now_or_never().is_none());
    let resumed = watch(start).await;
    for number in 0..RECENT + 50 {
        write(&format!("m{number}")).await;
    }
    drop(resumed);
    assert!(matches!(next(&mut gone).await, Ok(StoreEvent::Change(_))));
    drop(gone);
    let is_typed = async || store.get(&first.key()).await.unwrap().unwrap().ptr_eq(&first);
    assert!(is_typed().await);
    let Ok(StoreEvent::Change(change)) = next(&mut slow).await else { panic!("wanted a change") };
    assert!(change.object.ptr_eq(&first));
    write("another").await;
    assert!(is_typed().await, "who was told may be busy with it");
    assert!(matches!(next(&mut slow).await, Ok(StoreEvent::Change(_))));
    write("one more").await;
    assert!(!is_typed().await);

    // Twice as many as come: what has waited is soon done.
    drop((slow, quick));
    let last = write("last").await;
    for number in 0..RECENT {
        write(&format!("n{number}")).await;
    }
    assert!(!store.get(&last.key()).await.unwrap().unwrap().ptr_eq(&last));
}

#[tokio::test]
async fn dropping_a_watch_unregisters_it() {
    let store = MemoryStore::default();
    let start = store.revision().await.unwrap();
    let one = store.watch(&Scope::all(maps()), start).await.unwrap();
    let two = store.watch(&Scope::all(maps()), start).await.unwrap();
    drop(one);
    assert!(!store.0.writer.lock().is_empty());
    drop(two);
    assert!(store.0.writer.lock().is_empty());
}

#[tokio::test]
async fn a_field_that_is_not_indexed_is_no_scope() {
    let store = MemoryStore::default();
    let scope = Scope::all(maps()).indexed("data.x", "1");
    let listed = store.list(&scope, &Range::default()).await;
    assert!(matches!(listed, Err(StoreError::NotIndexed { field: "data.x", .. })));
    assert!(store.watch(&scope, store.revision().await.unwrap()).await.is_err());
}

#[tokio::test]
async fn what_was_printed_and_is_not_recent_is_cold_and_still_there() {
    let store = MemoryStore::builder().hot(1).build();
    let start = store.revision().await.unwrap();
    let mut created = Vec::new();
    for number in 0..3 {
        let object = create(&store, &format!("m{number}")).await;
        object.json();
        created.push(object);
    }
    let write = Write::update(created[1].draft(), created[1].revision());
    let updated = store.commit(write).await.unwrap();
    updated.json();
    store.commit(Write::Delete { key: created[2].key(), expected: created[2].revision() }).await.unwrap();
    for number in 0..RECENT {
        create(&store, &format!("n{number}")).await;
    }
    let held = store.list(&Scope::all(maps()), &Range { limit: Some(2), ..Range::default() }).await.unwrap();
    for (now, then) in held.items.iter().zip([&created[0], &updated]) {
        assert!(!now.ptr_eq(then), "the store holds another form of it");
        assert_eq!(now, then);
    }
    let before = Range { at: Some(created[2].revision()), ..Range::default() };
    let page = store.list(&Scope::all(maps()), &before).await.unwrap();
    assert_eq!(page.items, created, "as it was then");
    let mut watch = store.watch(&Scope::all(maps()), start).await.unwrap();
    for expected in &created {
        let Ok(StoreEvent::Change(change)) = next(&mut watch).await else { panic!("wanted a change") };
        assert_eq!(&change.object, expected);
    }
    let (Ok(StoreEvent::Change(update)), Ok(StoreEvent::Change(deletion))) =
        (next(&mut watch).await, next(&mut watch).await)
    else {
        panic!("wanted changes")
    };
    assert_eq!((&update.object, update.previous.as_ref()), (&updated, Some(&created[1])));
    assert_eq!((deletion.deleted, deletion.object.name()), (true, "m2"));
    assert_eq!(deletion.object.meta().resource_version, Some(deletion.revision.to_string()));
}

#[tokio::test]
async fn what_cools_is_of_a_resource_of_many_objects_whatever_is_written_meanwhile() {
    let store = MemoryStore::builder().hot(1).build();
    let mut alone = Secret::default();
    (alone.metadata.namespace, alone.metadata.name) = (Some("default".to_owned()), Some("alone".to_owned()));
    let alone = store.commit(Write::create(Draft::new(alone))).await.unwrap();
    for number in 0..=RECENT {
        create(&store, &format!("m{number}")).await.json();
    }
    let kept = store.get(&alone.key()).await.unwrap().unwrap();
    assert!(kept.ptr_eq(&alone), "the only one of its resource, among writes of another");

    let many = create(&store, "many").await;
    let mut secret = alone;
    for _ in 0..=RECENT {
        let mut draft = secret.draft();
        draft.meta_mut().labels.get_or_insert_default().insert("version".to_owned(), secret.revision().to_string());
        let expected = secret.revision();
        secret = store.commit(Write::update(draft, expected)).await.unwrap();
    }
    let cold = store.get(&many.key()).await.unwrap().unwrap();
    assert!(!cold.ptr_eq(&many) && cold == many, "one of many, among writes of the only one of its resource");
}

#[tokio::test]
async fn what_is_printed_to_be_cooled_is_what_is_stored() {
    let store = MemoryStore::builder().hot(1).build();
    let start = store.revision().await.unwrap();
    let first = create(&store, "first").await;
    drop(store.commit(Write::update(first.draft(), first.revision())).await.unwrap());
    let name = first.key();
    drop(first);
    for number in 0..=RECENT {
        create(&store, &format!("m{number}")).await;
    }
    let mut watch = store.watch(&Scope::all(maps()), start).await.unwrap();
    let Ok(StoreEvent::Change(earlier)) = next(&mut watch).await else { panic!("wanted a change") };
    assert_ne!(earlier.object.size(), 0, "an earlier version, which is forgotten soon");
    assert_eq!(store.get(&name).await.unwrap().unwrap().size(), 0, "the one that stays");
}

#[tokio::test]
async fn of_smaller_types_more_objects_stay_typed() {
    let [pods, maps] = [size_of::<Pod>(), size_of::<ConfigMap>()];
    // As many as there will be are too many of pods, and not of ConfigMaps.
    let hot = RECENT * (pods + maps) / pods / 2;
    for (kind, cools) in [("Pod", true), ("ConfigMap", false)] {
        let store = MemoryStore::builder().hot(hot).build();
        let mut created = Vec::new();
        for number in 0..=RECENT {
            let name = format!("m{number}");
            let draft = if kind == "Pod" {
                let metadata =
                    ObjectMeta { name: Some(name), namespace: Some("default".to_owned()), ..ObjectMeta::default() };
                Draft::new(Pod { metadata, ..Pod::default() })
            } else {
                map(&name)
            };
            let object = store.commit(Write::create(draft)).await.unwrap();
            object.json();
            created.push(object);
        }
        let first = store.get(&created[0].key()).await.unwrap().unwrap();
        assert_eq!(!first.ptr_eq(&created[0]), cools, "{kind}");
    }
}
