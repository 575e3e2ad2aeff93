use super::*;
use futures::StreamExt;

use crate::api::{Connect, Connection, DeleteOptions, LogOptions, Patch, WatchOptions};
use crate::client::{Change, TypedEvent};
use crate::runtime::memory::{ContainerContext, Script, SimulatedImage};

#[tokio::test(start_paused = true)]
async fn a_plain_pod_becomes_ready() {
    let world = World::new().await;
    world.run_image("web", "nginx:1.25", json!({ "ports": [{ "containerPort": 8080 }] })).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    let status = world.status("web").await;
    assert_eq!(status.pod_ip.as_deref(), Some("10.244.1.2"));
    assert_eq!(status.host_ip.as_deref(), Some("172.16.0.1"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert!(container.container_id.as_ref().unwrap().starts_with("memory://"));
    assert!(container.image_id.starts_with("docker.io/library/nginx@sha256:"));
    assert_eq!((container.started, container.restart_count), (Some(true), 0));
    let conditions: Vec<_> =
        status.conditions.iter().flatten().map(|one| format!("{}={}", one.type_, one.status)).collect();
    assert_eq!(
        conditions,
        [
            "PodReadyToStartContainers=True",
            "Initialized=True",
            "Ready=True",
            "ContainersReady=True",
            "PodScheduled=True"
        ]
    );
    assert_eq!(
        world.events("web").await,
        [
            "Pulling: Pulling image \"nginx:1.25\"",
            "Pulled: Successfully pulled image \"nginx:1.25\" in 0s (0s including waiting). Image size: 67108864 bytes.",
            "Created: Container created",
            "Started: Container started",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_come_to_rest_causes_no_writes() {
    let world = World::new().await;
    world.run_image("web", "nginx", json!({})).await;
    world.pass(2).await;
    let version = world.pod("web").await.unwrap().metadata.resource_version.clone();
    world.pass(600).await;
    assert_eq!(world.pod("web").await.unwrap().metadata.resource_version, version);
}

/// A worker hears from the API that its pod is no more before the watch tells of the pod's last versions.
#[tokio::test(start_paused = true)]
async fn what_a_watch_still_tells_of_a_pod_that_is_no_more_starts_no_worker() {
    let world = World::new().await;
    let first = world.run_image("web", "nginx", json!({})).await;
    world.pass(1).await;
    let last = world.pod("web").await.unwrap();
    let workers = Arc::clone(&world.agent().workers);
    workers.finish(first.metadata.uid.as_deref().unwrap());
    workers.change(&Change { old: Some(first), new: Some(Arc::clone(&last)) });
    assert_eq!(world.agent().pods(), 0);
    workers.change(&Change { old: Some(Arc::clone(&last)), new: None });
    assert_eq!(world.agent().pods(), 0);
    // It has told of the end: nothing is remembered of it.
    workers.change(&Change { old: None, new: Some(last) });
    assert_eq!(world.agent().pods(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_ends_gracefully_and_goes() {
    let world = World::new().await;
    world.runtime.registry().add_function("slow", |context: ContainerContext| async move {
        context.terminated().await;
        context.clock().sleep(Duration::from_secs(5)).await;
        0
    });
    world.run_image("web", "slow", json!({})).await;
    world.pass(1).await;
    world.client.api::<Pod>("default").delete("web").await.unwrap();
    world.pass(3).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(3).await;
    assert!(world.pod("web").await.is_none());
    assert_eq!(world.events("web").await.last().unwrap(), "Killing: Stopping container main");
    assert_eq!(world.agent().pods(), 0);
    assert!(crate::runtime::Runtime::sandboxes(&world.runtime).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_end_is_killed_after_the_grace_period() {
    let world = World::new().await;
    world.runtime.registry().add_function("deaf", |_: ContainerContext| std::future::pending());
    let pods = world.client.api::<Pod>("default");
    world.run_image("web", "deaf", json!({})).await;
    world.pass(1).await;
    let options = DeleteOptions { grace_period: Some(60), ..DeleteOptions::default() };
    pods.delete_with("web", &options).await.unwrap();
    world.pass(50).await;
    assert!(world.pod("web").await.is_some());
    // A shorter grace period takes over.
    let options = DeleteOptions { grace_period: Some(3), ..DeleteOptions::default() };
    pods.delete_with("web", &options).await.unwrap();
    world.pass(2).await;
    assert!(world.pod("web").await.is_some());
    world.pass(2).await;
    assert!(world.pod("web").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failing_container_is_restarted_with_growing_pauses() {
    let world = World::new().await;
    world.runtime.registry().add("crash", SimulatedImage::new(Script::new().wait(Duration::from_secs(1)).exit(3)));
    world.run_image("web", "crash", json!({})).await;
    // Starts at 0, 1 (at once), 12 (after 10 s), 33 (after 20 s), 74 (after 40 s).
    world.pass_millis(500).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready #1");
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #1");
    let status = world.status("web").await;
    let container = &status.container_statuses.as_ref().unwrap()[0];
    let uid = world.pod("web").await.unwrap().metadata.uid.clone().unwrap();
    assert_eq!(
        container.state.as_ref().unwrap().waiting.as_ref().unwrap().message.as_deref(),
        Some(&format!("back-off 10s restarting failed container=main pod=web_default({uid})")[..])
    );
    assert_eq!(container.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
    assert_eq!(
        world.condition("web", "Ready").await,
        ("False".into(), Some("ContainersNotReady".into()), Some("containers with unready status: [main]".into()))
    );
    world.pass(10).await;
    assert_eq!(world.summary("web").await, "Running: main ready #2");
    world.pass(10).await;
    assert_eq!(world.summary("web").await, "Running: main CrashLoopBackOff #2");
    world.pass(11).await;
    assert_eq!(world.summary("web").await, "Running: main ready #3");
    let events = world.events("web").await;
    let backoff = format!("BackOff: Back-off restarting failed container main in pod web_default({uid})");
    assert!(events.iter().any(|event| event.starts_with(&backoff)), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn restart_policies_decide_how_a_pod_ends() {
    let world = World::new().await;
    let runs = |policy: &str, script: &str| {
        let container = json!({ "name": "main", "image": "busybox", "command": ["sh", "-c", script] });
        json!({ "restartPolicy": policy, "containers": [container] })
    };
    for (name, policy, script, summary) in [
        ("done", "Never", "exit 0", "Succeeded: main Completed(0)"),
        ("lost", "Never", "exit 2", "Failed: main Error(2)"),
        ("well", "OnFailure", "exit 0", "Succeeded: main Completed(0)"),
        ("ill", "OnFailure", "exit 1", "Running: main CrashLoopBackOff #1"),
        ("ever", "Always", "exit 0", "Running: main CrashLoopBackOff #1"),
    ] {
        world.run(name, runs(policy, script)).await;
        world.pass(2).await;
        assert_eq!(world.summary(name).await, summary, "{name}");
    }
    let ready = world.condition("done", "Ready").await;
    assert_eq!(ready, ("False".into(), Some("PodCompleted".into()), None));
    // What has ended can still be read, and deleted.
    let connect = Connect::Log(LogOptions::default());
    let uid = world.pod("done").await.unwrap().metadata.uid.clone().unwrap();
    let pod = crate::api::PodRef { namespace: "default".into(), name: "done".into(), uid };
    assert!(matches!(world.agent().endpoint().connect(&pod, connect).await, Ok(Connection::Log(_))));
    world.client.api::<Pod>("default").delete("done").await.unwrap();
    world.pass(1).await;
    assert!(world.pod("done").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_one_after_the_other_and_sidecars_outlive_them() {
    let world = World::new().await;
    let sleeper = |name: &str, seconds: u64| json!({ "name": name, "image": "busybox", "command": ["sh", "-c", format!("sleep {seconds}")] });
    let mut sidecar = json!({ "name": "proxy", "image": "proxy", "restartPolicy": "Always" });
    sidecar["startupProbe"] =
        json!({ "exec": { "command": ["cat", "/tmp/ready"] }, "periodSeconds": 1, "failureThreshold": 9 });
    let script = Script::new().wait(Duration::from_secs(3)).write("/tmp/ready", "");
    world.runtime.registry().add("proxy", SimulatedImage::new(script));
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [sleeper("first", 2), sidecar, sleeper("second", 2)],
        "containers": [sleeper("main", 5)],
    });
    world.run("web", spec).await;
    world.pass(1).await;
    assert_eq!(
        world.summary("web").await,
        "Pending: first running, proxy PodInitializing, second PodInitializing, main PodInitializing"
    );
    assert_eq!(
        world.condition("web", "Initialized").await.2.as_deref(),
        Some("containers with incomplete status: [first proxy second]")
    );
    world.pass(2).await;
    assert_eq!(
        world.summary("web").await,
        "Pending: first Completed(0), proxy running, second PodInitializing, main PodInitializing"
    );
    world.pass(3).await;
    assert_eq!(
        world.summary("web").await,
        "Pending: first Completed(0), proxy ready, second running, main PodInitializing"
    );
    world.pass(3).await;
    assert_eq!(world.summary("web").await, "Running: first Completed(0), proxy ready, second Completed(0), main ready");
    world.pass(6).await;
    assert_eq!(
        world.summary("web").await,
        "Succeeded: first Completed(0), proxy Completed(0), second Completed(0), main Completed(0)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_init_container_fails_a_pod_that_is_never_restarted() {
    let world = World::new().await;
    let init = json!({ "name": "init", "image": "busybox", "command": ["false"] });
    let spec =
        json!({ "restartPolicy": "Never", "initContainers": [init], "containers": [{ "name": "main", "image": "x" }] });
    world.run("web", spec).await;
    world.pass(1).await;
    assert!(world.summary("web").await.starts_with("Failed: init Error(1)"), "{}", world.summary("web").await);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_fetched_is_tried_again_with_pauses() {
    let world = World::new().await;
    world.runtime.registry().add("nope", SimulatedImage::server().with_pull_failure("not found"));
    world.run_image("web", "nope", json!({})).await;
    world.pass_millis(500).await;
    assert_eq!(world.summary("web").await, "Pending: main ErrImagePull");
    world.pass(2).await;
    assert_eq!(world.summary("web").await, "Pending: main ImagePullBackOff");
    world.runtime.registry().add("nope", SimulatedImage::server());
    world.pass(10).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    let events = world.events("web").await;
    for event in
        ["Failed: Error: ErrImagePull", "BackOff: Back-off pulling image \"nope\"", "Failed: Error: ImagePullBackOff"]
    {
        assert!(events.iter().any(|found| found.starts_with(event)), "{event}: {events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_past_its_deadline_fails() {
    let world = World::new().await;
    world.run("web", json!({ "activeDeadlineSeconds": 10, "containers": [{ "name": "main", "image": "x" }] })).await;
    world.pass(9).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(3).await;
    let status = world.status("web").await;
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
}

#[tokio::test(start_paused = true)]
async fn a_node_refuses_what_it_has_no_room_for() {
    let world = World::new().await;
    let wants = |cpu: &str| json!({ "resources": { "requests": { "cpu": cpu } }, "ports": [{ "containerPort": 80, "hostPort": 80 }] });
    world.run_image("fits", "x", wants("1500m")).await;
    world.run_image("large", "x", wants("1")).await;
    world.run_image("port", "x", wants("100m")).await;
    world.pass(1).await;
    assert_eq!(world.summary("fits").await, "Running: main ready");
    let status = world.status("large").await;
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    let why = "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000";
    assert_eq!(status.message, Some(format!("Pod was rejected: {why}")));
    assert_eq!(world.events("large").await, [format!("OutOfcpu: {why}")]);
    assert_eq!(world.status("port").await.reason.as_deref(), Some("NodePorts"));
}

#[tokio::test(start_paused = true)]
async fn hooks_run_before_and_after() {
    let world = World::new().await;
    let hooks = json!({ "lifecycle": {
        "postStart": { "exec": { "command": ["sh", "-c", "echo hi > /tmp/hi"] } },
        "preStop": { "sleep": { "seconds": 4 } },
    }, "readinessProbe": { "exec": { "command": ["cat", "/tmp/hi"] } } });
    world.run_image("web", "x", hooks).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.client.api::<Pod>("default").delete("web").await.unwrap();
    world.pass(3).await;
    assert!(world.pod("web").await.is_some());
    world.pass(3).await;
    assert!(world.pod("web").await.is_none());

    world.run_image("bad", "x", json!({ "lifecycle": { "postStart": { "exec": { "command": ["false"] } } } })).await;
    world.pass(3).await;
    let events = world.events("bad").await;
    assert!(events.iter().any(|event| event.starts_with("FailedPostStartHook: PostStartHook failed")), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_comes_back_takes_over_what_runs() {
    let mut world = World::new().await;
    world.run_image("web", "x", json!({})).await;
    world.run_image("gone", "x", json!({})).await;
    world.pass(1).await;
    let before = world.status("web").await.container_statuses.unwrap()[0].container_id.clone();
    world.agent = None;
    let force = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
    world.client.api::<Pod>("default").delete_with("gone", &force).await.unwrap();
    world.pass(5).await;
    world.start_agent();
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    assert_eq!(world.status("web").await.container_statuses.unwrap()[0].container_id, before);
    assert_eq!(crate::runtime::Runtime::sandboxes(&world.runtime).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_gates_hold_a_pod_back() {
    let world = World::new().await;
    let gates = json!([{ "conditionType": "example.com/open" }]);
    world.run("web", json!({ "readinessGates": gates, "containers": [{ "name": "main", "image": "x" }] })).await;
    world.pass(1).await;
    assert_eq!(
        world.condition("web", "Ready").await,
        (
            "False".into(),
            Some("ReadinessGatesNotReady".into()),
            Some("corresponding condition of pod readiness gate \"example.com/open\" does not exist.".into())
        )
    );
    let open = json!({ "status": { "conditions": [{ "type": "example.com/open", "status": "True" }] } });
    world.client.api::<Pod>("default").patch_status("web", Patch::Strategic(open)).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.condition("web", "Ready").await.0, "True");
    assert_eq!(world.condition("web", "example.com/open").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn containers_that_start_at_once_are_first_seen_being_created() {
    let world = World::new().await;
    let options = WatchOptions { bookmarks: false, ..WatchOptions::default() };
    let mut events = world.client.api::<Pod>("default").watch(&options).await.unwrap();
    world.run_image("web", "x", json!({})).await;
    let told = async {
        loop {
            let Some(Ok(TypedEvent::Modified(pod))) = events.next().await else { continue };
            let status = pod.status.clone().unwrap();
            if status.container_statuses.is_some() {
                return status;
            }
        }
    };
    let status = told.await;
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let container = &status.container_statuses.as_ref().unwrap()[0];
    let waiting = container.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    assert_eq!((container.ready, container.started), (false, Some(false)));
    let conditions: Vec<_> = status.conditions.iter().flatten().map(|one| (&*one.type_, &*one.status)).collect();
    assert_eq!(
        conditions,
        [
            ("PodReadyToStartContainers", "False"),
            ("Initialized", "True"),
            ("Ready", "False"),
            ("ContainersReady", "False"),
            ("PodScheduled", "True"),
        ]
    );
    assert_eq!(status.pod_ip, None);
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_changes_while_a_status_is_written_is_observed() {
    use crate::api::Patch;
    use crate::client::{Fault, Intercept};
    use futures::FutureExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut world = World::new().await;
    let pods = world.client.api::<Pod>("default");
    let (armed, other) = (Arc::new(AtomicBool::new(false)), pods.clone());
    let fires = Arc::clone(&armed);
    let backend = Intercept::new(Arc::clone(world.client.backend()), move |verb, target| {
        if (verb, &*target.subresource) == ("update", "status")
            && target.name() == "web"
            && fires.swap(false, Ordering::Relaxed)
        {
            let deadline = json!({ "spec": { "activeDeadlineSeconds": 1000 } });
            other.patch("web", Patch::Merge(deadline)).now_or_never().expect("it is at once").unwrap();
        }
        Fault::None
    });
    let client = Client::new(Arc::new(backend), *world.client.clock(), world.client.random().clone());
    world.agent = None;
    world.informers = Informers::new(client);
    world.start_agent();
    world.run_image("web", "x", json!({})).await;
    world.pass(5).await;
    // Somebody writes over the status: the agent mends it, once.
    armed.store(true, Ordering::Relaxed);
    pods.modify_status("web", |pod| pod.status.as_mut().unwrap().phase = Some("Pending".into())).await.unwrap();
    world.pass(5).await;
    assert!(!armed.load(Ordering::Relaxed), "it was written while the spec changed");
    let pod = world.pod("web").await.unwrap();
    let status = pod.status.as_ref().unwrap();
    assert_eq!((status.phase.as_deref(), pod.metadata.generation), (Some("Running"), Some(2)));
    assert_eq!(status.observed_generation, Some(2));
}
