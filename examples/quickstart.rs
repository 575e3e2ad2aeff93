//! The main job: a manifest becomes running pods behind a Service, is updated under load, loses a pod, and is
//! taken back. No root, no Docker, no network; or real containers, with `--runtime docker`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use orchestrion::api::{DeleteOptions, FieldSelector, LabelSelector, ListOptions, Patch, WatchOptions};
use orchestrion::client::{Api, RolloutStatus, TypedEvent, WaitError};
use orchestrion::cluster::{Builder, Cluster};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[cfg(feature = "docker")]
mod engine;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How many clients send requests at a time while the update rolls out.
const CLIENTS: usize = 8;

/// The Deployment, and the image that it is updated to.
const SIMULATED: (&str, &str) = (include_str!("../tests/fixtures/myapp.yaml"), "polarsquad/hello-world-app:v2");
#[cfg(feature = "docker")]
const REAL: (&str, &str) = (include_str!("quickstart/docker.yaml"), "orchestrion/hello:2");

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut report = Report::default();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--runtime", "memory"] => run(&mut report, Cluster::builder(), SIMULATED).await,
        #[cfg(feature = "docker")]
        // The images are made by examples/images/build.
        ["--runtime", "docker"] => {
            let docker = engine::open("quickstart").await?;
            let done = run(&mut report, Cluster::builder().docker(&docker), REAL).await;
            docker.remove().await?;
            done
        }
        _ => Err("usage: quickstart [--runtime memory | docker] (docker: where built with --features docker)".into()),
    }
}

async fn run(report: &mut Report, builder: Builder, (deployment, update): (&str, &str)) -> Result<()> {
    let cluster = report.step("start a cluster of three nodes", builder.nodes(3).start()).await?;
    let deployments = cluster.client().api::<Deployment>("default");
    let pods = cluster.client().api::<Pod>("default");

    cluster.apply(deployment).await?;
    cluster.apply(include_str!("../tests/fixtures/myapp-service.yaml")).await?;
    report.step("roll out deployment myapp", follow(&deployments)).await?;

    let service = cluster.client().api::<Service>("default").get("myapp").await?;
    let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).ok_or("a cluster IP")?;
    let by_ip: SocketAddr = format!("{ip}:4000").parse()?;
    let name = "myapp.default.svc.cluster.local";
    let found = cluster.resolve(name).await?.into_iter().next().ok_or("an address in DNS")?;
    let by_name = SocketAddr::new(found, 4000);
    // The rollout is done when its pods are ready; that the Service leads to all of them is another controller's work.
    report.step("the Service leads to all pods", routed(&cluster)).await?;
    println!("\nrequests to http://{by_ip} (ClusterIP) and http://{name}:4000 (DNS: {found}) are answered by");
    for (pod, count) in report.step("30 requests over both", spread(&[by_ip, by_name], 30)).await? {
        println!("  {count:>3} × {pod}");
    }

    let load = Load::start(by_ip);
    let image = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "hello-world", "image": update }
    ] } } } });
    deployments.patch("myapp", Patch::Strategic(image)).await?;
    report.step("roll out a new image under load", follow(&deployments)).await?;
    report.step("the old pods finish what they have begun", settled(&pods)).await?;
    let (sent, failed) = load.stop().await;
    println!("  {sent} requests from {CLIENTS} clients meanwhile, {failed} failed");

    let lost = pods.list(&ListOptions::default()).await?.items[0].metadata.name.clone().unwrap_or_default();
    println!("\n{lost} is lost");
    pods.delete_with(&lost, &DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() }).await?;
    report.step("replace a lost pod", settled(&pods)).await?;

    let load = Load::start(by_ip);
    deployments.undo("myapp", None).await?;
    report.step("undo the rollout under load", follow(&deployments)).await?;
    report.step("the undone pods finish too", settled(&pods)).await?;
    let (sent, failed_again) = load.stop().await;
    println!("  {sent} requests meanwhile, {failed_again} failed");
    for set in cluster.client().api::<ReplicaSet>("default").list(&ListOptions::default()).await?.items {
        let revision = set.metadata.annotations.as_ref().and_then(|all| all.get("deployment.kubernetes.io/revision"));
        let pods = set.status.as_ref().map_or(0, |status| status.replicas);
        let name = set.metadata.name.as_deref().unwrap_or_default();
        println!("  revision {}: {name} with {pods} pods", revision.map_or("?", String::as_str));
    }

    let stop = async {
        cluster.stop().await;
        Ok::<_, Infallible>(())
    };
    report.step("stop the cluster", stop).await?;
    report.print();
    if failed + failed_again > 0 { Err("requests were lost".into()) } else { Ok(()) }
}

