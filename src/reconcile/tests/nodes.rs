//! Nodes that fall silent, and what becomes of their pods.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use super::{World, parse};
use crate::api::Patch;

impl World {
    /// Reports for these nodes, as their agents would, for so many seconds.
    async fn report(&self, nodes: &[&str], seconds: u64) {
        for _ in 0..seconds.div_ceil(10) {
            for name in nodes {
                let leases = self.client.api::<Lease>("kube-node-lease");
                let renewed = Some(self.ctx.clock().micro_time());
                leases
                    .modify(name, |lease| lease.spec.get_or_insert_default().renew_time = renewed.clone())
                    .await
                    .unwrap();
            }
            self.pass(10).await;
        }
    }

    async fn add_node(&self, name: &str) {
        let nodes = self.client.all::<Node>();
        nodes.create(parse::<Node>(json!({ "metadata": { "name": name } }))).await.unwrap();
        let now = self.ctx.clock().now().to_string();
        let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now });
        nodes.patch_status(name, Patch::Merge(json!({ "status": { "conditions": [ready] } }))).await.unwrap();
        let lease = parse::<Lease>(json!({ "metadata": { "name": name, "namespace": "kube-node-lease" }, "spec": {} }));
        self.client.api::<Lease>("kube-node-lease").create(lease).await.unwrap();
    }

    async fn taints(&self, node: &str) -> Vec<String> {
        let node = self.client.all::<Node>().get(node).await.unwrap();
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        taints.map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn pods_leave_a_node_that_falls_silent() {
    let world = World::with(|_| true).await;
    world.add_node("n1").await;
    world.add_node("n2").await;
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "c", "image": "v1" }], "tolerations": [{
            "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
        }] },
    });
    world.create::<Pod>(pod).await;
    world.report(&["n1", "n2"], 60).await;
    assert!(world.taints("n1").await.is_empty());

    world.report(&["n2"], 60).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let ready = node.status.as_ref().unwrap().conditions.iter().flatten().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("Unknown", Some("NodeStatusUnknown")));
    assert_eq!(ready.message.as_deref(), Some("Kubelet stopped posting node status."));
    let unreachable = ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"];
    assert_eq!(world.taints("n1").await, unreachable);
    let pod = world.get::<Pod>("web").await.unwrap();
    assert!(!crate::reconcile::pod::is_ready(&pod));
    assert!(world.events("web").await.contains(&"NodeNotReady: Node is not ready".to_owned()));
    assert!(world.events("n1").await.contains(&"NodeNotReady: Node n1 status is now: NodeNotReady".to_owned()));

    world.report(&["n2"], 280).await;
    assert!(world.get::<Pod>("web").await.is_some());
    world.report(&["n2"], 30).await;
    assert!(world.get::<Pod>("web").await.is_none());
    let events = world.events("web").await;
    assert!(events.contains(&"TaintManagerEviction: Marking for deletion Pod default/web".to_owned()), "{events:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_evicted_where_every_node_is_silent() {
    let world = World::with(|_| true).await;
    world.add_node("n1").await;
    world
        .create::<Pod>(
            json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c", "image": "v1" }] } }),
        )
        .await;
    world.report(&["n1"], 20).await;
    world.pass(600).await;
    assert_eq!(world.taints("n1").await, ["node.kubernetes.io/unreachable:NoSchedule"]);
    assert!(world.get::<Pod>("web").await.is_some());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_collected() {
    let world = World::with(|_| true).await;
    world.add_node("n1").await;
    world.add_node("n2").await;
    world
        .create::<Pod>(
            json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c", "image": "v1" }] } }),
        )
        .await;
    world.report(&["n1", "n2"], 20).await;
    world.client.all::<Node>().delete("n1").await.unwrap();
    world.report(&["n2"], 20).await;
    assert!(world.get::<Pod>("web").await.is_some());
    world.report(&["n2"], 60).await;
    let left: Vec<Arc<Pod>> = world.list().await;
    assert!(left.is_empty(), "{left:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_may_come_to_stay_longer_on_a_tainted_node() {
    let world = World::with(|_| true).await;
    world.add_node("n1").await;
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "c", "image": "v1" }], "tolerations": [{
            "key": "repair", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 100,
        }] },
    });
    world.create::<Pod>(pod).await;
    let tainted = json!({ "spec": { "taints": [{ "key": "repair", "effect": "NoExecute" }] } });
    world.client.all::<Node>().patch("n1", Patch::Merge(tainted)).await.unwrap();
    world.report(&["n1"], 50).await;
    let longer = |pod: &mut Pod| {
        let tolerations = pod.spec.iter_mut().flat_map(|spec| spec.tolerations.iter_mut().flatten());
        for toleration in tolerations.filter(|toleration| toleration.key.as_deref() == Some("repair")) {
            toleration.toleration_seconds = Some(300);
        }
    };
    world.client.api::<Pod>("default").modify("web", longer).await.unwrap();

    world.report(&["n1"], 200).await;
    assert!(world.get::<Pod>("web").await.is_some());
    world.report(&["n1"], 80).await;
    assert!(world.get::<Pod>("web").await.is_none());
    world.stop().await;
}
