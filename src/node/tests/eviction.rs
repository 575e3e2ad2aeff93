//! A node that runs short of something.

use k8s_openapi::api::core::v1::{Event, Node};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::{Value, json};

use super::World;
use crate::api::ListOptions;
use crate::node::{AgentConfig, Threshold};
use crate::runtime::memory::SimulatedImage;
use crate::runtime::{DiskUsage, Runtime};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl World {
    /// Status, reason and message of a condition of the node.
    async fn node_condition(&self, type_: &str) -> [String; 3] {
        let node = self.client.all::<Node>().get("n1").await.unwrap();
        let conditions = node.status.as_ref().unwrap().conditions.iter().flatten();
        let found = conditions.into_iter().find(|condition| condition.type_ == type_).unwrap();
        [found.status.clone(), found.reason.clone().unwrap(), found.message.clone().unwrap()]
    }

    /// Others need all of the machine's memory but so much.
    fn leave_memory(&self, bytes: u64) {
        let pods = self.runtime.measure().memory_used - self.runtime.simulated_machine().others.memory_bytes;
        self.runtime.change_machine(|machine| machine.others.memory_bytes = machine.memory_bytes - pods - bytes);
    }

    /// Others need all of the machine's disk but so much.
    fn leave_disk(&self, bytes: u64) {
        let disk = self.runtime.measure().node_disk;
        let others = self.runtime.simulated_machine().disk_others.bytes;
        let bytes = others + disk.available - bytes;
        self.runtime.change_machine(|machine| machine.disk_others = DiskUsage { bytes, ..machine.disk_others });
    }

    async fn phases(&self, names: &[&str]) -> Vec<String> {
        let mut phases = Vec::new();
        for name in names {
            let status = self.status(name).await;
            let reason = status.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            phases.push(format!("{name} {}{reason}", status.phase.unwrap()));
        }
        phases
    }

    /// An image whose containers use so much memory.
    fn image(&self, name: &str, mebibytes: u64) {
        self.runtime.registry().add(name, SimulatedImage::server().with_usage(1, mebibytes * MIB).with_size(MIB));
    }
}

fn asking(memory: &str) -> Value {
    json!({ "resources": { "requests": { "memory": memory } } })
}

#[tokio::test(start_paused = true)]
async fn a_node_short_of_memory_ends_the_pod_that_uses_most_over_its_request() {
    let world = World::new().await;
    world.image("small", 100);
    world.image("large", 600);
    world.run_image("fits", "large", asking("1Gi")).await;
    world.run_image("best-effort", "small", json!({})).await;
    world.run_image("exceeds", "large", asking("200Mi")).await;
    world.pass(15).await;
    world.leave_memory(90 * MIB);
    world.pass(20).await;
    assert_eq!(
        world.node_condition("MemoryPressure").await,
        ["True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"]
    );
    assert_eq!(
        world.phases(&["fits", "best-effort", "exceeds"]).await,
        ["fits Running", "best-effort Running", "exceeds Failed Evicted"]
    );
    let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container main was \
                   using 600Mi, request is 200Mi, has larger consumption of memory. ";
    let status = world.status("exceeds").await;
    assert_eq!(status.message.as_deref(), Some(message));
    assert_eq!(world.summary("exceeds").await, "Failed: main Completed(0)");
    assert_eq!(
        world.condition("exceeds", "DisruptionTarget").await,
        ("True".to_owned(), Some("TerminationByKubelet".to_owned()), Some(message.to_owned()))
    );
    let events = world.client.all::<Event>().list(&ListOptions::default()).await.unwrap().items;
    let evicted = events.iter().find(|event| event.reason.as_deref() == Some("Evicted")).unwrap();
    assert_eq!((evicted.type_.as_deref(), evicted.message.as_deref()), (Some("Warning"), Some(message)));
    let annotations = evicted.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["offending_containers"], "main");
    assert_eq!(annotations["offending_containers_usage"], "600Mi");
    assert_eq!(annotations["starved_resource"], "memory");
    let of_node = world.events("n1").await;
    assert!(of_node.contains(&"EvictionThresholdMet: Attempting to reclaim memory".to_owned()), "{of_node:?}");
    let short = "NodeHasInsufficientMemory: Node n1 status is now: NodeHasInsufficientMemory";
    assert!(of_node.contains(&short.to_owned()), "{of_node:?}");

    // It has got its memory back; five minutes later it says so.
    world.pass(280).await;
    assert_eq!(world.node_condition("MemoryPressure").await[0], "True");
    world.pass(40).await;
    assert_eq!(world.node_condition("MemoryPressure").await[1], "KubeletHasSufficientMemory");
    let of_node = world.events("n1").await;
    let again = of_node.iter().filter(|event| event.starts_with("NodeHasSufficientMemory")).count();
    assert_eq!(again, 1, "once, and counted: {of_node:?}");
    assert_eq!(world.phases(&["fits", "best-effort"]).await, ["fits Running", "best-effort Running"]);
}

