//! How long a Deployment takes from `apply` to all of its replicas ready, and from its deletion to the last pod gone:
//! `cargo bench --bench rollout -- --nodes 1000 --replicas 10000`; with `--rounds 3` three times in one process.

mod figures;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use orchestrion::api::{DeleteOptions, ListOptions, Propagation, WatchOptions};
use orchestrion::client::{Informer, TypedEvent};
use orchestrion::cluster::{Cluster, Network};
use orchestrion::runtime::memory::SimulatedImage;
use tokio::sync::Notify;

use figures::{Options, now, report, spent};

fn manifest(replicas: usize) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{replicas: {replicas}, \
         selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, \
         spec: {{containers: [{{name: web, image: \"web:1\", ports: [{{containerPort: 8080}}], \
         resources: {{requests: {{cpu: 10m, memory: 10Mi}}}}}}]}}}}}}}}"
    )
}

async fn measure(nodes: usize, replicas: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let sizes = [("nodes", nodes), ("replicas", replicas)];
    // A program that ends as soon as it is asked to, as fake kubelets have it: what is measured is the cluster.
    let web = SimulatedImage::draining_server(Duration::ZERO);
    let cluster = Cluster::builder().image("web:1", web).network(Network::Simulated).nodes(nodes).start().await?;
    let client = cluster.client();
    Informer::start(client.all::<Node>())
        .until(|all| all.len() == nodes && all.iter().all(|node| is_ready(node)))
        .await;

    let deployments = client.api::<Deployment>("default");
    let mut events = deployments.watch(&WatchOptions::default()).await?;
    let (begin, used) = (now(), spent("self"));
    cluster.apply(&manifest(replicas)).await?;
    while let Some(event) = events.next().await {
        let (TypedEvent::Added(deployment) | TypedEvent::Modified(deployment)) = event? else { continue };
        let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        if usize::try_from(ready) == Ok(replicas) {
            break;
        }
    }
    report("rollout", &sizes, begin.elapsed().as_secs_f64(), "s");
    report("rollout/cpu", &sizes, (spent("self") - used).as_secs_f64(), "s");

    let pods = Informer::start(client.all::<Pod>());
    pods.until(|pods| pods.len() == replicas).await;
    let gone = Arc::new((AtomicUsize::new(0), Notify::new()));
    let counting = Arc::clone(&gone);
    let _subscription = pods.subscribe(move |change| {
        // Woken once: looking at all pods whenever one changes would cost more than their deletion does.
        if change.new.is_none() && counting.0.fetch_add(1, Ordering::Relaxed) + 1 == replicas {
            counting.1.notify_one();
        }
    });
    let (begin, used) = (now(), spent("self"));
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    deployments.delete_with("web", &options).await?;
    gone.1.notified().await;
    report("rollout/delete", &sizes, begin.elapsed().as_secs_f64(), "s");
    report("rollout/delete/cpu", &sizes, (spent("self") - used).as_secs_f64(), "s");
    assert!(client.all::<Pod>().list(&ListOptions::default()).await?.items.is_empty());
    drop(cluster);
    Ok(())
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&["nodes", "replicas", "rounds"]);
    let sizes = match (options.find("nodes"), options.find("replicas")) {
        (None, None) => vec![(10, 1_000), (1_000, 10_000)],
        (nodes, replicas) => vec![(nodes.unwrap_or(10), replicas.unwrap_or(1_000))],
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (nodes, replicas) in sizes {
        // From the second round on, the allocator has most of the memory already.
        for _ in 0..options.get("rounds", 1) {
            // In one of the runtime's threads: the one that waits here would be one more than there are cores.
            runtime.block_on(runtime.spawn(measure(nodes, replicas)))?.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
