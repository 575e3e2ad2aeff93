//! How long pods take from bound to ready on a Docker engine, beside the same containers run by hand:
//! `tests/docker/run cargo bench --features docker --bench pod_start -- --pods 10 --rounds 5`. Without options: 1, 10 and
//! 50 pods at once, three rounds of each, one way after the other; the median counts.
//!
//! By hand, a pod is two commands: `docker run` of the program that holds its network, `docker run` of its container
//! on that network; those of all pods run side by side, as a node starts them.

mod figures;

use std::error::Error;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::{DeleteOptions, ListOptions, WatchOptions};
use orchestrion::client::{Informer, TypedEvent};
use orchestrion::clock::Clock;
use orchestrion::cluster::Cluster;
use orchestrion::runtime::docker::{DockerCluster, DockerConfig, Engine, SOCKET};
use serde_json::json;
use tokio::process::Command;

use figures::{Figure, Options, now};

/// The name of the cluster, and of the network of what is run by hand.
const CLUSTER: &str = "pod-start";
const BY_HAND: &str = "pod-start-by-hand";
const FOREVER: [&str; 2] = ["sleep", "1000000"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&["pods", "rounds", "image"]);
    let image = match options.find("image") {
        Some(image) => image,
        None => std::env::var("TEST_IMAGE").map_err(|_| "no image: --image NAME, or tests/docker/run")?,
    };
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| SOCKET.to_owned());
    let engine = Engine::connect(&host, Clock::system()).await?;
    let open = || DockerCluster::open(&engine, DockerConfig::new(CLUSTER));
    open().await?.remove().await?; // what an earlier run that was killed may have left
    let docker = open().await?;
    let cluster = Cluster::builder().nodes(1).docker(&docker).start().await?;
    // All images are there after the first pod.
    started(&cluster, &image, 1).await?;
    let pause = command(&["images", "--format", "{{.Repository}}:{{.Tag}}", "orchestrion/pause"]).await?;
    command(&["network", "create", BY_HAND]).await?;

    for pods in options.find("pods").map_or(vec![1, 10, 50], |pods| vec![pods]) {
        let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
        for _ in 0..options.get("rounds", 3) {
            by_hand.push(run_by_hand(&pause, &image, pods).await?);
            ours.push(started(&cluster, &image, pods).await?);
        }
        let (ours, by_hand) = (median(ours), median(by_hand));
        let report = |name: &str, value, unit| Figure::new(name, value, unit).with("pods", pods as f64).print();
        report("pod-start", ours.as_secs_f64(), "s");
        report("pod-start/by-hand", by_hand.as_secs_f64(), "s");
        report("pod-start/ratio", ours.as_secs_f64() / by_hand.as_secs_f64(), "times");
    }

    command(&["network", "rm", BY_HAND]).await?;
    cluster.stop().await;
    docker.remove().await?;
    Ok(())
}

/// Creates so many pods at once. The time from the first bound to the last ready; none is left afterwards.
async fn started(cluster: &Cluster, image: &str, count: usize) -> Result<Duration, Box<dyn Error>> {
    let pods = cluster.client().api::<Pod>("default");
    let mut events = pods.watch(&WatchOptions::default()).await?;
    for number in 0..count {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": format!("pod-{number}")},
            "spec": {"containers": [{"name": "main", "image": image, "command": FOREVER}]},
        }))?;
        pods.create(pod).await?;
    }
    let (mut bound, mut ready) = (None::<Instant>, std::collections::BTreeSet::new());
    while ready.len() < count {
        let event = events.next().await.ok_or("the watch has ended")??;
        let (TypedEvent::Added(pod) | TypedEvent::Modified(pod)) = event else { continue };
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            bound.get_or_insert_with(now);
        }
        if is_ready(&pod) {
            ready.insert(pod.metadata.name.clone());
        }
    }
    let took = bound.ok_or("no pod was bound")?.elapsed();
    let at_once = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
    pods.dynamic().delete_collection(&at_once, &ListOptions::default()).await?;
    Informer::start(pods).until(<[_]>::is_empty).await;
    Ok(took)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Runs the containers of so many pods at once. The time until the last of them has been started; none is left.
async fn run_by_hand(pause: &str, image: &str, count: usize) -> Result<Duration, Box<dyn Error>> {
    let begin = now();
    let pods = (0..count).map(|_| async {
        let holder = command(&["run", "--detach", "--network", BY_HAND, pause, "/pause"]).await?;
        let network = format!("container:{holder}");
        let main = command(&["run", "--detach", "--network", &network, image, FOREVER[0], FOREVER[1]]).await?;
        Ok::<_, Box<dyn Error>>([main, holder])
    });
    let ids = try_join_all(pods).await?;
    let took = begin.elapsed();
    let remove: Vec<&str> = ["rm", "--force"].into_iter().chain(ids.iter().flatten().map(String::as_str)).collect();
    command(&remove).await?;
    Ok(took)
}

/// What a command of Docker's prints.
async fn command(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let done = Command::new("docker").args(arguments).output().await?;
    match done.status.success() {
        true => Ok(String::from_utf8(done.stdout)?.trim().to_owned()),
        false => Err(format!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr)).into()),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
