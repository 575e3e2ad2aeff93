//! Node agents over the engine: what they find again, and what they bring back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use orchestrion::api::WatchOptions;
use orchestrion::client::TypedEvent;
use orchestrion::cluster::Cluster;
use orchestrion::node::{AgentConfig, ImageGc};
use orchestrion::random::Random;
use orchestrion::runtime::docker::DockerRuntime;
use orchestrion::runtime::{Layer, MachineStats, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::recovery::{docker, kill_engine};
use crate::runtime::{Bench, variable};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

fn deployment(replicas: usize) -> String {
    let image = variable("TEST_IMAGE");
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: {image}, command: [sh, -c, 'trap exit TERM; while true; do sleep 0.2; done']}}]
"
    )
}

/// Waits until the pods of the namespace `default`, by name, are as wanted.
pub(crate) async fn until(cluster: &Cluster, wanted: impl Fn(&BTreeMap<String, Pod>) -> bool) {
    let mut pods = BTreeMap::new();
    let watch = async {
        let mut events = cluster.client().api::<Pod>("default").watch(&WatchOptions::default()).await.expect("a watch");
        while !wanted(&pods) {
            match events.next().await.expect("an event").expect("an event") {
                TypedEvent::Added(pod) | TypedEvent::Modified(pod) => {
                    pods.insert(pod.metadata.name.clone().expect("a name"), Pod::clone(&pod));
                }
                TypedEvent::Deleted(pod) => drop(pods.remove(pod.metadata.name.as_deref().expect("a name"))),
                _ => {}
            }
        }
    };
    let seen = tokio::time::timeout(LIMIT, watch).await;
    let told: Vec<_> = pods.values().map(|pod| (&pod.metadata.name, &pod.status)).collect();
    assert!(seen.is_ok(), "the pods do not become as wanted: {told:#?}");
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_in_the_middle_of_a_rollout_loses_and_doubles_nothing() {
    let bench = Bench::new("rollout").await;
    let cluster = Cluster::builder().nodes(2).docker(&bench.docker).start().await.expect("a cluster");
    let still = deployment(2).replace("name: web", "name: still").replace("app: web", "app: still");
    cluster.apply(&still).await.expect("a deployment");
    cluster.rolled_out("default", "still").await.expect("its rollout");
    cluster.apply(&deployment(3)).await.expect("a deployment");
    cluster.rolled_out("default", "web").await.expect("its rollout");

    let deployments = cluster.client().api::<Deployment>("default");
    let random = Random::seeded(1);
    for round in 0..20 {
        let changed = deployments.modify("web", |web| {
            let meta = web.spec.as_mut().and_then(|spec| spec.template.metadata.as_mut()).expect("a template");
            meta.annotations.get_or_insert_default().insert("round".to_owned(), round.to_string());
        });
        changed.await.expect("a new version");
        // So many changes into the rollout: the first five tell what there was.
        let mut events = cluster.client().api::<Pod>("default").watch(&WatchOptions::default()).await.expect("a watch");
        for _ in 0..5 + random.below(19) {
            events.next().await.expect("an event").expect("an event");
        }
        let nodes: &[&str] = [&["node-1"][..], &["node-2"], &["node-1", "node-2"]][random.below(3)];
        for node in nodes {
            cluster.crash_node(node);
        }
        for node in nodes {
            cluster.add_node(node).await.expect("the node again");
        }
        let rolled_out = tokio::time::timeout(LIMIT, cluster.rolled_out("default", "web")).await;
        rolled_out.expect("in time").expect("the rollout");
    }
    until(&cluster, |pods| pods.len() == 5 && pods.values().all(|pod| is_ready(pod) && restarts(pod) == 0)).await;
    let left = async {
        // A pod's containers are removed when the API has it no more.
        while docker(&["ps", "--all", "--quiet", "--filter", "label=io.orchestrion.cluster=rollout"]).lines().count()
            > 10
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, left).await.expect("no container is left over");
    let names = docker(&["ps", "--format", "{{.Names}}", "--filter", "label=io.orchestrion.cluster=rollout"]);
    assert_eq!(names.lines().count(), 10, "a pause container and a container for each pod: {names}");
    cluster.stop().await;
    bench.remove().await;
}

/// One request to a Service.
async fn get(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_under_load_loses_no_request() {
    let bench = Bench::new("load").await;
    let cluster = Cluster::builder().nodes(2).docker(&bench.docker).start().await.expect("a cluster");
    let serving = "httpd -f -p 8080 -h /tmp & trap exit TERM; while true; do sleep 0.2; done";
    let web = deployment(3).replace("trap exit TERM; while true; do sleep 0.2; done", serving).replace(
        "containers: [{name: main,",
        "containers: [{name: main, readinessProbe: {httpGet: {port: 8080, path: /page}, periodSeconds: 1}, \
         lifecycle: {preStop: {sleep: {seconds: 1}}, postStart: {exec: {command: [sh, -c, 'hostname > /tmp/page; \
         cp /tmp/page /tmp/index.html']}}},",
    );
    let web = web.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 5");
    cluster.apply(&web).await.expect("a deployment");
    cluster
        .apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 8080}]}}")
        .await
        .expect("a service");
    cluster.rolled_out("default", "web").await.expect("its rollout");
    cluster.reachable("default", "web").await;
    let service = cluster.client().api::<Service>("default").get("web").await.expect("the service");
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).expect("an address") + ":8080";

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients = (0..4).map(|_| {
        let (address, stopped) = (address.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            while !*stopped.borrow() {
                answers.push(get(&address).await.map_err(|error| error.to_string()));
            }
            answers
        })
    });
    let clients: Vec<_> = clients.collect();
    let deployments = cluster.client().api::<Deployment>("default");
    let changed = deployments.modify("web", |web| {
        let meta = web.spec.as_mut().and_then(|spec| spec.template.metadata.as_mut()).expect("a template");
        meta.annotations.get_or_insert_default().insert("version".to_owned(), "2".to_owned());
    });
    changed.await.expect("a new version");
    cluster.rolled_out("default", "web").await.expect("its rollout");
    until(&cluster, |pods| pods.len() == 3 && pods.values().all(is_ready)).await;
    stop.send_replace(true);
    let mut sent = 0;
    for client in clients {
        for answer in client.await.expect("a client") {
            sent += 1;
            assert!(answer.as_ref().is_ok_and(|answer| answer.contains("200 OK")), "request {sent}: {answer:?}");
        }
    }
    assert!(sent > 20, "only {sent} requests were sent");
    cluster.stop().await;
    bench.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_come_back_when_their_engine_was_killed() {
    let bench = Bench::alone("engine").await;
    let cluster = Cluster::builder().nodes(2).docker(&bench.docker).start().await.expect("a cluster");
    cluster.apply(&deployment(10)).await.expect("a deployment");
    cluster.rolled_out("default", "web").await.expect("its rollout");
    kill_engine();
    until(&cluster, |pods| pods.len() == 10 && pods.values().all(|pod| is_ready(pod) && restarts(pod) == 1)).await;
    let service = (cluster.addresses().kubernetes(), 0);
    std::net::UdpSocket::bind(service).expect("the addresses of Services are still the machine's own");
    cluster.stop().await;
    bench.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_config_map_follows_its_object_also_after_the_agent_has_died() {
    let bench = Bench::new("follow").await;
    let builder = Cluster::builder().docker(&bench.docker);
    let cluster = builder.agent(|agent| AgentConfig { sync_interval: Duration::from_millis(200), ..agent });
    let cluster = cluster.start().await.expect("a cluster");
    let image = variable("TEST_IMAGE");
    let watching = "until [ \"$(cat /config/key)\" = $1 ]; do sleep 0.1; done";
    cluster
        .apply(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{key: first}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reader}}
spec:
  restartPolicy: Never
  initContainers:
  - {{name: first, image: {image}, command: [sh, -c, '{watching}', sh, first], volumeMounts: [{{name: config, mountPath: /config}}]}}
  containers:
  - {{name: second, image: {image}, command: [sh, -c, '{watching}', sh, second], volumeMounts: [{{name: config, mountPath: /config}}]}}
  - {{name: third, image: {image}, command: [sh, -c, '{watching}', sh, third], volumeMounts: [{{name: config, mountPath: /config}}]}}
  volumes: [{{name: config, configMap: {{name: settings}}}}]
"
        ))
        .await
        .expect("a pod");
    let running = |pod: &Pod, container: &str| {
        let mut all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        all.any(|one| one.name == container && one.state.as_ref().is_some_and(|state| state.running.is_some()))
    };
    let exit = |pod: &Pod, container: &str| {
        let mut all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let state = all.find(|one| one.name == container).and_then(|one| one.state.clone());
        state.and_then(|state| state.terminated).map(|terminated| terminated.exit_code)
    };
    let maps = cluster.client().api::<ConfigMap>("default");
    let set = async |text: &str| {
        let changed = maps.modify("settings", |map| map.data = Some([("key".to_owned(), text.to_owned())].into()));
        changed.await.expect("a new version");
    };
    until(&cluster, |pods| pods.values().any(|pod| running(pod, "second") && running(pod, "third"))).await;
    set("second").await;
    until(&cluster, |pods| pods.values().any(|pod| exit(pod, "second") == Some(0) && running(pod, "third"))).await;
    cluster.crash_node("node-1");
    cluster.add_node("node-1").await.expect("the node again");
    set("third").await;
    until(&cluster, |pods| {
        pods.values().any(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded"))
    })
    .await;
    cluster.stop().await;
    bench.remove().await;
}

