use super::*;
use crate::api::{Connect, Connection, ExecOptions, LogOptions, Output, PodRef, Reason};
use crate::runtime::memory::{Script, SimulatedImage};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn reference(world: &World, name: &str) -> PodRef {
    let uid = world.pod(name).await.unwrap().metadata.uid.clone().unwrap();
    PodRef { namespace: "default".into(), name: name.into(), uid }
}

async fn logs(world: &World, pod: &PodRef, options: LogOptions) -> Result<String, crate::api::ApiError> {
    let connection = world.agent().endpoint().connect(pod, Connect::Log(options)).await?;
    let Connection::Log(stream) = connection else { panic!("{connection:?}") };
    let pieces: Vec<_> = stream.map(|piece| String::from_utf8(piece.unwrap().into()).unwrap()).collect().await;
    Ok(pieces.concat())
}

#[tokio::test(start_paused = true)]
async fn logs_are_read_of_this_and_the_previous_instance() {
    let world = World::new().await;
    let pod = world.run_image("web", "busybox", json!({ "command": ["sh", "-c", "date; sleep 20; exit 1"] })).await;
    let pod = PodRef { namespace: "default".into(), name: "web".into(), uid: pod.metadata.uid.clone().unwrap() };
    world.pass(25).await;
    assert_eq!(logs(&world, &pod, LogOptions::default()).await.unwrap(), "Thu Jan  1 00:00:21 UTC 2026\n");
    let previous = LogOptions { previous: true, ..LogOptions::default() };
    assert_eq!(logs(&world, &pod, previous.clone()).await.unwrap(), "Thu Jan  1 00:00:01 UTC 2026\n");

    world.run_image("new", "x", json!({})).await;
    world.runtime.registry().add("slow", SimulatedImage::server().with_pull_latency(Duration::from_secs(60)));
    world.run_image("slow", "slow", json!({})).await;
    world.pass(1).await;
    let error = logs(&world, &reference(&world, "new").await, previous).await.unwrap_err();
    assert_eq!(error.message(), "previous terminated container \"main\" in pod \"new\" not found");
    let error = logs(&world, &reference(&world, "slow").await, LogOptions::default()).await.unwrap_err();
    assert_eq!(error.message(), "container \"main\" in pod \"slow\" is waiting to start: ContainerCreating");
    assert_eq!(error.reason(), Reason::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn programs_run_in_a_pod_and_missing_ones_are_told() {
    let world = World::new().await;
    world.run_image("web", "x", json!({ "env": [{ "name": "COLOR", "value": "blue" }] })).await;
    world.pass(1).await;
    let pod = reference(&world, "web").await;
    let exec = |command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let options = ExecOptions { command, stdout: true, stderr: true, ..ExecOptions::default() };
        let (endpoint, pod) = (world.agent().endpoint(), pod.clone());
        async move {
            let Connection::Exec(mut session) = endpoint.connect(&pod, Connect::Exec(options)).await.unwrap() else {
                panic!("not a session")
            };
            let mut text = String::new();
            while let Some((Output::Stdout | Output::Stderr, bytes)) = session.output.recv().await {
                text += std::str::from_utf8(&bytes).unwrap();
            }
            (text, session.exit.await.unwrap())
        }
    };
    assert_eq!(exec(&["sh", "-c", "echo $COLOR; exit 3"]).await, ("blue\n".to_owned(), Ok(3)));
    let error = exec(&["foo"]).await.1.unwrap_err();
    assert!(error.message().contains("exec: \"foo\": executable file not found in $PATH: unknown"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_port_of_a_pod_is_reached_without_sockets() {
    let world = World::new().await;
    world.run_image("web", "acme/app:2", json!({ "ports": [{ "containerPort": 8080 }] })).await;
    world.pass(1).await;
    let pod = reference(&world, "web").await;
    let endpoint = world.agent().endpoint();
    let Connection::Port(mut stream) = endpoint.connect(&pod, Connect::PortForward(8080)).await.unwrap() else {
        panic!("not a stream")
    };
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.ends_with("pod: web\nnamespace: default\nimage: acme/app:2\nnode: n1\ncontainer: main\nip: 10.244.1.2\n"),
        "{text}"
    );
    assert!(endpoint.connect(&pod, Connect::PortForward(81)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_container_joins_a_running_pod() {
    let world = World::new().await;
    world.runtime.registry().add("debugger", SimulatedImage::new(Script::new().print("looking").exit(0)));
    world.run_image("web", "x", json!({})).await;
    world.pass(1).await;
    let pods = world.client.api::<Pod>("default");
    let mut pod = Pod::clone(&*pods.get("web").await.unwrap());
    let debugger = json!([{ "name": "debug", "image": "debugger", "targetContainerName": "main" }]);
    pod.spec.as_mut().unwrap().ephemeral_containers = serde_json::from_value(debugger).unwrap();
    let draft = crate::api::Draft::new(pod);
    pods.dynamic().update_sub("ephemeralcontainers", draft, &Default::default()).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready, debug Completed(0)");
}
