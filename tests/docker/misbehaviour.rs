//! Containers that misbehave: each is reported as a kubelet reports it, and its neighbour on the node notices nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod, Service};
use orchestrion::api::{DeleteOptions, WatchOptions};
use orchestrion::client::TypedEvent;
use orchestrion::cluster::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::runtime::{Bench, variable};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(180);

/// A pod that misbehaves: its name, the rest of its container, the rest of its spec, and what is reported of it at one
/// time or another.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Runs out of memory once it has been started: containerd does not hear of what happens before it listens
/// (containerd/containerd#8180).
const LEAK: &str = "command: [sh, -c, 'until [ -e /tmp/started ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs=1G'], \
     lifecycle: {postStart: {exec: {command: [touch, /tmp/started]}}}, resources: {limits: {memory: 64Mi}}";

const CASES: &[Case] = &[
    (
        "exits",
        "command: [sh, -c, 'exit 3']",
        "restartPolicy: Never",
        &["terminated Error 3", "phase Failed", "Ready PodFailed", "restarts 0"],
    ),
    (
        "exits-again",
        "command: [sh, -c, 'exit 3']",
        "",
        &[
            "last Error 3",
            "waiting CrashLoopBackOff",
            "restarts 1",
            "phase Running",
            "Ready ContainersNotReady",
            "BackOff: Back-off restarting failed container main in pod exits-again_default(UID)",
        ],
    ),
    (
        "hangs",
        "command: [sleep, '3600'], livenessProbe: {exec: {command: [sleep, '30']}, periodSeconds: 1, failureThreshold: 2}",
        "terminationGracePeriodSeconds: 1",
        &[
            "Unhealthy: Liveness probe failed: command timed out: \"sleep 30\" timed out after 1s",
            "Killing: Container main failed liveness probe, will be restarted",
            "last Error 137",
            "restarts 1",
            "running",
        ],
    ),
    ("leaks", LEAK, "restartPolicy: Never", &["terminated OOMKilled 137", "phase Failed"]),
    ("leaks-again", LEAK, "", &["last OOMKilled 137", "waiting CrashLoopBackOff"]),
    (
        "ignores",
        "command: [sh, -c, 'trap \"\" TERM; while true; do sleep 0.2; done']",
        "terminationGracePeriodSeconds: 2",
        &["running", "Killing: Stopping container main", "terminated Error 137", "gone"],
    ),
    (
        "floods",
        "command: [sh, -c, 'l=$(printf %01000d 0); yes $l | head -c 1073741824; echo; echo the end']",
        "restartPolicy: Never",
        &["terminated Completed 0", "phase Succeeded", "Ready PodCompleted"],
    ),
    (
        "never-ready",
        "command: [sleep, '3600'], readinessProbe: {exec: {command: [sh, -c, 'echo not yet; exit 1']}, periodSeconds: 1}",
        "terminationGracePeriodSeconds: 1",
        &[
            "running",
            "Unhealthy: Readiness probe failed: not yet\n",
            "Ready ContainersNotReady",
            "restarts 0",
            "phase Running",
        ],
    ),
    (
        "never-started",
        "command: [sleep, '3600'], startupProbe: {tcpSocket: {port: 9}, periodSeconds: 1, failureThreshold: 2}",
        "terminationGracePeriodSeconds: 1",
        &[
            "Unhealthy: Startup probe failed: dial tcp IP:9: connect: connection refused",
            "Killing: Container main failed startup probe, will be restarted",
            "last Error 137",
            "restarts 1",
        ],
    ),
    (
        "cannot-start",
        "command: [no-such-program]",
        "",
        &[
            "waiting RunContainerError",
            "last StartError 128",
            "waiting CrashLoopBackOff",
            "Failed: Error: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"no-such-program\": executable file not found in $PATH",
        ],
    ),
    (
        "missing",
        "image: REGISTRY/nothing:1",
        "",
        &[
            "waiting ErrImagePull",
            "waiting ImagePullBackOff",
            "phase Pending",
            "Pulling: Pulling image \"REGISTRY/nothing:1\"",
            "Failed: Failed to pull image \"REGISTRY/nothing:1\"",
            "Failed: Error: ErrImagePull",
            "Failed: Error: ImagePullBackOff",
            "BackOff: Back-off pulling image \"REGISTRY/nothing:1\"",
        ],
    ),
    (
        "absent",
        "image: REGISTRY/nothing:1, imagePullPolicy: Never",
        "",
        &[
            "waiting ErrImageNeverPull",
            "ErrImageNeverPull: Container image \"REGISTRY/nothing:1\" is not present with pull policy of Never",
            "Failed: Error: ErrImageNeverPull",
        ],
    ),
];