/// A node whose machine has no memory left where that is so.
#[derive(Debug)]
struct Short {
    node: DockerRuntime,
    short: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Layer for Short {
    fn below(&self) -> &dyn Runtime {
        &self.node
    }

    async fn machine(&self) -> orchestrion::runtime::Result<MachineStats> {
        let mut machine = self.node.machine().await?;
        if self.short.load(Ordering::SeqCst) {
            machine.memory_used = machine.memory_capacity;
        }
        Ok(machine)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_memory_ends_a_pod_and_takes_no_other() {
    let bench = Bench::new("evicted").await;
    let short = Arc::new(AtomicBool::new(false));
    let (docker, told) = (bench.docker.clone(), Arc::clone(&short));
    let cluster = Cluster::builder()
        .docker(&bench.docker)
        .runtime(move |seat| {
            let node = docker.runtime(&seat.name, seat.network.pods().clone());
            Arc::new(Short { node, short: Arc::clone(&told) })
        })
        .agent(|mut agent: AgentConfig| {
            agent.eviction.interval = Duration::from_secs(1);
            agent
        })
        .start()
        .await
        .expect("a cluster");
    let pod = |name: &str| {
        let image = variable("TEST_IMAGE");
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{nodeName: node-1, containers: [{{name: main, image: {image}, command: [sleep, '3600']}}]}}}}"
        )
    };
    let reason = |pod: &Pod| pod.status.as_ref().and_then(|status| status.reason.clone());
    cluster.apply(&pod("first")).await.expect("a pod");
    until(&cluster, |pods| pods.get("first").is_some_and(is_ready)).await;
    short.store(true, Ordering::SeqCst);
    until(&cluster, |pods| {
        let ended = |pod: &Pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            statuses.is_some_and(|all| {
                all.iter().all(|one| one.state.as_ref().is_some_and(|state| state.terminated.is_some()))
            })
        };
        pods.get("first").is_some_and(|pod| reason(pod).as_deref() == Some("Evicted") && ended(pod))
    })
    .await;
    cluster.apply(&pod("second")).await.expect("a pod");
    until(&cluster, |pods| pods.get("second").is_some_and(|pod| reason(pod).as_deref() == Some("Evicted"))).await;
    cluster.stop().await;
    bench.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_the_cluster_has_fetched_go_when_there_is_no_room() {
    let bench = Bench::new("collected").await;
    let used = variable("TEST_IMAGE");
    let (registry, _) = used.rsplit_once('/').expect("a registry");
    let (unused, theirs) = (format!("{registry}/unused"), format!("{registry}/theirs"));
    let shell = |script: &str| {
        let ran = std::process::Command::new("sh").args(["-c", script]).output().expect("a shell");
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    // Images that no other test has; one is in the registry alone, one with the engine alone.
    for name in [&unused, &theirs] {
        shell(&format!("cd $(mktemp -d) && echo {name} >file && tar -c file | docker import - {name} && rm file"));
    }
    shell(&format!("docker push --quiet {unused} && docker rmi {unused}"));
    let cluster = Cluster::builder()
        .docker(&bench.docker)
        .agent(|mut agent: AgentConfig| {
            agent.eviction.interval = Duration::from_secs(1);
            let (interval, least_age) = (Duration::from_secs(1), Duration::ZERO);
            agent.image_gc = ImageGc { high_percent: 1, low_percent: 0, least_age, interval, ..agent.image_gc };
            agent
        })
        .start()
        .await
        .expect("a cluster");
    let node = cluster.nodes().runtime("node-1").expect("its runtime");
    node.pull_image(&unused, &[]).await.expect("an image");
    // Each collection that cannot free all that it wants to tells of it.
    let collected = async {
        let mut events = cluster.client().all::<Event>().watch(&WatchOptions::default()).await.expect("a watch");
        while node.image(&unused).await.expect("a look").is_some() {
            events.next().await.expect("an event").expect("an event");
        }
    };
    tokio::time::timeout(LIMIT, collected).await.expect("it goes");
    assert!(node.image(&theirs).await.expect("a look").is_some(), "it was there before");
    cluster.stop().await;
    bench.remove().await;
}