/// Waits until the Service has three ready endpoints, and carries traffic.
async fn routed(cluster: &Cluster) -> Result<()> {
    let of_service = "kubernetes.io/service-name=myapp".parse()?;
    let three = |slices: &[Arc<EndpointSlice>]| {
        let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let ready = |endpoint: &&Endpoint| endpoint.conditions.as_ref().is_some_and(|now| now.ready == Some(true));
        endpoints.filter(ready).count() == 3
    };
    let slices = cluster.client().api::<EndpointSlice>("default");
    slices.wait_all(of_service, Duration::from_secs(60), three).await?;
    cluster.reachable("default", "myapp").await;
    Ok(())
}

/// Waits until there are three pods, all ready and none on its way out.
async fn settled(pods: &Api<Pod>) -> std::result::Result<(), WaitError> {
    let settled = |pods: &[Arc<Pod>]| pods.len() == 3 && pods.iter().all(|pod| is_ready(pod));
    pods.wait_all(LabelSelector::default(), Duration::from_secs(60), settled).await.map(drop)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What happened, and how long it took.
#[derive(Default)]
struct Report(Vec<(&'static str, Duration)>);

impl Report {
    async fn step<T, E>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        #[allow(clippy::disallowed_methods, reason = "real time is what it reports")]
        let begin = Instant::now();
        let result = work.await?;
        self.0.push((name, begin.elapsed()));
        Ok(result)
    }

    fn print(&self) {
        println!("\nwhat happened, and how long it took");
        for (name, time) in &self.0 {
            println!("  {:>10.2} ms  {name}", time.as_secs_f64() * 1e3);
        }
    }
}

/// Shows a rollout as it goes, until it is done.
async fn follow(deployments: &Api<Deployment>) -> Result<()> {
    let bar = ProgressBar::new(3);
    bar.set_style(ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}")?);
    let fields: FieldSelector = "metadata.name=myapp".parse()?;
    let options = WatchOptions { fields, ..WatchOptions::default() };
    let mut events = deployments.watch(&options).await?;
    let mut said = String::new();
    while let Some(event) = events.next().await {
        let (TypedEvent::Added(deployment) | TypedEvent::Modified(deployment)) = event? else { continue };
        let updated = deployment.status.as_ref().and_then(|status| status.updated_replicas).unwrap_or(0);
        bar.set_position(u64::try_from(updated)?);
        let status = RolloutStatus::of(&deployment);
        if status.message() != said {
            bar.suspend(|| println!("{}", status.message()));
            said = status.message().to_owned();
        }
        match status {
            RolloutStatus::Waiting(_) => {}
            RolloutStatus::Done(_) => break,
            RolloutStatus::Failed(why) => return Err(why.into()),
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Sends `count` requests to each address, and counts who answered.
async fn spread(addresses: &[SocketAddr], count: usize) -> Result<BTreeMap<String, usize>> {
    let mut pods = BTreeMap::new();
    for address in addresses.iter().cycle().take(count) {
        let answer = get(*address).await?;
        let pod = answer.lines().find_map(|line| line.strip_prefix("pod: ")).unwrap_or(&answer);
        *pods.entry(pod.to_owned()).or_insert(0) += 1;
    }
    Ok(pods)
}

/// Sends a request and gives the body of its answer.
async fn get(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: myapp\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer")?;
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(head.to_owned().into()) }
}

/// Clients that send one request after the other until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = || {
            let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    sent += 1;
                    if let Err(error) = get(address).await {
                        eprintln!("request failed: {error}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                sent
            })
        };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Self { stop, failed, clients }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = futures::future::join_all(self.clients).await.into_iter().flatten().sum();
        (sent, self.failed.load(Ordering::Relaxed))
    }
}
