use super::*;
use crate::api::{Patch, WriteOptions};
use crate::runtime::memory::SimulatedImage;
use crate::runtime::{Limits, Runtime};

fn sized(cpu: &str, memory: &str) -> Value {
    json!({ "requests": { "cpu": cpu, "memory": memory }, "limits": { "cpu": cpu, "memory": memory } })
}

impl World {
    async fn resize(&self, name: &str, resources: Value) {
        let patch = json!({ "spec": { "containers": [{ "name": "main", "resources": resources }] } });
        let pods = self.client.api::<Pod>("default");
        let options = WriteOptions::default();
        pods.dynamic().patch(name, "resize", Patch::Strategic(patch), &options).await.unwrap();
    }

    /// What the runtime has set, and what the status says of it.
    async fn sizes(&self, name: &str) -> (Limits, Value, Value) {
        let pod = self.pod(name).await.unwrap();
        let sandbox = self.runtime.sandbox_of(pod.metadata.uid.as_deref().unwrap()).unwrap().0;
        let limits = self.runtime.containers(&sandbox).await.unwrap().pop().unwrap().limits;
        let status = pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].clone();
        (limits, json!(status.resources), json!(status.allocated_resources))
    }

    async fn resize_conditions(&self, name: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let conditions = self.status(name).await.conditions.unwrap();
        let conditions = conditions.into_iter().filter(|one| one.type_.starts_with("PodResize"));
        conditions.map(|one| (one.type_, one.reason, one.message)).collect()
    }
}

