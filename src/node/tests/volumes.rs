use super::*;
use crate::api::Patch;
use crate::runtime::{Runtime, SandboxId};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

async fn output(world: &World, name: &str, command: &[&str]) -> String {
    let uid = world.pod(name).await.unwrap().metadata.uid.clone().unwrap();
    let sandbox: SandboxId = world.runtime.sandbox_of(&uid).unwrap().0;
    let container = world.runtime.containers(&sandbox).await.unwrap().pop().unwrap().id;
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    String::from_utf8(world.runtime.exec_sync(&container, &command, None).await.unwrap().output).unwrap()
}

async fn configuration(world: &World) {
    let map = json!({ "metadata": { "name": "config" }, "data": { "mode": "fast", "level": "3" } });
    world.client.api::<ConfigMap>("default").create(serde_json::from_value::<ConfigMap>(map).unwrap()).await.unwrap();
    let secret = json!({ "metadata": { "name": "secret" }, "data": { "key": "aHVzaA==" } });
    world.client.api::<Secret>("default").create(serde_json::from_value::<Secret>(secret).unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_environment_comes_from_everywhere_that_a_pod_may_name() {
    let world = World::new().await;
    configuration(&world).await;
    let env = json!({
        "resources": { "limits": { "memory": "64Mi" } },
        "envFrom": [{ "prefix": "CFG_", "configMapRef": { "name": "config" } }],
        "env": [
            { "name": "A", "value": "a" },
            { "name": "B", "value": "$(A)b $(NONE) $$(A)" },
            { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
            { "name": "MIB", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
            { "name": "LEVEL", "valueFrom": { "configMapKeyRef": { "name": "config", "key": "level" } } },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "key" } } },
            { "name": "OFF", "valueFrom": { "secretKeyRef": { "name": "none", "key": "key", "optional": true } } },
        ],
    });
    world.run_image("web", "x", env).await;
    world.pass(1).await;
    let text = output(&world, "web", &["env"]).await;
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("KUBERNETES_")).collect();
    assert_eq!(
        lines,
        [
            "A=a",
            "APP=web",
            "B=ab $(NONE) $(A)",
            "CFG_level=3",
            "CFG_mode=fast",
            "HOSTNAME=web",
            "IP=10.244.1.2",
            "KEY=hush",
            "LEVEL=3",
            "MIB=64",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "POD=web",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reference_to_nothing_keeps_a_container_from_starting_until_it_is_there() {
    let world = World::new().await;
    let env =
        json!({ "env": [{ "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "key" } } }] });
    world.run_image("web", "x", env).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Pending: main CreateContainerConfigError");
    let events = world.events("web").await;
    assert!(events.contains(&"Failed: Error: secret \"secret\" not found".to_owned()), "{events:#?}");
    configuration(&world).await;
    world.pass(15).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
}

#[tokio::test(start_paused = true)]
async fn volumes_show_files_and_follow_their_sources() {
    let world = World::new().await;
    configuration(&world).await;
    let spec = json!({
        "volumes": [
            { "name": "config", "configMap": { "name": "config", "items": [{ "key": "mode", "path": "a/mode" }] } },
            { "name": "all", "projected": { "sources": [
                { "secret": { "name": "secret" } },
                { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
            ] } },
            { "name": "scratch", "emptyDir": {} },
        ],
        "initContainers": [{
            "name": "init", "image": "busybox", "command": ["sh", "-c", "echo made > /scratch/file"],
            "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
        }],
        "containers": [{ "name": "main", "image": "x", "volumeMounts": [
            { "name": "config", "mountPath": "/config" },
            { "name": "all", "mountPath": "/all" },
            { "name": "scratch", "mountPath": "/data" },
        ] }],
    });
    world.run("web", spec).await;
    world.pass(1).await;
    assert_eq!(
        output(&world, "web", &["cat", "/config/a/mode", "/all/key", "/all/labels", "/data/file"]).await,
        "fasthushapp=\"web\"made\n"
    );
    let change = json!({ "data": { "mode": "slow" } });
    world.client.api::<ConfigMap>("default").patch("config", Patch::Merge(change)).await.unwrap();
    world.pass(61).await;
    assert_eq!(output(&world, "web", &["cat", "/config/a/mode"]).await, "slow");
}

#[tokio::test(start_paused = true)]
async fn a_volume_without_its_source_holds_the_pod_back() {
    let world = World::new().await;
    let spec = json!({
        "volumes": [{ "name": "config", "configMap": { "name": "config" } }],
        "containers": [{ "name": "main", "image": "x", "volumeMounts": [{ "name": "config", "mountPath": "/c" }] }],
    });
    world.run("web", spec).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Pending: main ContainerCreating");
    assert_eq!(
        world.events("web").await,
        ["FailedMount: MountVolume.SetUp failed for volume \"config\" : configmap \"config\" not found x2"]
    );
    configuration(&world).await;
    world.pass(2).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
}
