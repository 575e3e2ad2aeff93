//! Collection of pods that nobody looks after: on nodes that are gone, never placed, or long at their end.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::node_lifecycle::state;
use crate::reconcile::{Context, Error, Running, pod};

const NAME: &str = "pod-garbage-collector";
/// How often it looks.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node must be missing before it counts as gone.
const QUARANTINE: Duration = Duration::from_secs(40);
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Starts the collector of pods. So many pods at their end are kept; `None`: all.
pub fn start(ctx: &Context, keep_terminated: Option<usize>) -> Running {
    let ctx = ctx.named(NAME);
    Running::of(tokio::spawn(async move {
        let (pods, nodes) = (ctx.informers().of::<Pod>(), ctx.informers().of::<Node>());
        tokio::join!(pods.synced(), nodes.synced());
        let mut missing = BTreeMap::new();
        loop {
            if let Err(error) = collect(&ctx, keep_terminated, &mut missing).await {
                tracing::debug!(%error, "pods were not collected");
            }
            ctx.clock().sleep(PERIOD).await;
        }
    }))
}

/// Deletes what is to go. `missing` remembers since when nodes have been missing.
async fn collect(
    ctx: &Context,
    keep_terminated: Option<usize>,
    missing: &mut BTreeMap<String, Duration>,
) -> Result<(), Error> {
    let (pods, nodes) = (ctx.informers().of::<Pod>().list(), ctx.informers().of::<Node>());
    let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty());

    if let Some(keep) = keep_terminated {
        let mut ended: Vec<_> = pods.iter().filter(|pod| pod::is_terminal(pod)).collect();
        ended.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone()));
        let excess = ended.len().saturating_sub(keep);
        for pod in &ended[..excess] {
            pod::disrupt(ctx, pod, "", "", Some(0)).await?;
        }
    }

    let now = ctx.clock().elapsed();
    let mut gone = Vec::new();
    missing.retain(|name, _| nodes.get("", name).is_none());
    for name in pods.iter().filter_map(|pod| node_of(pod)) {
        if nodes.get("", &name).is_none() && now - *missing.entry(name.clone()).or_insert(now) >= QUARANTINE {
            gone.push(name);
        }
    }
    gone.sort();
    gone.dedup();
    let mut confirmed = Vec::new();
    for name in gone {
        if ctx.client().all::<Node>().get_opt(&name).await?.is_none() {
            confirmed.push(name);
        }
    }
    for pod in &pods {
        match node_of(pod) {
            Some(node) if confirmed.contains(&node) => {
                pod::disrupt(ctx, pod, "DeletionByPodGC", "PodGC: node no longer exists", Some(0)).await?;
            }
            Some(node) if pod.metadata.deletion_timestamp.is_some() => {
                let is_out = |node: &Node| {
                    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
                    state(node, "Ready") != "True" && taints.any(|taint| taint.key == OUT_OF_SERVICE)
                };
                if nodes.get("", &node).is_some_and(|node| is_out(&node)) {
                    pod::disrupt(ctx, pod, "", "", Some(0)).await?;
                }
            }
            // Nobody else will see to its end.
            None if pod.metadata.deletion_timestamp.is_some() => pod::disrupt(ctx, pod, "", "", Some(0)).await?,
            _ => {}
        }
    }
    Ok(())
}