fn limits(resources: &Value) -> Limits {
    Limits::of(&serde_json::from_value(resources.clone()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_status_tells_what_a_container_has_that_has_been_made() {
    let world = World::new().await;
    let wanted = sized("500m", "64Mi");
    world.runtime.registry().add("nope", SimulatedImage::server().with_pull_failure("not found"));
    for (name, image, command, resources, told) in [
        ("waiting", "nope", "sleep 1000", Some(&wanted), (Value::Null, Value::Null)),
        ("running", "busybox", "sleep 1000", Some(&wanted), (wanted.clone(), wanted["requests"].clone())),
        ("ended", "busybox", "exit 0", Some(&wanted), (wanted.clone(), wanted["requests"].clone())),
        ("plain", "busybox", "sleep 1000", None, (json!({}), Value::Null)),
    ] {
        let container =
            json!({ "name": "main", "image": image, "command": ["sh", "-c", command], "resources": resources });
        world.run(name, json!({ "restartPolicy": "Never", "containers": [container] })).await;
        world.pass(1).await;
        let status = world.status(name).await.container_statuses.unwrap().remove(0);
        assert_eq!((json!(status.resources), json!(status.allocated_resources)), told, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_resized_while_it_runs() {
    let world = World::new().await;
    world.run_image("web", "x", json!({ "resources": sized("500m", "64Mi") })).await;
    world.pass(1).await;
    let before = world.status("web").await.container_statuses.unwrap()[0].clone();
    world.resize("web", sized("1", "128Mi")).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    let wanted = sized("1", "128Mi");
    assert_eq!(world.sizes("web").await, (limits(&wanted), wanted.clone(), wanted["requests"].clone()));
    assert_eq!(world.status("web").await.container_statuses.unwrap()[0].container_id, before.container_id);
    assert_eq!(world.resize_conditions("web").await, []);
    let told = r#"{"containers":[{"name":"main","resources":{"limits":{"cpu":"1","memory":"128Mi"},"requests":{"cpu":"1","memory":"128Mi"}}}],"generation":2}"#;
    let events = world.events("web").await;
    for event in
        [format!("ResizeStarted: Pod resize started: {told}"), format!("ResizeCompleted: Pod resize completed: {told}")]
    {
        assert!(events.contains(&event), "{event}: {events:#?}");
    }
    assert_eq!(world.status("web").await.observed_generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_container_begins_anew_where_its_policy_says_so() {
    let world = World::new().await;
    let policy = json!([
        { "resourceName": "cpu", "restartPolicy": "NotRequired" },
        { "resourceName": "memory", "restartPolicy": "RestartContainer" },
    ]);
    world.run_image("web", "x", json!({ "resources": sized("500m", "64Mi"), "resizePolicy": policy })).await;
    world.pass(1).await;
    world.resize("web", sized("1", "64Mi")).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.resize("web", sized("1", "128Mi")).await;
    world.pass(3).await;
    assert_eq!(world.summary("web").await, "Running: main ready #1");
    assert_eq!(world.sizes("web").await.0, limits(&sized("1", "128Mi")));
    let events = world.events("web").await;
    assert!(events.contains(&"Killing: Container main resize requires restart".to_owned()), "{events:#?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("ResizeCompleted")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_resize_waits_for_room_or_is_never_done() {
    let mut world = World::new().await;
    world.run_image("web", "x", json!({ "resources": sized("500m", "64Mi") })).await;
    world.run_image("other", "x", json!({ "resources": sized("1", "64Mi") })).await;
    world.pass(1).await;
    world.resize("web", sized("1500m", "64Mi")).await;
    world.pass(1).await;
    let why = "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000";
    let deferred = [("PodResizePending".to_owned(), Some("Deferred".to_owned()), Some(why.to_owned()))];
    assert_eq!(world.resize_conditions("web").await, deferred);
    let had = sized("500m", "64Mi");
    assert_eq!(world.sizes("web").await, (limits(&had), had.clone(), had["requests"].clone()));
    let events = world.events("web").await;
    let event = format!(
        r#"ResizeDeferred: Pod resize OutOfcpu: {{"containers":[{{"name":"main","resources":{{"limits":{{"cpu":"1500m","memory":"64Mi"}},"requests":{{"cpu":"1500m","memory":"64Mi"}}}}}}],"generation":2,"error":"{why}"}}"#
    );
    assert!(events.contains(&event), "{events:#?}");
    // Nobody else is given what the pod has, nor is what it waits for kept free; an agent that comes back goes on waiting.
    world.run_image("small", "x", json!({ "resources": { "requests": { "cpu": "500m" } } })).await;
    world.run_image("large", "x", json!({ "resources": { "requests": { "cpu": "100m" } } })).await;
    world.pass(1).await;
    assert_eq!(world.summary("small").await, "Running: main ready");
    assert_eq!(world.status("large").await.reason.as_deref(), Some("OutOfcpu"));
    world.agent = None;
    world.pass(5).await;
    world.start_agent();
    world.pass(2).await;
    assert_eq!(world.sizes("web").await, (limits(&had), had.clone(), had["requests"].clone()));
    assert_eq!(world.resize_conditions("web").await[0].1.as_deref(), Some("Deferred"));
    for name in ["small", "other"] {
        world.client.api::<Pod>("default").delete(name).await.unwrap();
    }
    world.pass(5).await;
    assert_eq!(world.resize_conditions("web").await, []);
    let wanted = sized("1500m", "64Mi");
    assert_eq!(world.sizes("web").await, (limits(&wanted), wanted.clone(), wanted["requests"].clone()));
}

#[tokio::test(start_paused = true)]
async fn more_than_the_node_has_is_refused_and_what_is_taken_back_is_forgotten() {
    let world = World::new().await;
    world.run_image("web", "x", json!({ "resources": sized("500m", "64Mi") })).await;
    world.run_image("other", "x", json!({ "resources": sized("1", "64Mi") })).await;
    world.pass(1).await;
    let patch = json!({ "spec": { "containers": [{ "name": "main", "resources": sized("3", "64Mi") }] } });
    let pods = world.client.api::<Pod>("default");
    let refused =
        pods.dynamic().patch("web", "resize", Patch::Strategic(patch), &WriteOptions::default()).await.unwrap_err();
    let why = "pods \"web\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000";
    assert_eq!((refused.code(), refused.message()), (403, why));
    world.resize("web", sized("1500m", "64Mi")).await;
    world.pass(1).await;
    assert_eq!(world.resize_conditions("web").await[0].1.as_deref(), Some("Deferred"));
    world.resize("web", sized("500m", "64Mi")).await;
    world.pass(1).await;
    assert_eq!(world.resize_conditions("web").await, []);
    world.resize("web", sized("250m", "64Mi")).await;
    world.pass(1).await;
    assert_eq!(world.sizes("web").await.0, limits(&sized("250m", "64Mi")));
}

#[tokio::test(start_paused = true)]
async fn sidecars_are_resized_and_what_ends_for_it_begins_anew() {
    let world = World::new().await;
    let policy = json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
    let spec = json!({
        "restartPolicy": "OnFailure",
        "initContainers": [{ "name": "proxy", "image": "x", "restartPolicy": "Always", "resources": sized("100m", "64Mi") }],
        "containers": [{ "name": "main", "image": "x", "resources": sized("100m", "64Mi"), "resizePolicy": policy }],
    });
    world.run("web", spec).await;
    world.pass(2).await;
    assert_eq!(world.summary("web").await, "Running: proxy ready, main ready");
    let patch = json!({ "spec": {
        "initContainers": [{ "name": "proxy", "resources": sized("200m", "64Mi") }],
        "containers": [{ "name": "main", "resources": sized("100m", "128Mi") }],
    } });
    let pods = world.client.api::<Pod>("default");
    pods.dynamic().patch("web", "resize", Patch::Strategic(patch), &WriteOptions::default()).await.unwrap();
    world.pass(5).await;
    assert_eq!(world.summary("web").await, "Running: proxy ready, main ready #1");
    assert_eq!(world.resize_conditions("web").await, []);
    let status = world.status("web").await;
    let limits = |status: &ContainerStatus| json!(status.resources.as_ref().unwrap().limits);
    assert_eq!(limits(&status.init_container_statuses.unwrap()[0]), sized("200m", "64Mi")["limits"]);
    assert_eq!(limits(&status.container_statuses.unwrap()[0]), sized("100m", "128Mi")["limits"]);
}

/// A runtime that cannot change what runs, until it can.
#[derive(Debug)]
struct Stiff(MemoryRuntime, std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl crate::runtime::Layer for Stiff {
    fn below(&self) -> &dyn Runtime {
        &self.0
    }

    async fn update_resources(&self, id: &crate::runtime::ContainerId, limits: Limits) -> crate::runtime::Result<()> {
        if self.1.load(std::sync::atomic::Ordering::Relaxed) {
            let (operation, message) = ("update container".to_owned(), "device or resource busy".to_owned());
            return Err(crate::runtime::RuntimeError::Engine { operation, message });
        }
        self.0.update_resources(id, limits).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_does_not_do_is_told_and_tried_again() {
    let mut world = World::new().await;
    let stiff = Arc::new(Stiff(world.runtime.clone(), true.into()));
    let config = AgentConfig::new("n1", "172.16.0.1".parse().unwrap()).with_capacity("cpu", "2");
    world.agent = None;
    world.agent = Some(Agent::start(config, &world.informers, stiff.clone()));
    world.run_image("web", "x", json!({ "resources": sized("500m", "64Mi") })).await;
    world.pass(1).await;
    world.resize("web", sized("1", "64Mi")).await;
    world.pass(1).await;
    let why = "failed to resize container \"main\": failed to update container: device or resource busy";
    let failed = [("PodResizeInProgress".to_owned(), Some("Error".to_owned()), Some(why.to_owned()))];
    assert_eq!(world.resize_conditions("web").await, failed);
    let had = sized("500m", "64Mi");
    let (now, told, allocated) = world.sizes("web").await;
    assert_eq!((now, told), (limits(&had), had));
    assert_eq!(allocated, sized("1", "64Mi")["requests"], "it was granted");
    let told = world.events("web").await.into_iter().filter(|event| event.starts_with("ResizeError")).count();
    assert_eq!(told, 1);
    // An agent that begins anew takes up what was granted.
    stiff.1.store(false, std::sync::atomic::Ordering::Relaxed);
    world.agent = None;
    world.start_agent();
    world.pass(2).await;
    assert_eq!(world.sizes("web").await.0, limits(&sized("1", "64Mi")));
    assert_eq!(world.resize_conditions("web").await, []);
}

#[tokio::test(start_paused = true)]
async fn what_pods_take_is_counted_as_they_come_change_and_end() {
    let world = World::new().await; // with two CPUs
    let run = async |name: &str, cpu: &str| {
        world.run_image(name, "x", json!({ "resources": sized(cpu, "64Mi") })).await;
        world.pass(1).await;
        let status = world.status(name).await;
        let why = status.message.unwrap_or_default();
        let used = why.split("used: ").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
        (status.phase.unwrap(), used)
    };
    let running = || ("Running".to_owned(), None);
    let refused = |used: &str| ("Failed".to_owned(), Some(used.to_owned()));
    assert_eq!(run("first", "1").await, running());
    assert_eq!(run("refused", "1500m").await, refused("1000"));
    assert_eq!(run("second", "500m").await, running());
    assert_eq!(run("third", "1").await, refused("1500"), "one that was refused takes nothing");
    world.resize("first", sized("400m", "64Mi")).await;
    world.pass(1).await;
    assert_eq!(run("fourth", "1").await, running(), "600m were given back");
    assert_eq!(run("fifth", "200m").await, refused("1900"));
    world.client.api::<Pod>("default").delete("second").await.unwrap();
    world.pass(60).await;
    assert_eq!(run("sixth", "600m").await, running());
    assert_eq!(run("seventh", "1m").await, refused("2000"));
}