#[tokio::test(start_paused = true)]
async fn priority_goes_before_use_and_critical_pods_stay() {
    let world = World::new().await;
    world.image("small", 100);
    world.image("large", 600);
    for (name, value) in [("important", 1000), ("other", 10)] {
        let class = json!({ "metadata": { "name": name }, "value": value });
        let class: PriorityClass = serde_json::from_value(class).unwrap();
        world.client.all::<PriorityClass>().create(class).await.unwrap();
    }
    let with = |image: &str, class: &str| json!({ "priorityClassName": class, "containers": [{ "name": "main", "image": image }] });
    world.run("critical", with("large", "system-node-critical")).await;
    world.run("important", with("large", "important")).await;
    world.run("other", with("small", "other")).await;
    world.pass(15).await;
    world.leave_memory(50 * MIB);
    world.pass(30).await;
    let names = ["critical", "important", "other"];
    assert_eq!(
        world.phases(&names).await,
        ["critical Running", "important Running", "other Failed Evicted"],
        "which was enough"
    );
    world.leave_memory(0);
    world.pass(60).await;
    assert_eq!(world.phases(&names).await[..2], ["critical Running", "important Failed Evicted"]);
    world.leave_memory(0);
    world.pass(60).await;
    assert_eq!(world.phases(&names).await[0], "critical Running", "whatever comes");
}

#[tokio::test(start_paused = true)]
async fn a_node_short_of_memory_takes_no_pods_that_ask_for_nothing() {
    let world = World::new().await;
    world.leave_memory(50 * MIB);
    world.pass(15).await;
    world.run_image("best-effort", "x", json!({})).await;
    world.run_image("burstable", "x", asking("10Mi")).await;
    let tolerating = json!([{ "key": "node.kubernetes.io/memory-pressure", "operator": "Exists" }]);
    let containers = json!([{ "name": "main", "image": "x" }]);
    world.run("tolerates", json!({ "containers": containers, "tolerations": tolerating })).await;
    world.pass(1).await;
    let status = world.status("best-effort").await;
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("Evicted")));
    assert_eq!(status.message.as_deref(), Some("Pod was rejected: The node had condition: [MemoryPressure]. "));
    assert_eq!(world.events("best-effort").await, ["Evicted: The node had condition: [MemoryPressure]. "]);
    assert_eq!(world.phases(&["burstable", "tolerates"]).await, ["burstable Running", "tolerates Running"]);
    // A disk that is full is another matter.
    world.leave_disk(GIB);
    world.pass(15).await;
    world.run_image("late", "x", asking("10Mi")).await;
    world.pass(1).await;
    let message = world.status("late").await.message.unwrap();
    assert_eq!(message, "Pod was rejected: The node had condition: [MemoryPressure DiskPressure]. ");
}

fn soft(config: AgentConfig) -> AgentConfig {
    let threshold: Threshold = "memory.available<1Gi".parse().unwrap();
    let mut config = config;
    config.eviction.thresholds.push(threshold.for_longer_than(std::time::Duration::from_secs(90)));
    config.eviction.longest_grace = std::time::Duration::from_secs(20);
    config
}

