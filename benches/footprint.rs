//! What a cluster holds in memory: per pod, per watcher, per simulated node; and how many pods fit:
//! `cargo bench --bench footprint -- --pods 2000000 --nodes 6100`.

mod figures;

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use orchestrion::api::{FieldSelector, ListOptions, WatchOptions};
use orchestrion::client::{Client, Informer};
use orchestrion::cluster::{Cluster, Network, Part};
use serde_json::json;

use figures::{Options, now, report, resident, spent};

/// How many pods are there before cold ones are counted: so many the store keeps in typed form, and in its history, anyway.
const HOT: usize = 25_000;

fn pod(number: usize) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": format!("pod-{number}"), "labels": {"app": "web", "tier": "front"}},
        "spec": {"containers": [{
            "name": "web", "image": "web:1", "ports": [{"containerPort": 8080}],
            "env": [{"name": "COLOR", "value": "blue"}],
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}
        }]}
    }))
    .expect("a pod")
}

async fn create(client: &Client, from: usize, to: usize) -> Result<(), Box<dyn Error>> {
    let pods = client.api::<Pod>("default");
    for number in from..to {
        pods.create(pod(number)).await?;
    }
    Ok(())
}

fn each(after: usize, before: usize, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / count as f64
}

/// Pods that nobody looks at: of most there is their JSON alone.
async fn cold(count: usize) -> Result<(), Box<dyn Error>> {
    let builder = Cluster::builder().network(Network::Simulated);
    let parts = [Part::Nodes, Part::Scheduler, Part::Controllers];
    let cluster = parts.into_iter().fold(builder, |builder, part| builder.without(part)).start().await?;
    let client = cluster.client();
    create(client, 0, HOT).await?;
    let before = resident("self");
    create(client, HOT, count + HOT).await?;
    report("footprint/cold-pod", &[("pods", count)], each(resident("self"), before, count), "B");
    Ok(())
}

/// Measures in a process of its own: what one cluster has given back, the next would not have to ask for.
fn apart(options: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(std::env::current_exe()?).args(options).status()?;
    status.success().then_some(()).ok_or_else(|| format!("{options:?}: {status}").into())
}

/// Pods that nobody runs, and watchers of them.
async fn at_rest(count: usize) -> Result<(), Box<dyn Error>> {
    let cluster =
        Cluster::builder().network(Network::Simulated).without(Part::Nodes).without(Part::Scheduler).start().await?;
    let client = cluster.client();
    create(client, 0, 1_000).await?; // what is there once
    let before = resident("self");
    create(client, 1_000, count + 1_000).await?;
    report("footprint/pod", &[("pods", count)], each(resident("self"), before, count), "B");

    let watchers = 5_000;
    let before = resident("self");
    let mut watches = Vec::new();
    for number in 0..watchers {
        let fields = FieldSelector::equal("spec.nodeName", format!("node-{number}"));
        let mut watch = client.all::<Pod>().watch(&WatchOptions { fields, ..WatchOptions::default() }).await?;
        assert!(futures::poll!(watch.next()).is_pending(), "no pod is on a node");
        watches.push(watch);
    }
    report("footprint/watcher", &[("watchers", watchers)], each(resident("self"), before, watchers), "B");
    Ok(())
}

/// Nodes with nothing on them: what they hold, and what they cost while nothing happens.
async fn nodes(count: usize) -> Result<(), Box<dyn Error>> {
    let before = resident("self");
    let cluster = Cluster::builder().network(Network::Simulated).nodes(count).start().await?;
    Informer::start(cluster.client().all::<Node>()).until(|nodes| ready(nodes) == count).await;
    report("footprint/node", &[("nodes", count)], each(resident("self"), before, count), "B");
    tokio::time::sleep(Duration::from_secs(30)).await; // what there was to say of new nodes has been said
    let (idle, used) = (Duration::from_secs(20), spent("self"));
    tokio::time::sleep(idle).await;
    let share = (spent("self") - used).as_secs_f64() / idle.as_secs_f64() * 100.0;
    report("footprint/idle-nodes/cpu", &[("nodes", count)], share, "% of a core");
    Ok(())
}

fn ready(nodes: &[std::sync::Arc<Node>]) -> usize {
    let is_ready = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    nodes.iter().filter(|node| is_ready(node)).count()
}

/// Pods through everything: API, scheduler, node agents.
async fn running(count: usize, node_count: usize) -> Result<(), Box<dyn Error>> {
    let sizes = [("pods", count), ("nodes", node_count)];
    let capacity = count.div_ceil(node_count).to_string();
    let begin = now();
    let cluster = Cluster::builder()
        .network(Network::Simulated)
        .nodes(node_count)
        .agent(move |agent| agent.with_capacity("pods", &capacity).with_capacity("memory", "64Gi"))
        .start()
        .await?;
    let client = cluster.client();
    Informer::start(client.all::<Node>()).until(|nodes| ready(nodes) == node_count).await;
    report("two-million/nodes-ready", &sizes, begin.elapsed().as_secs_f64(), "s");
    let (begin, before) = (now(), resident("self"));
    create(client, 0, count).await?;
    report("two-million/created", &sizes, begin.elapsed().as_secs_f64(), "s");
    let fields = FieldSelector::equal("status.phase", "Running");
    let options = WatchOptions { fields, ..WatchOptions::default() };
    let mut running = client.all::<Pod>().watch(&options).await?;
    let mut seen = 0;
    while seen < count {
        match running.next().await {
            Some(Ok(orchestrion::client::TypedEvent::Added(_))) => seen += 1,
            Some(Ok(_)) => {}
            // Too far behind what the store remembers: counts, and goes on from there.
            Some(Err(_)) | None => {
                let list = ListOptions { fields: options.fields.clone(), ..ListOptions::default() };
                seen = client.all::<Pod>().list(&list).await?.items.len();
                running = client.all::<Pod>().watch(&options).await?;
            }
        }
    }
    report("two-million/running", &sizes, begin.elapsed().as_secs_f64(), "s");
    report("two-million/pod", &sizes, each(resident("self"), before, count), "B");
    report("two-million/resident", &sizes, resident("self") as f64 / f64::from(1 << 30), "GiB");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&["pods", "nodes", "cold"]);
    if let Some(pods) = options.find("cold") {
        return cold(pods).await;
    }
    match (options.find("pods"), options.find("nodes")) {
        (Some(pods), Some(nodes)) => running(pods, nodes).await,
        (Some(pods), None) => {
            apart(&["--cold", &pods.to_string()])?;
            at_rest(pods).await
        }
        (None, Some(count)) => nodes(count).await,
        (None, None) => {
            apart(&["--pods", "100000"])?;
            apart(&["--nodes", "1000"])?;
            running(10_000, 100).await
        }
    }
}
