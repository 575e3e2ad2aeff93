//! Volumes as files of the machine.

use k8s_openapi::api::core::v1::{Event, Pod};
use orchestrion::api::ListOptions;
use orchestrion::cluster::Cluster;

use crate::agent::{is_ready, until};
use crate::runtime::{Bench, variable};

fn waits(pod: &Pod, reason: &str) -> bool {
    let mut all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    all.any(|one| one.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref()) == Some(reason))
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_the_machine_and_parts_of_volumes_are_mounted_or_refused() {
    let bench = Bench::new("paths").await;
    let cluster = Cluster::builder().docker(&bench.docker).start().await.expect("a cluster");
    let image = variable("TEST_IMAGE");
    let base = std::env::temp_dir().join("paths-of-the-machine");
    std::fs::create_dir_all(&base).expect("a directory");
    std::fs::write(base.join("file"), "here\n").expect("a file");
    let _socket = std::os::unix::net::UnixListener::bind(base.join("socket")).expect("a socket");
    let path = |name: &str| base.join(name).display().to_string();
    // Path, type, and why the pod waits; it serves from what it mounts, where it is a directory.
    let cases = [
        (path(""), "Directory", ""),
        (path("made/deep"), "DirectoryOrCreate", ""),
        (path("unsaid"), "", ""),
        (path("file"), "File", ""),
        (path("new"), "FileOrCreate", ""),
        (path("socket"), "Socket", ""),
        ("/dev/null".to_owned(), "CharDevice", ""),
        (path("file"), "Directory", "is not a directory"),
        (path("none"), "File", "is not a file"),
        (path("none/new"), "FileOrCreate", "No such file or directory"),
        (path("file"), "Socket", "is not a socket file"),
        (path("socket"), "File", "is not a file"),
        ("/dev/null".to_owned(), "BlockDevice", "is not a block device"),
    ];
    for (number, (path, type_, _)) in cases.iter().enumerate() {
        let pod = format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: path-{number}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: {image}, command: [sleep, '3600'], volumeMounts: [{{name: host, mountPath: /host}}]}}]
  volumes: [{{name: host, hostPath: {{path: {path}, type: '{type_}'}}}}]
"
        );
        cluster.apply(&pod).await.expect("a pod");
    }
    // Somebody else than root writes to a part of an emptyDir; a link that leads out of it is not followed.
    for (name, part) in [("writes", "new/deep"), ("escapes", "out/etc")] {
        let pod = format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1000}}
  initContainers: [{{name: links, image: {image}, command: [ln, -s, /, /all/out], volumeMounts: [{{name: scratch, mountPath: /all}}]}}]
  containers:
  - name: main
    image: {image}
    command: [sh, -c, 'echo mine > /part/file && ! echo x > /all/x && exec sleep 3600']
    volumeMounts: [{{name: scratch, mountPath: /part, subPath: {part}}}, {{name: scratch, mountPath: /all, readOnly: true}}]
  volumes: [{{name: scratch, emptyDir: {{}}}}]
"
        );
        cluster.apply(&pod).await.expect("a pod");
    }
    until(&cluster, |pods| {
        let works = cases.iter().enumerate().all(|(number, (_, _, why))| {
            let pod = pods.get(&format!("path-{number}"));
            pod.is_some_and(|pod| if why.is_empty() { is_ready(pod) } else { waits(pod, "ContainerCreating") })
        });
        works
            && pods.get("writes").is_some_and(is_ready)
            && pods.get("escapes").is_some_and(|pod| waits(pod, "CreateContainerConfigError"))
    })
    .await;
    assert!(base.join("made/deep").is_dir() && base.join("unsaid").is_dir() && base.join("new").is_file());
    let events =
        cluster.client().api::<Event>("default").list(&ListOptions::default()).await.expect("the events").items;
    let told = |pod: &str, text: &str| {
        let about = |event: &Event| event.involved_object.name.as_deref() == Some(pod);
        events.iter().any(|event| about(event) && event.message.as_deref().is_some_and(|told| told.contains(text)))
    };
    for (number, (_, _, why)) in cases.iter().enumerate().filter(|(_, (_, _, why))| !why.is_empty()) {
        assert!(told(&format!("path-{number}"), why), "{why}: {events:#?}");
    }
    assert!(told("escapes", "Error: failed to prepare subPath for volumeMount \"scratch\" of container \"main\""));
    cluster.stop().await;
    bench.remove().await;
    std::fs::remove_dir_all(base).expect("the directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_device_of_the_machine_is_a_volume() {
    let bench = Bench::new("devices").await;
    let cluster = Cluster::builder().docker(&bench.docker).start().await.expect("a cluster");
    let image = variable("TEST_IMAGE");
    let base = std::env::temp_dir().join("block-devices");
    std::fs::create_dir_all(&base).expect("a directory");
    let disk = base.join("disk");
    // A name for a device; nothing is read from it.
    let made = std::process::Command::new("mknod").arg(&disk).args(["b", "7", "250"]).status().expect("mknod");
    assert!(made.success());
    let claim = |name: &str, path: &str, volumes: &str| {
        format!(
            "
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  volumeMode: Block
  local: {{path: {path}}}
  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/os, operator: Exists}}]}}]}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}, volumeMode: Block, storageClassName: '', volumeName: {name}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: {image}, command: [sh, -c, 'test -b /dev/xvda && exec sleep 3600'], {volumes}}}]
  volumes: [{{name: disk, persistentVolumeClaim: {{claimName: {name}}}}}]
"
        )
    };
    let device = "volumeDevices: [{name: disk, devicePath: /dev/xvda}]";
    let disk = disk.display().to_string();
    for (name, path, volumes) in [
        ("good", disk.as_str(), device),
        ("file", "/etc/passwd", device),
        ("mounted", disk.as_str(), "volumeMounts: [{name: disk, mountPath: /disk}]"),
    ] {
        cluster.apply(&claim(name, path, volumes)).await.expect("a pod");
    }
    until(&cluster, |pods| {
        pods.get("good").is_some_and(is_ready)
            && pods.get("file").is_some_and(|pod| waits(pod, "ContainerCreating"))
            && pods.get("mounted").is_some_and(|pod| waits(pod, "CreateContainerConfigError"))
    })
    .await;
    cluster.stop().await;
    bench.remove().await;
    std::fs::remove_dir_all(base).expect("the directory");
}
