//! What of its own objects a controller looks at.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::json;

use super::World;
use crate::client::{Change, Informers, ObjectRef};
use crate::reconcile::{Action, Context, Controller, Error, Reconciler};

/// Writes down what it is called for.
#[derive(Debug, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn write(&self, entry: String) -> Result<Action, Error> {
        self.0.lock().unwrap().push(entry);
        Ok(Action::Done)
    }
}

#[async_trait::async_trait]
impl Reconciler for Diary {
    type Object = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, _: &Context) -> Result<Action, Error> {
        self.write(format!("{:?}", map.data.as_ref().and_then(|data| data.get("page"))))
    }

    async fn gone(&self, map: &ObjectRef, _: &Context) -> Result<Action, Error> {
        self.write(format!("{} is gone", map.name))
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_not_relevant_are_not_looked_at() {
    let world = World::with(|_| false).await;
    let diary = Diary::default();
    let entries = Arc::clone(&diary.0);
    let content = |map: &Option<Arc<ConfigMap>>| map.as_ref().map(|map| map.data.clone());
    let running = Controller::new("diary", diary)
        .predicate(move |change: &Change<ConfigMap>| content(&change.old) != content(&change.new))
        .start(&world.ctx);
    world.create::<ConfigMap>(json!({ "metadata": { "name": "book" }, "data": { "page": "one" } })).await;
    world.pass(1).await;
    world.patch::<ConfigMap>("book", json!({ "metadata": { "labels": { "shelf": "low" } } })).await;
    world.pass(1).await;
    world.patch::<ConfigMap>("book", json!({ "data": { "page": "two" } })).await;
    world.pass(1).await;
    world.client.api::<ConfigMap>("default").delete("book").await.unwrap();
    world.pass(1).await;
    assert_eq!(*entries.lock().unwrap(), ["Some(\"one\")", "Some(\"two\")", "book is gone"]);
    running.stop().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_named_first_is_told_of_a_change_first() {
    let world = World::with(|_| false).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let told = Arc::clone(&told);
        move |_: &Change<Secret>, _: &Informers| {
            told.lock().unwrap().push(name);
            Vec::new()
        }
    };
    let running =
        Controller::new("diary", Diary::default()).watches(note("first")).watches(note("second")).start(&world.ctx);
    world.pass(1).await;
    world.create::<Secret>(json!({ "metadata": { "name": "s" } })).await;
    world.pass(1).await;
    assert_eq!(*told.lock().unwrap(), ["first", "second"]);
    running.stop().await;
    world.stop().await;
}
