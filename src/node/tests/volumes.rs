use super::*;
use crate::api::Patch;
use crate::runtime::{File, Runtime, SandboxId};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret};

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

#[tokio::test(start_paused = true)]
async fn paths_of_the_node_are_what_their_volume_says() {
    let world = World::new().await;
    let host = world.runtime.host_files();
    host.write("/srv/file", File::new("text"));
    host.make_directory("/srv/directory");
    // Path, type, and why the pod waits.
    let cases = [
        ("/srv/directory", "", ""),
        ("/srv/none", "", ""),
        ("/srv/directory", "Directory", ""),
        ("/srv/made/deep", "DirectoryOrCreate", ""),
        ("/srv/file", "File", ""),
        ("/srv/empty", "FileOrCreate", ""),
        ("/srv/file", "Directory", "hostPath type check failed: /srv/file is not a directory"),
        ("/srv/absent", "Directory", "hostPath type check failed: /srv/absent is not a directory"),
        ("/srv/file", "DirectoryOrCreate", "hostPath type check failed: /srv/file is not a directory"),
        ("/srv/directory", "File", "hostPath type check failed: /srv/directory is not a file"),
        ("/srv/directory", "FileOrCreate", "hostPath type check failed: /srv/directory is not a file"),
        ("/srv/file", "Socket", "hostPath type check failed: /srv/file is not a socket file"),
        ("/srv/file", "CharDevice", "hostPath type check failed: /srv/file is not a character device"),
        ("/srv/file", "BlockDevice", "hostPath type check failed: /srv/file is not a block device"),
    ];
    for (number, (path, type_, why)) in cases.into_iter().enumerate() {
        let name = format!("pod-{number}");
        let spec = json!({
            "volumes": [{ "name": "host", "hostPath": { "path": path, "type": type_ } }],
            "containers": [{ "name": "main", "image": "x", "volumeMounts": [{ "name": "host", "mountPath": "/h" }] }],
        });
        world.run(&name, spec).await;
        world.pass_millis(100).await;
        let events = world.events(&name).await;
        let failed = format!("FailedMount: MountVolume.SetUp failed for volume \"host\" : {why}");
        if why.is_empty() {
            assert_eq!(world.summary(&name).await, "Running: main ready", "{path} {type_}: {events:#?}");
        } else {
            assert_eq!(world.summary(&name).await, "Pending: main ContainerCreating", "{path} {type_}");
            assert_eq!(events, [failed], "{path} {type_}");
        }
    }
    assert!(host.is_directory("/srv/made/deep") && host.read("/srv/empty").unwrap().content.is_empty());
    // It is tried again, after longer and longer pauses.
    let retried = ["pod-7"];
    host.make_directory("/srv/absent");
    world.pass(2).await;
    for name in retried {
        assert_eq!(world.summary(name).await, "Running: main ready");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_volume_is_mounted_as_it_is_and_nothing_beside_it() {
    let world = World::new().await;
    configuration(&world).await;
    let spec = json!({
        "volumes": [{ "name": "scratch", "emptyDir": {} }, { "name": "config", "configMap": { "name": "config" } }],
        "containers": [{
            "name": "main", "image": "x",
            "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            "volumeMounts": [
                { "name": "scratch", "mountPath": "/own", "subPathExpr": "pods/$(POD)" },
                { "name": "scratch", "mountPath": "/all", "readOnly": true },
                { "name": "config", "mountPath": "/mode", "subPath": "mode" },
                { "name": "config", "mountPath": "/config" },
            ],
        }],
    });
    world.run("web", spec).await;
    world.pass(1).await;
    assert_eq!(output(&world, "web", &["ls", "/all/pods"]).await, "web\n", "made where there was nothing");
    output(&world, "web", &["sh", "-c", "echo made > /own/file"]).await;
    assert_eq!(output(&world, "web", &["cat", "/all/pods/web/file"]).await, "made\n");
    let refused = output(&world, "web", &["sh", "-c", "echo x > /all/x"]).await;
    assert!(refused.contains("Read-only file system"), "{refused}");
    let change = json!({ "data": { "mode": "slow" } });
    world.client.api::<ConfigMap>("default").patch("config", Patch::Merge(change)).await.unwrap();
    world.pass(61).await;
    assert_eq!(output(&world, "web", &["cat", "/config/mode", "/mode"]).await, "slowfast");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_volume_that_cannot_be_told_keeps_a_container_from_being_made() {
    let world = World::new().await;
    let cases = [
        ("a/$(NONE)/$(EMPTY)", "missing value for EMPTY, NONE"),
        ("$(UP)/etc", "unable to provision SubPath `../etc`: must not contain '..'"),
        ("$(ROOT)", "error SubPath `/etc` must not be an absolute path"),
    ];
    for (number, (expression, why)) in cases.into_iter().enumerate() {
        let name = format!("pod-{number}");
        let spec = json!({
            "volumes": [{ "name": "scratch", "emptyDir": {} }],
            "containers": [{
                "name": "main", "image": "x",
                "env": [{ "name": "UP", "value": ".." }, { "name": "ROOT", "value": "/etc" }, { "name": "EMPTY" }],
                "volumeMounts": [{ "name": "scratch", "mountPath": "/own", "subPathExpr": expression }],
            }],
        });
        world.run(&name, spec).await;
        world.pass(1).await;
        assert_eq!(world.summary(&name).await, "Pending: main CreateContainerConfigError");
        let events = world.events(&name).await;
        assert!(events.contains(&format!("Failed: Error: {why}")), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_shows_the_files_that_its_volume_says() {
    let world = World::new().await;
    world.runtime.host_files().write("/srv/disk/name", File::new("disk"));
    let volumes = world.client.all::<PersistentVolume>();
    let claims = world.client.api::<PersistentVolumeClaim>("default");
    for (name, source) in [
        ("good", json!({ "hostPath": { "path": "/srv/disk", "type": "Directory" } })),
        ("bad", json!({ "hostPath": { "path": "/srv/none", "type": "Directory" } })),
    ] {
        let mut spec = json!({ "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"] });
        spec.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let volume = json!({ "metadata": { "name": name }, "spec": spec });
        volumes.create(serde_json::from_value::<PersistentVolume>(volume).unwrap()).await.unwrap();
        let claim = json!({ "metadata": { "name": name }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
            "storageClassName": "", "volumeName": name,
        } });
        claims.create(serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()).await.unwrap();
        let spec = json!({
            "volumes": [{ "name": "disk", "persistentVolumeClaim": { "claimName": name } }],
            "containers": [{ "name": "main", "image": "x", "volumeMounts": [{ "name": "disk", "mountPath": "/d" }] }],
        });
        world.run(name, spec).await;
    }
    world.pass(1).await;
    assert_eq!(output(&world, "good", &["cat", "/d/name"]).await, "disk");
    assert_eq!(world.summary("bad").await, "Pending: main ContainerCreating");
}
