//! What a node does by itself: static pods, resizes, and what it still knows when its agent begins anew.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::{Patch, WriteOptions};
use orchestrion::cluster::Cluster;
use orchestrion::node::AgentConfig;

use crate::agent::{is_ready, restarts, until};
use crate::recovery::docker;
use crate::runtime::{Bench, variable};

fn container_id(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    status.container_id.as_deref()?.strip_prefix("docker://")
}

#[tokio::test(flavor = "multi_thread")]
async fn static_pods_run_from_a_directory_of_the_machine() {
    let bench = Bench::new("static").await;
    let directory = std::env::temp_dir().join("static-pods");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.display().to_string();
    let agent = move |agent| AgentConfig {
        static_pod_path: Some(path.clone()),
        file_check: Duration::from_millis(200),
        ..agent
    };
    let cluster = Cluster::builder().docker(&bench.docker).agent(agent).start().await.expect("a cluster");
    let manifest = |command: &str| {
        let image = variable("TEST_IMAGE");
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: {image}, command: [{command}]}}]}}\n"
        )
    };
    let write = |text: String| std::fs::write(directory.join("web.yaml"), text).expect("a manifest");
    write(manifest("sleep, '3600'"));
    let name = "web-node-1";
    until(&cluster, |pods| pods.get(name).is_some_and(is_ready)).await;
    let pods = cluster.client().api::<Pod>("default");
    let first = pods.get(name).await.expect("the mirror");
    let id = container_id(&first).expect("a container").to_owned();
    // It outlives its mirror and its agent.
    pods.delete(name).await.expect("its end");
    cluster.crash_node("node-1");
    cluster.add_node("node-1").await.expect("the node again");
    let is_shown_anew = |pod: &Pod| pod.metadata.uid != first.metadata.uid && is_ready(pod);
    until(&cluster, |pods| pods.get(name).is_some_and(|pod| is_shown_anew(pod) && container_id(pod) == Some(&id)))
        .await;
    write(manifest("sleep, '1800'"));
    until(&cluster, |pods| pods.get(name).is_some_and(|pod| is_ready(pod) && container_id(pod) != Some(&id))).await;
    std::fs::remove_file(directory.join("web.yaml")).expect("the manifest");
    until(&cluster, |pods| pods.is_empty()).await;
    cluster.stop().await;
    bench.remove().await;
    std::fs::remove_dir_all(directory).expect("the directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_resized_while_it_runs() {
    let bench = Bench::new("resize").await;
    let cluster = Cluster::builder().docker(&bench.docker).start().await.expect("a cluster");
    let image = variable("TEST_IMAGE");
    let sizes = |cpu: &str, memory: &str| format!("{{cpu: {cpu}, memory: {memory}}}");
    let size = sizes("100m", "64Mi");
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: {image}, command: [sleep, '3600'], resources: {{requests: {size}, limits: {size}}}}}]}}\n"
    );
    cluster.apply(&pod).await.expect("a pod");
    until(&cluster, |pods| pods.get("web").is_some_and(is_ready)).await;
    let pods = cluster.client().api::<Pod>("default");
    let before = pods.get("web").await.expect("the pod");
    let id = container_id(&before).expect("a container");
    let amounts = serde_json::json!({ "cpu": "200m", "memory": "128Mi" });
    let patch = serde_json::json!({ "spec": { "containers": [{ "name": "main", "resources": { "requests": amounts, "limits": amounts } }] } });
    pods.dynamic().patch("web", "resize", Patch::Strategic(patch), &WriteOptions::default()).await.expect("a resize");
    until(&cluster, |pods| {
        pods.get("web").is_some_and(|pod| {
            let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first().cloned());
            let limits = status.and_then(|status| status.resources?.limits).unwrap_or_default();
            limits.get("memory").is_some_and(|memory| memory.0 == "128Mi") && is_ready(pod) && restarts(pod) == 0
        })
    })
    .await;
    assert_eq!(container_id(&pods.get("web").await.expect("the pod")), Some(id));
    let format = "{{.HostConfig.CpuQuota}} {{.HostConfig.CpuShares}} {{.HostConfig.Memory}}";
    assert_eq!(docker(&["inspect", "--format", format, id]).trim(), "20000 204 134217728");
    cluster.stop().await;
    bench.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_begins_anew_knows_what_was_ready_and_what_waits() {
    let bench = Bench::new("recall").await;
    let cluster = Cluster::builder().docker(&bench.docker).start().await.expect("a cluster");
    let image = variable("TEST_IMAGE");
    let spec = |name: &str, container: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, containers: [{{name: main, image: {image}, {container}}}]}}\n---\n"
        )
    };
    // The probe is made once a minute: an agent that forgot would have to wait for that.
    let ready =
        spec("ready", "command: [sleep, '3600'], readinessProbe: {exec: {command: ['true']}, periodSeconds: 60}");
    cluster.apply(&(ready + &spec("crashes", "command: [sh, -c, exit 1]"))).await.expect("two pods");
    let waits = |pod: &Pod, count: i32| {
        let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first().cloned());
        let reason = status.and_then(|status| status.state?.waiting?.reason);
        restarts(pod) == count && reason.as_deref() == Some("CrashLoopBackOff")
    };
    until(&cluster, |pods| {
        pods.get("ready").is_some_and(is_ready) && pods.get("crashes").is_some_and(|pod| waits(pod, 2))
    })
    .await;
    let pods = cluster.client().api::<Pod>("default");
    let before = pods.get("ready").await.expect("the pod");
    cluster.crash_node("node-1");
    cluster.add_node("node-1").await.expect("the node again");
    until(&cluster, |pods| pods.get("crashes").is_some_and(|pod| waits(pod, 3))).await;
    let since = |pod: &Pod| pod.status.as_ref().and_then(|status| status.conditions.clone());
    assert_eq!(since(&pods.get("ready").await.expect("the pod")), since(&before), "it was ready all the time");
    let crashed = pods.get("crashes").await.expect("the pod");
    let status = &crashed.status.as_ref().and_then(|status| status.container_statuses.as_ref()).expect("a status")[0];
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref()?.message.clone()).expect("a message");
    assert!(waiting.contains("back-off 40s restarting failed container"), "{waiting}");
    cluster.stop().await;
    bench.remove().await;
}
