//! The same seed gives the same run: every write, in order, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::{DeleteOptions, Kinds, LabelSelector, Patch, Revision};
use orchestrion::cluster::Cluster;
use orchestrion::store::{Scope, Store, StoreEvent};
use serde_json::json;

/// How often the same seed is run.
const RUNS: usize = 20;
/// Longer than it takes to notice a lost node and to give up on its pods.
const LONG: Duration = Duration::from_secs(900);

#[test]
fn the_same_seed_writes_the_same_history_and_another_seed_another() {
    let first = history(7);
    for run in 1..RUNS {
        let again = history(7);
        let difference = first.iter().zip(&again).find(|(one, other)| one != other);
        assert_eq!(difference, None, "run {run} differs from the first");
        assert_eq!(first.len(), again.len(), "run {run} is longer or shorter than the first");
    }
    assert_ne!(first, history(8));
}

/// All that is written in a run of the scenario, as lines of JSON. Each run has a tokio runtime of its own, as tests have.
fn history(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::builder().simulated(seed).nodes(3).start().await.unwrap();
        scenario(&cluster).await;
        written(&**cluster.server().store()).await
    })
}

/// A rollout, a new image, a deleted pod, a crashed node, and back to the first image.
async fn scenario(cluster: &Cluster) {
    let deployments = cluster.client().api::<Deployment>("default");
    let pods = cluster.client().api::<Pod>("default");
    cluster.apply(include_str!("../fixtures/myapp.yaml")).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();

    let image = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "hello-world", "image": "polarsquad/hello-world-app:v2" }
    ] } } } });
    deployments.patch("myapp", Patch::Strategic(image)).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();

    let running = three_ready(cluster, "").await;
    let lost = running[0].metadata.name.clone().unwrap();
    pods.delete_with(&lost, &DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() }).await.unwrap();
    pods.wait(&lost, LONG, |pod| pod.is_none()).await.unwrap();

    let running = three_ready(cluster, "").await;
    let node = running[0].spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap();
    cluster.crash_node(&node);
    three_ready(cluster, &node).await;

    deployments.undo("myapp", None).await.unwrap();
    cluster.rolled_out("default", "myapp").await.unwrap();
}

/// Waits for three pods that are ready, and on a node other than `lost`.
async fn three_ready(cluster: &Cluster, lost: &str) -> Vec<std::sync::Arc<Pod>> {
    let fit = move |pod: &Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
        pod.metadata.deletion_timestamp.is_none() && node != Some(lost) && ready.next().is_some()
    };
    let three = |pods: &[std::sync::Arc<Pod>]| pods.iter().filter(|pod| fit(pod)).count() == 3;
    let pods = cluster.client().api::<Pod>("default");
    let all = pods.wait_all(LabelSelector::default(), LONG, three).await.unwrap();
    all.into_iter().filter(|pod| fit(pod)).collect()
}

/// Every change of every kind from the beginning, in order of revision.
async fn written(store: &dyn Store) -> Vec<String> {
    let resources: BTreeSet<_> = Kinds::builtin().all().iter().map(|kind| kind.stored().clone()).collect();
    let mut watches = Vec::new();
    for resource in resources {
        // An empty store is at revision 1.
        watches.push(store.watch(&Scope::all(resource), Revision::from(1)).await.unwrap());
    }
    let (mut changes, mut lines) = (stream::select_all(watches), BTreeMap::new());
    let last = store.revision().await.unwrap().get();
    while lines.range(..=last).count() < usize::try_from(last).unwrap() - 1 {
        let StoreEvent::Change(change) = changes.next().await.unwrap().unwrap() else { continue };
        let (revision, key) = (change.revision.get(), change.object.key());
        let verb = if change.deleted { "delete" } else { "write" };
        let body = String::from_utf8_lossy(&change.object.json()).into_owned();
        lines.insert(revision, format!("{{\"revision\":{revision},\"{verb}\":\"{key:?}\",\"object\":{body}}}"));
    }
    lines.into_iter().filter(|(revision, _)| *revision <= last).map(|(_, line)| line).collect()
}