#[tokio::test(start_paused = true)]
async fn a_soft_threshold_gives_time_before_and_at_the_end() {
    let world = World::with(soft).await;
    let slow = SimulatedImage::draining_server(std::time::Duration::from_secs(15)).with_usage(1, 100 * MIB);
    world.runtime.registry().add("slow", slow);
    world.run_image("web", "slow", json!({})).await;
    world.pass(15).await;
    world.leave_memory(500 * MIB);
    world.pass(60).await;
    assert_eq!(world.node_condition("MemoryPressure").await[0], "True");
    assert_eq!(world.phases(&["web"]).await, ["web Running"]);
    world.pass(45).await;
    assert_eq!(world.summary("web").await, "Running: main ready", "it has 20 seconds to end");
    assert_eq!(world.condition("web", "DisruptionTarget").await.0, "True");
    world.pass(16).await;
    assert_eq!(world.phases(&["web"]).await, ["web Failed Evicted"]);
    assert_eq!(world.summary("web").await, "Failed: main Completed(0)");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_goes_before_pods_do() {
    let world = World::new().await;
    world.runtime.registry().add("big", SimulatedImage::new(|_| async { 0 }).with_size(20 * GIB));
    world.run("done", json!({ "restartPolicy": "Never", "containers": [{ "name": "main", "image": "big" }] })).await;
    world.run_image("web", "x", json!({})).await;
    world.pass(450).await; // the image has been seen after five minutes, and is old enough two minutes later
    assert_eq!(world.summary("done").await, "Succeeded: main Completed(0)");
    world.leave_disk(5 * GIB);
    world.pass(15).await;
    assert_eq!(world.node_condition("DiskPressure").await[1], "KubeletHasDiskPressure");
    assert_eq!(world.phases(&["web"]).await, ["web Running"]);
    assert_eq!(world.summary("done").await, "Succeeded: main Completed(0)", "how it ended is still known");
    assert_eq!(world.runtime.measure().node_disk.available / GIB, 25, "the image is gone, its container too");
    let events = world.events("n1").await;
    assert!(events.contains(&"EvictionThresholdMet: Attempting to reclaim ephemeral-storage".to_owned()), "{events:?}");
    world.pass(400).await;
    assert_eq!(world.node_condition("DiskPressure").await[1], "KubeletHasNoDiskPressure");
    assert_eq!(world.phases(&["web"]).await, ["web Running"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_the_pod_that_has_written_most() {
    let world = World::new().await;
    world.runtime.change_machine(|machine| (machine.disk_bytes, machine.disk_others.bytes) = (GIB, 100 * MIB));
    world.runtime.registry().add("tiny", SimulatedImage::server().with_size(MIB));
    let scratch = |name: &str| {
        let mounts = json!([{ "name": "scratch", "mountPath": "/scratch" }]);
        let container = json!({ "name": name, "image": "tiny", "volumeMounts": mounts });
        json!({ "containers": [container], "volumes": [{ "name": "scratch", "emptyDir": {} }] })
    };
    let pods = [world.run("some", scratch("main")).await, world.run("more", scratch("main")).await];
    world.pass(150).await;
    for (pod, kibibytes) in pods.iter().zip([64, 256]) {
        let (sandbox, _) = world.runtime.sandbox_of(pod.metadata.uid.as_ref().unwrap()).unwrap();
        let container = world.runtime.containers(&sandbox).await.unwrap().pop().unwrap().id;
        let text = "x".repeat(1000);
        for part in 0..kibibytes {
            let script = format!("echo {text} > /scratch/{part}");
            let command = ["sh", "-c", &script].map(str::to_owned);
            world.runtime.exec_sync(&container, &command, None).await.unwrap();
        }
    }
    world.leave_disk(GIB * 15 / 100 - 100_000);
    world.pass(15).await;
    assert_eq!(world.phases(&["some", "more"]).await, ["some Running", "more Failed Evicted"]);
    let message = world.status("more").await.message.unwrap();
    assert!(
        message.starts_with(
            "The node was low on resource: ephemeral-storage. Threshold quantity: 161061273, available: 160961273. "
        ),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn processes_that_run_out_cost_the_least_important_pod() {
    let world = World::with(|mut config| {
        config.eviction.thresholds = vec!["pid.available<10%".parse().unwrap()];
        config
    })
    .await;
    let pod = world.run_image("forks", "x", json!({})).await;
    world.run_image("idle", "x", json!({})).await;
    world.pass(15).await;
    world.runtime.change_load(pod.metadata.uid.as_ref().unwrap(), "main", |load| load.processes = 32_000);
    world.pass(15).await;
    assert_eq!(world.phases(&["forks", "idle"]).await, ["forks Failed Evicted", "idle Running"]);
    assert_eq!(world.node_condition("PIDPressure").await[1], "KubeletHasInsufficientPID");
    let message = world.status("forks").await.message.unwrap();
    assert!(
        message.starts_with("The node was low on resource: pids. Threshold quantity: 3276, available: "),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_that_keep_more_than_they_may_are_ended() {
    let world = World::new().await;
    let write = |path: &str| {
        let text = "x".repeat(2000);
        json!(["sh", "-c", format!("echo {text} > {path}; sleep 3600")])
    };
    let mounts = json!([{ "name": "scratch", "mountPath": "/scratch" }]);
    let in_volume = json!({ "name": "main", "image": "x", "command": write("/scratch/a"), "volumeMounts": mounts });
    let volume = |limit: &str| json!([{ "name": "scratch", "emptyDir": { "sizeLimit": limit } }]);
    world.run("volume", json!({ "containers": [in_volume], "volumes": volume("1Ki") })).await;
    world.run("fits", json!({ "containers": [in_volume], "volumes": volume("4Ki") })).await;
    let limits = |limit: &str| json!({ "limits": { "ephemeral-storage": limit } });
    let layer = json!({ "name": "main", "image": "x", "command": write("/tmp/a"), "resources": limits("1Ki") });
    world.run("whole", json!({ "containers": [layer] })).await;
    let other = json!({ "name": "other", "image": "x", "resources": limits("1Mi") });
    world.run("container", json!({ "containers": [layer, other] })).await;
    world.pass(25).await;
    assert_eq!(
        world.phases(&["volume", "fits", "whole", "container"]).await,
        ["volume Failed Evicted", "fits Running", "whole Failed Evicted", "container Failed Evicted"]
    );
    let message = async |name: &str| world.status(name).await.message.unwrap();
    assert_eq!(message("volume").await, "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Ki\". ");
    assert_eq!(message("whole").await, "Pod ephemeral local storage usage exceeds the total limit of containers 1Ki. ");
    assert_eq!(message("container").await, "Container main exceeded its local ephemeral storage limit \"1Ki\". ");
    let conditions = world.status("volume").await.conditions.unwrap();
    assert!(conditions.iter().all(|condition| condition.type_ != "DisruptionTarget"), "its own doing");
    assert_eq!(world.node_condition("DiskPressure").await[0], "False");
}
