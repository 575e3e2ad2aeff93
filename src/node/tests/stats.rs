//! What a node and its pods use.

use serde_json::{Value, json};

use super::World;
use crate::api::stats::{Scope, Summary};
use crate::api::{Answer, Connect, Connection, PodRef};
use crate::runtime::Runtime;
use crate::runtime::memory::{Load, SimulatedImage};

impl World {
    async fn measure(&self, scope: Scope) -> Summary {
        self.agent().endpoint().stats(scope).await.unwrap()
    }

    async fn read(&self, path: &str) -> Answer {
        let nobody = PodRef { namespace: String::new(), name: "n1".into(), uid: String::new() };
        let connection = self.agent().endpoint().connect(&nobody, Connect::Get(path.to_owned())).await;
        let Connection::Answer(answer) = connection.unwrap() else { panic!("a text") };
        answer
    }
}

/// Billionths of a core and seconds, of each container.
fn rates(summary: &Summary) -> Vec<(&str, Option<u64>, u64)> {
    let containers = summary.pods.iter().flat_map(|pod| &pod.containers);
    containers.map(|one| (one.name.as_str(), one.cpu.usage_nano_cores, one.cpu.window.as_secs())).collect()
}

#[tokio::test(start_paused = true)]
async fn rates_are_told_over_the_time_between_two_looks() {
    let world = World::new().await;
    world.runtime.registry().add("app", SimulatedImage::server().with_usage(200, 64 << 20));
    let pod = world.run_image("web", "app", json!({})).await;
    let uid = pod.metadata.uid.clone().unwrap();
    world.pass(5).await;
    assert_eq!(rates(&world.measure(Scope::CpuAndMemory).await), [("main", None, 0)], "it has just begun");
    world.pass(6).await;
    let summary = world.measure(Scope::CpuAndMemory).await;
    assert_eq!(rates(&summary), [("main", Some(200_000_000), 11)], "since its start");
    let pod = &summary.pods[0];
    assert_eq!(pod.memory.as_ref().unwrap().working_set_bytes, 64 << 20);
    assert_eq!((pod.pod_ref.name.as_str(), pod.pod_ref.uid.as_str()), ("web", uid.as_str()));

    // What was measured lately is not measured again.
    world.runtime.change_load(&uid, "main", |load| *load = Load { cpu_millis: 1200, ..*load });
    world.pass(10).await;
    assert_eq!(rates(&world.measure(Scope::CpuAndMemory).await), [("main", Some(200_000_000), 11)]);
    world.pass(20).await;
    assert_eq!(rates(&world.measure(Scope::CpuAndMemory).await), [("main", Some(1_200_000_000), 30)]);

    // After an hour in which nobody asked, the rate is that of now.
    world.pass(3600).await;
    world.runtime.change_load(&uid, "main", |load| load.cpu_millis = 50);
    assert_eq!(rates(&world.measure(Scope::CpuAndMemory).await), [("main", Some(50_000_000), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_begins_anew_and_sidecars_are_told_of() {
    let world = World::new().await;
    let sidecar = json!({ "name": "side", "image": "x", "restartPolicy": "Always" });
    let spec = json!({ "initContainers": [sidecar], "containers": [{ "name": "main", "image": "x" }] });
    let pod = world.run("web", spec).await;
    world.pass(30).await;
    assert_eq!(
        rates(&world.measure(Scope::CpuAndMemory).await),
        [("side", Some(1_000_000), 30), ("main", Some(1_000_000), 30)]
    );
    world.runtime.crash(pod.metadata.uid.as_ref().unwrap(), "main", 1, "Error");
    world.pass(5).await;
    let summary = world.measure(Scope::CpuAndMemory).await;
    assert_eq!(rates(&summary).last(), Some(&("main", None, 0)), "another container, five seconds old");
}

#[tokio::test(start_paused = true)]
async fn the_kubelet_s_paths_are_served() {
    let world = World::new().await;
    world.runtime.registry().add("app", SimulatedImage::server().with_usage(200, 64 << 20).with_size(100 << 20));
    let volumes = json!([{ "name": "scratch", "emptyDir": {} }]);
    let mounts = json!([{ "name": "scratch", "mountPath": "/scratch" }]);
    let script = json!(["sh", "-c", "echo hello; echo 12345 > /scratch/a; echo 123 > /tmp/b; sleep 3600"]);
    let container = json!({ "name": "main", "image": "app", "command": script, "volumeMounts": mounts });
    world.run("web", json!({ "containers": [container], "volumes": volumes })).await;
    world.pass(40).await;

    let answer = world.read("/stats/summary").await;
    assert_eq!(answer.media, "application/json");
    let summary: Value = serde_json::from_slice(&answer.body).unwrap();
    let (node, pod) = (&summary["node"], &summary["pods"][0]);
    assert_eq!((&node["nodeName"], &node["fs"]["capacityBytes"]), (&json!("n1"), &json!(100_u64 << 30)));
    assert_eq!(node["memory"]["workingSetBytes"], json!((256_u64 + 64) << 20), "of the pod, and of the rest");
    assert_eq!(node["cpu"]["usageNanoCores"], json!(215_121_951));
    assert_eq!((&node["rlimit"]["maxpid"], &node["rlimit"]["curproc"]), (&json!(32_768), &json!(101)));
    assert_eq!(node["runtime"]["imageFs"]["usedBytes"], json!(100_u64 << 20));
    assert_eq!(pod["podRef"]["namespace"], json!("default"));
    assert_eq!(pod["containers"][0]["cpu"]["usageCoreNanoSeconds"], json!(8_000_000_000_u64));
    assert_eq!(pod["containers"][0]["rootfs"]["usedBytes"], json!(4));
    assert_eq!(pod["containers"][0]["logs"]["usedBytes"], json!(6));
    assert_eq!((&pod["volume"][0]["name"], &pod["volume"][0]["usedBytes"]), (&json!("scratch"), &json!(6)));
    assert_eq!(pod["ephemeral-storage"]["usedBytes"], json!(16));
    assert_eq!(pod["process_stats"]["process_count"], json!(1));
    let brief = world.read("/stats/summary?only_cpu_and_memory=true").await;
    let brief: Value = serde_json::from_slice(&brief.body).unwrap();
    assert!(brief["node"].get("fs").is_none() && brief["pods"][0].get("ephemeral-storage").is_none());

    let text = String::from_utf8(world.read("/metrics/resource").await.body.to_vec()).unwrap();
    let now = world.client.clock().now().as_millisecond();
    for line in [
        "# TYPE container_cpu_usage_seconds_total counter".to_owned(),
        format!("container_cpu_usage_seconds_total{{container=\"main\",namespace=\"default\",pod=\"web\"}} 8 {now}"),
        format!(
            "container_memory_working_set_bytes{{container=\"main\",namespace=\"default\",pod=\"web\"}} 67108864 {now}"
        ),
        "container_start_time_seconds{container=\"main\",namespace=\"default\",pod=\"web\"} 1767225601".to_owned(),
        format!("pod_memory_working_set_bytes{{namespace=\"default\",pod=\"web\"}} 67108864 {now}"),
        "resource_scrape_error 0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}\n{text}");
    }
    let nobody = PodRef { namespace: String::new(), name: "n1".into(), uid: String::new() };
    let missing = world.agent().endpoint().connect(&nobody, Connect::Get("/nothing".into())).await;
    assert_eq!(missing.unwrap_err().code(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_as_it_is_set() {
    let world = World::new().await;
    world.runtime.change_machine(|machine| {
        machine.memory_bytes = 1 << 30;
        machine.others.memory_bytes = 1 << 29;
        machine.image_disk_bytes = Some(1 << 30);
    });
    world.runtime.pull_image("app", &[]).await.unwrap();
    let machine = world.runtime.machine().await.unwrap();
    assert_eq!((machine.memory_capacity, machine.memory_used), (1 << 30, 1 << 29));
    assert_eq!(machine.image_disk.unwrap().available, (1 << 30) - (64 << 20));
    assert_eq!(machine.node_disk.available, 96 << 30);
}