/// What a version of a pod tells, a line for each fact.
fn facts(pod: &Pod) -> Vec<String> {
    let status = pod.status.clone().unwrap_or_default();
    let mut facts = vec![format!("phase {}", status.phase.unwrap_or_default())];
    for condition in status.conditions.iter().flatten().filter(|condition| condition.type_ == "Ready") {
        facts.push(format!("Ready {}", condition.reason.as_deref().unwrap_or(&condition.status)));
    }
    let ended = |status: &ContainerStatus, last: bool| {
        let state = if last { status.last_state.clone() } else { status.state.clone() };
        let ended = state?.terminated?;
        Some(format!("{} {}", ended.reason.unwrap_or_default(), ended.exit_code))
    };
    for container in status.container_statuses.iter().flatten() {
        facts.push(format!("restarts {}", container.restart_count));
        let state = container.state.clone().unwrap_or_default();
        facts.extend(state.running.map(|_| "running".to_owned()));
        facts.extend(state.waiting.map(|waiting| format!("waiting {}", waiting.reason.unwrap_or_default())));
        facts.extend(ended(container, false).map(|ended| format!("terminated {ended}")));
        facts.extend(ended(container, true).map(|ended| format!("last {ended}")));
    }
    facts
}

/// What was ever reported, by pod.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Seen {
    fn add(&self, pod: &str, facts: impl IntoIterator<Item = String>) {
        self.0.lock().expect("no panic").entry(pod.to_owned()).or_default().extend(facts);
    }

    /// What of the wanted facts has not been reported.
    fn lacking(&self, pod: &str, wanted: &[String]) -> Vec<String> {
        let seen = self.0.lock().expect("no panic");
        let of_pod = seen.get(pod).cloned().unwrap_or_default();
        wanted.iter().filter(|fact| !of_pod.iter().any(|seen| seen.starts_with(*fact))).cloned().collect()
    }
}

/// Follows pods and events for as long as it is not dropped; `changed` tells of each.
async fn follow(cluster: &Cluster, seen: Seen, changed: watch::Sender<()>) -> tokio::task::JoinHandle<()> {
    let options = WatchOptions::default();
    let mut pods = cluster.client().api::<Pod>("default").watch(&options).await.expect("a watch");
    let mut events = cluster.client().api::<Event>("default").watch(&options).await.expect("a watch");
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(Ok(event)) = pods.next() => match event {
                    TypedEvent::Added(pod) | TypedEvent::Modified(pod) => {
                        seen.add(pod.metadata.name.as_deref().unwrap_or_default(), facts(&pod));
                    }
                    TypedEvent::Deleted(pod) => {
                        let last = facts(&pod).into_iter().chain(["gone".to_owned()]);
                        seen.add(pod.metadata.name.as_deref().unwrap_or_default(), last);
                    }
                    _ => {}
                },
                Some(Ok(TypedEvent::Added(event) | TypedEvent::Modified(event))) = events.next() => {
                    let (name, uid) = (event.involved_object.name.as_deref(), event.involved_object.uid.as_deref());
                    let text = |text: &Option<String>| text.clone().unwrap_or_default();
                    let told = format!("{}: {}", text(&event.reason), text(&event.message));
                    seen.add(name.unwrap_or_default(), [told.replace(uid.unwrap_or("?"), "UID")]);
                }
            }
            changed.send_replace(());
        }
    })
}

/// Asks the neighbour again and again, until told to stop. How often.
async fn ask(address: String, stop: watch::Receiver<bool>) -> usize {
    let mut count = 0;
    while !*stop.borrow() {
        let mut stream = TcpStream::connect(&address).await.expect("the neighbour");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.contains("200 OK"), "{answer}");
        count += 1;
    }
    count
}

