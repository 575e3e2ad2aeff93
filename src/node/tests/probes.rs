use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::api::{Admission, ApiError, Draft, Review};
use crate::client::{Fault, Intercept};
use crate::runtime::memory::{Script, SimulatedImage};

#[tokio::test(start_paused = true)]
async fn a_readiness_probe_decides_when_a_pod_is_ready() {
    let world = World::new().await;
    let script = Script::new()
        .wait(Duration::from_secs(7))
        .write("/tmp/ready", "")
        .wait(Duration::from_secs(20))
        .remove("/tmp/ready");
    world.runtime.registry().add("app", SimulatedImage::new(script));
    let probe = json!({ "exec": { "command": ["cat", "/tmp/ready"] }, "periodSeconds": 5, "failureThreshold": 2 });
    world.run_image("web", "app", json!({ "readinessProbe": probe })).await;
    world.pass(6).await;
    assert_eq!(world.summary("web").await, "Running: main running");
    world.pass(5).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(20).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(5).await;
    assert_eq!(world.summary("web").await, "Running: main running");
    let events = world.events("web").await;
    let unhealthy = "Unhealthy: Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory\n";
    assert!(events.iter().any(|event| event.starts_with(unhealthy)), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn http_probes_reach_the_simulated_server() {
    let world = World::new().await;
    let ports = json!([{ "name": "http", "containerPort": 8080 }]);
    let get = |port: Value| json!({ "httpGet": { "path": "/healthz", "port": port }, "periodSeconds": 1 });
    world.run_image("web", "x", json!({ "ports": ports, "readinessProbe": get("http".into()) })).await;
    world.run_image("bad", "x", json!({ "ports": ports, "readinessProbe": get(9090.into()) })).await;
    let tcp = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 });
    world.run_image("tcp", "x", json!({ "ports": ports, "readinessProbe": tcp })).await;
    world.pass(3).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    assert_eq!(world.summary("tcp").await, "Running: main ready");
    assert_eq!(world.summary("bad").await, "Running: main running");
    let ip = world.status("bad").await.pod_ip.unwrap();
    let events = world.events("bad").await;
    let unhealthy = format!(
        "Unhealthy: Readiness probe failed: Get \"http://{ip}:9090/healthz\": dial tcp {ip}:9090: connect: connection refused"
    );
    assert!(events.iter().any(|event| event.starts_with(&unhealthy)), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_liveness_probe_restarts_the_container() {
    let world = World::new().await;
    // The example of Kubernetes' own documentation.
    let args = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600";
    let probe = json!({ "exec": { "command": ["cat", "/tmp/healthy"] }, "initialDelaySeconds": 5, "periodSeconds": 5 });
    let more = json!({ "args": ["/bin/sh", "-c", args], "livenessProbe": probe });
    world.run_image("web", "registry.k8s.io/busybox:1.27.2", more).await;
    world.pass(39).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    world.pass(3).await;
    assert_eq!(world.summary("web").await, "Running: main ready #1");
    let events = world.events("web").await;
    let killing = "Killing: Container main failed liveness probe, will be restarted".to_owned();
    assert!(events.contains(&killing), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_startup_probe_comes_before_the_others() {
    let world = World::new().await;
    let script = Script::new().wait(Duration::from_secs(8)).write("/tmp/up", "");
    world.runtime.registry().add("app", SimulatedImage::new(script));
    let startup = json!({ "exec": { "command": ["cat", "/tmp/up"] }, "periodSeconds": 2, "failureThreshold": 10 });
    let liveness = json!({ "exec": { "command": ["cat", "/tmp/up"] }, "periodSeconds": 1, "failureThreshold": 1 });
    world.run_image("web", "app", json!({ "startupProbe": startup, "livenessProbe": liveness })).await;
    world.pass(7).await;
    let status = world.status("web").await;
    assert_eq!(status.container_statuses.unwrap()[0].started, Some(false));
    world.pass(4).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
}

#[tokio::test(start_paused = true)]
async fn grpc_probes_ask_the_simulated_server_how_it_is() {
    let world = World::new().await;
    let script = Script::new().wait(Duration::from_secs(10)).unhealthy().wait(Duration::from_secs(10)).healthy();
    world.runtime.registry().add("moody", SimulatedImage::new(script.serving()));
    let ports = json!([{ "containerPort": 9000 }]);
    let grpc =
        |port: u16| json!({ "grpc": { "port": port, "service": "db" }, "periodSeconds": 1, "failureThreshold": 1 });
    world.run_image("web", "x", json!({ "ports": ports, "readinessProbe": grpc(9000) })).await;
    world.run_image("moody", "moody", json!({ "ports": ports, "readinessProbe": grpc(9000) })).await;
    let http = json!({ "httpGet": { "port": 9000 }, "periodSeconds": 1, "failureThreshold": 1 });
    world.run_image("http", "moody", json!({ "ports": ports, "readinessProbe": http })).await;
    world.pass(5).await;
    for pod in ["web", "moody", "http"] {
        assert_eq!(world.summary(pod).await, "Running: main ready", "{pod}");
    }
    world.pass(10).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    assert_eq!(world.summary("moody").await, "Running: main running");
    assert_eq!(world.summary("http").await, "Running: main running");
    let has = async |pod: &str, text: &str| {
        let events = world.events(pod).await;
        assert!(events.iter().any(|event| event.contains(text)), "no {text} in {events:#?}");
    };
    has("moody", "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")").await;
    has("http", "Readiness probe failed: HTTP probe failed with statuscode: 503").await;
    world.pass(10).await;
    assert_eq!(world.summary("moody").await, "Running: main ready");
}

/// As a server that does not know a field of a pod's status, and drops it.
#[derive(Debug)]
struct Forgetful;

#[async_trait]
impl Admission for Forgetful {
    fn name(&self) -> &'static str {
        "Forgetful"
    }

    async fn admit(&self, review: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        let pod = object.filter(|_| review.target.subresource == "status").and_then(Draft::typed_mut::<Pod>);
        if let Some(status) = pod.and_then(|pod| pod.status.as_mut()) {
            status.host_ips = None;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_the_server_keeps_otherwise_is_not_written_at_every_probe() {
    let mut world = World::on_server(|server| server.admission(Arc::new(Forgetful)), |config| config).await;
    let writes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&writes);
    let backend = Intercept::new(Arc::clone(world.client.backend()), move |verb, target| {
        let is_report = (verb, &*target.subresource, target.name()) == ("update", "status", "web");
        count.fetch_add(usize::from(is_report), Ordering::Relaxed);
        Fault::None
    });
    world.agent = None;
    world.informers =
        Informers::new(Client::new(Arc::new(backend), *world.client.clock(), world.client.random().clone()));
    world.start_agent();
    let probe = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    world.run_image("web", "x", json!({ "readinessProbe": probe })).await;
    world.pass(5).await;
    assert_eq!(
        (world.summary("web").await.as_str(), world.status("web").await.host_ips),
        ("Running: main ready", None)
    );
    let before = writes.load(Ordering::Relaxed);
    world.pass(20).await;
    assert_eq!(writes.load(Ordering::Relaxed), before);
}