fn tail(kubeconfig: &std::path::Path, pod: &str, lines: usize) -> String {
    let kubectl = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
    let ran = Command::new(kubectl)
        .args(["logs", pod, &format!("--tail={lines}"), "--kubeconfig"])
        .arg(kubeconfig)
        .output()
        .expect("kubectl");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// How many bytes the engine keeps of a container's log.
fn kept(pod: &str) -> u64 {
    let format = "{{.LogPath}}";
    let filter = format!("label=io.orchestrion.pod.name={pod}");
    let id = crate::recovery::docker(&["ps", "--all", "--quiet", "--filter", &filter, "--filter", "status=exited"]);
    let path = crate::recovery::docker(&["inspect", "--format", format, id.trim()]);
    let directory = std::path::Path::new(path.trim()).parent().expect("a directory");
    let files = std::fs::read_dir(directory).expect("its files").map(|entry| entry.expect("a file"));
    let logs = files.filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"));
    logs.map(|entry| entry.metadata().expect("its size").len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn misbehaving_containers_are_reported_and_trouble_nobody() {
    let bench = Bench::new("misbehaviour").await;
    let listen = ([127, 0, 0, 1], 0).into();
    let cluster = Cluster::builder().docker(&bench.docker).listen(listen).start().await.expect("a cluster");
    let kubeconfig = std::env::temp_dir().join("misbehaviour-kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig().expect("a kubeconfig")).expect("to write a file");
    let image = variable("TEST_IMAGE");
    let registry = image.split_once('/').expect("a registry").0;

    let (seen, (changed, mut changes)) = (Seen::default(), watch::channel(()));
    let following = follow(&cluster, seen.clone(), changed).await;
    let mut all_seen = async |pod: &str, wanted: &[&str]| {
        let ip = || async {
            let pod = cluster.client().api::<Pod>("default").get_opt(pod).await.expect("the API");
            pod.and_then(|pod| pod.status.as_ref()?.pod_ip.clone()).unwrap_or_default()
        };
        let until = async {
            loop {
                changes.borrow_and_update();
                let ip = ip().await;
                let wanted: Vec<_> = wanted
                    .iter()
                    .map(|fact| fact.replace("REGISTRY", registry).replace("IP:", &format!("{ip}:")))
                    .collect();
                if seen.lacking(pod, &wanted).is_empty() {
                    return;
                }
                changes.changed().await.expect("the watch goes on");
            }
        };
        if tokio::time::timeout(LIMIT, until).await.is_err() {
            let told = seen.0.lock().expect("no panic").get(pod).cloned();
            panic!("of {pod} is reported {told:#?}, and not all of {wanted:#?}");
        }
    };

    cluster
        .apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: neighbour, labels: {{app: neighbour}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: {image}, command: [sh, -c, 'hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'], readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1, timeoutSeconds: 5}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: neighbour}}
spec: {{selector: {{app: neighbour}}, ports: [{{port: 8080}}]}}
"
        ))
        .await
        .expect("a neighbour");
    cluster.reachable("default", "neighbour").await;
    let service = cluster.client().api::<Service>("default").get("neighbour").await.expect("the service");
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).expect("an address") + ":8080";
    all_seen("neighbour", &["Ready True"]).await;
    seen.0.lock().expect("no panic").remove("neighbour");
    let (stop, stopped) = watch::channel(false);
    let asking = tokio::spawn(ask(address, stopped));

    for (name, container, spec, _) in CASES {
        let image = if container.starts_with("image:") { String::new() } else { format!("image: {image}, ") };
        let container = container.replace("REGISTRY", registry);
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers: [{{name: main, {image}{container}}}]\n  {spec}\n"
        );
        cluster.apply(&manifest).await.unwrap_or_else(|error| panic!("{manifest}: {error}"));
    }
    all_seen("floods", &["running"]).await;
    tail(&kubeconfig, "floods", 10);
    all_seen("ignores", &["running"]).await;
    cluster.client().api::<Pod>("default").delete("ignores").await.expect("it ends");
    for (name, _, _, wanted) in CASES {
        all_seen(name, wanted).await;
    }
    let end = tail(&kubeconfig, "floods", 2);
    assert!(end.lines().count() == 2 && end.ends_with("\nthe end\n"), "{end}");
    let kept = kept("floods");
    assert!(kept > 10 << 20 && kept < 55 << 20, "at most five files of 10 MiB: {kept} bytes");

    stop.send_replace(true);
    assert!(asking.await.expect("every request is answered") > 0);
    let told = seen.0.lock().expect("no panic").remove("neighbour").unwrap_or_default();
    assert!(!told.iter().any(|fact| fact.contains("ContainersNotReady") || fact.contains("Unhealthy")), "{told:?}");
    following.abort();
    let pods = cluster.client().api::<Pod>("default");
    for (name, ..) in CASES {
        let force = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
        let _ = pods.delete_with(name, &force).await; // some are gone already
    }
    cluster.stop().await;
    std::fs::remove_file(kubeconfig).expect("the file");
    bench.remove().await;
}
