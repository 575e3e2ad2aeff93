use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::api::{LogOptions, Output};
use crate::runtime::{ContainerConfig, ContainerState, Runtime, RuntimeError};

fn runtime(network: Network) -> MemoryRuntime {
    MemoryRuntime::new(MemoryConfig {
        node: "node-1".into(),
        network,
        registry: Registry::default(),
        clock: Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()),
        random: Random::seeded(1),
    })
}

fn simulated() -> MemoryRuntime {
    runtime(Network::simulated([10, 244, 0, 0].into(), SimulatedNetwork::default()))
}

async fn run(runtime: &MemoryRuntime, config: ContainerConfig) -> (SandboxStatus, ContainerId) {
    let sandbox = SandboxConfig {
        name: "web-0".into(),
        namespace: "shop".into(),
        uid: "u1".into(),
        hostname: "web-0".into(),
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(&sandbox).await.unwrap();
    runtime.pull_image(&config.image, &[]).await.unwrap();
    let id = runtime.create_container(&sandbox.id, &config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    (sandbox, id)
}

fn shell(script: &str) -> ContainerConfig {
    let command = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let env = vec![("NAME".to_owned(), "two words".to_owned())];
    ContainerConfig { name: "main".into(), image: "busybox".into(), command, env, ..ContainerConfig::default() }
}

async fn exit_of(runtime: &MemoryRuntime, id: &ContainerId) -> i32 {
    let mut events = runtime.events();
    loop {
        if let ContainerState::Exited(exit) = runtime.container_status(id).await.unwrap().state {
            return exit.code;
        }
        events.next().await;
    }
}

async fn logs(runtime: &MemoryRuntime, id: &ContainerId) -> String {
    let pieces: Vec<_> = runtime.logs(id, &LogOptions::default()).await.unwrap().collect().await;
    pieces.into_iter().map(|piece| String::from_utf8(piece.unwrap().into()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_simulated_shell_runs_what_manifests_usually_contain() {
    for (script, output, code) in [
        ("echo hello $NAME; exit 3", "hello two words\n", 3),
        ("echo '$NAME' \"$NAME\" ${MISSING:-none}", "$NAME two words none\n", 0),
        ("false && echo no || echo yes", "yes\n", 0),
        ("echo a > /tmp/x; echo b >> /tmp/x; cat /tmp/x", "a\nb\n", 0),
        ("for x in $NAME three; do echo $x; done", "two\nwords\nthree\n", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); sleep 1; done; echo $i", "3\n", 0),
        ("if test -f /nope; then echo there; else echo missing; fi", "missing\n", 0),
        ("echo one two | cat", "one two\n", 0),
        ("echo \"it is $(hostname)\"", "it is web-0\n", 0),
        ("touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; ls /tmp", "", 0),
        ("cat /etc/hostname", "web-0\n", 0),
        ("frobnicate", "sh: frobnicate: not found\n", 127),
        ("cat /nope", "cat: can't open '/nope': No such file or directory\n", 1),
        ("echo )", "sh: syntax error: unexpected \")\"\n", 2),
        ("date +%s", "1767225600\n", 0),
    ] {
        let runtime = simulated();
        let (_, id) = run(&runtime, shell(script)).await;
        assert_eq!(exit_of(&runtime, &id).await, code, "{script}");
        assert_eq!(logs(&runtime, &id).await, output, "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_executable_is_told_as_a_real_runtime_does() {
    let runtime = simulated();
    let (_, id) = run(&runtime, shell("sleep 1000")).await;
    let ok = runtime.exec_sync(&id, &["echo".into(), "hi".into()], None).await.unwrap();
    assert_eq!((ok.code, &ok.output[..]), (0, &b"hi\n"[..]));
    let error = runtime.exec_sync(&id, &["foo".into()], None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"foo\": executable file not \
         found in $PATH: unknown"
    );
    let limit = Some(Duration::from_secs(1));
    let slow = runtime.exec_sync(&id, &["sleep".into(), "5".into()], limit).await.unwrap_err();
    assert!(matches!(slow, RuntimeError::Timeout { .. }));
}

#[tokio::test(start_paused = true)]
async fn attached_input_reaches_the_program_and_its_output_comes_back() {
    let runtime = simulated();
    let config = ContainerConfig { command: vec!["sh".into()], stdin: true, tty: true, ..shell("") };
    let (_, id) = run(&runtime, config).await;
    let mut session =
        runtime.attach(&id, &crate::api::ExecOptions { stdin: true, ..Default::default() }).await.unwrap();
    session.stdin.send("echo hi\n".into()).await.unwrap();
    session.stdin.send("exit 4\n".into()).await.unwrap();
    let mut text = String::new();
    while let Some((Output::Stdout, bytes)) = session.output.recv().await {
        text += std::str::from_utf8(&bytes).unwrap();
    }
    assert!(text.contains("hi\n"), "{text}");
    assert_eq!(session.exit.await.unwrap().unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_function_runs_as_a_container_until_it_is_asked_to_end() {
    let runtime = simulated();
    runtime.registry().add_function("hello", |context: ContainerContext| async move {
        context.print(format_args!("{} on {}", context.pod(), context.node()));
        let signal = context.terminated().await;
        context.clock().sleep(Duration::from_secs(2)).await;
        context.print(signal);
        7
    });
    let config = ContainerConfig { name: "main".into(), image: "hello".into(), ..ContainerConfig::default() };
    let (_, id) = run(&runtime, config.clone()).await;
    runtime.stop_container(&id, Duration::from_secs(30)).await.unwrap();
    let status = runtime.container_status(&id).await.unwrap();
    let exit = status.exit().unwrap();
    assert_eq!((exit.code, exit.reason.as_str()), (7, "Error"));
    assert_eq!(exit.finished_at.to_string(), "2026-01-01T00:00:02Z");
    assert_eq!(logs(&runtime, &id).await, "web-0 on node-1\nSIGTERM\n");

    let (_, id) = run(&runtime, config).await;
    runtime.stop_container(&id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(runtime.container_status(&id).await.unwrap().exit().unwrap().code, 137);
}

fn server() -> ContainerConfig {
    let port = k8s_openapi::api::core::v1::ContainerPort { container_port: 3000, ..Default::default() };
    ContainerConfig { name: "main".into(), image: "acme/app:1".into(), ports: vec![port], ..ContainerConfig::default() }
}

async fn get(stream: &mut super::super::PodStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\nip: 10.244.0.2\n") && !text.ends_with(b".2\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_image_serves_its_ports_and_drains_when_it_is_asked_to_end() {
    let runtime = simulated();
    let (sandbox, id) = run(&runtime, server()).await;
    let mut kept = runtime.dial(&sandbox.id, 3000).await.unwrap();
    let answer = get(&mut kept).await;
    assert!(answer.contains("pod: web-0\nnamespace: shop\nimage: acme/app:1\nnode: node-1\n"), "{answer}");
    assert!(!answer.contains("connection: close"), "{answer}");

    let stopping = {
        let (runtime, id) = (runtime.clone(), id.clone());
        tokio::spawn(async move { runtime.stop_container(&id, Duration::from_secs(30)).await })
    };
    tokio::task::yield_now().await;
    let answer = get(&mut kept).await;
    assert!(answer.contains("connection: close"), "{answer}");
    let mut late = runtime.dial(&sandbox.id, 3000).await.unwrap();
    get(&mut late).await;
    stopping.await.unwrap().unwrap();
    assert_eq!(runtime.container_status(&id).await.unwrap().exit().unwrap().code, 0);
    let refused = runtime.dial(&sandbox.id, 3000).await.err().unwrap();
    assert_eq!(refused.to_string(), "dial tcp 10.244.0.2:3000: connect: connection refused");
}

#[tokio::test]
async fn on_loopback_every_pod_has_an_address_and_real_sockets() {
    let runtime = runtime(Network::loopback([127, 200, 7, 0].into()));
    let (a, _) = run(&runtime, server()).await;
    let (b, _) = run(&runtime, server()).await;
    assert_ne!(a.ips, b.ips);
    let mut stream = runtime.dial(&a.id, 3000).await.unwrap();
    assert!(get(&mut stream).await.contains("pod: web-0"));
}

#[tokio::test(start_paused = true)]
async fn images_that_cannot_be_fetched_say_why() {
    let runtime = simulated();
    runtime.registry().add("nope", SimulatedImage::server().with_pull_failure("not found"));
    assert_eq!(
        runtime.pull_image("nope", &[]).await.unwrap_err().to_string(),
        "failed to pull and unpack image \"docker.io/library/nope:latest\": failed to resolve reference \
         \"docker.io/library/nope:latest\": docker.io/library/nope:latest: not found"
    );
    assert!(runtime.image("nope").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_runtime_ends_its_containers() {
    struct Told(tokio::sync::mpsc::Sender<()>);
    let (alive, mut gone) = tokio::sync::mpsc::channel(1);
    let runtime = simulated();
    let told = Arc::new(Told(alive));
    runtime.registry().add_function("holder", move |_: ContainerContext| {
        let told = Told(told.0.clone());
        async move {
            let _held = told;
            std::future::pending().await
        }
    });
    let config = ContainerConfig { name: "main".into(), image: "holder".into(), ..ContainerConfig::default() };
    run(&runtime, config).await;
    tokio::task::yield_now().await;
    drop(runtime);
    assert!(gone.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_memory_runtime_keeps_every_promise_of_the_kit() {
    crate::runtime::testkit::all(|| Box::new(simulated()), "busybox").await;
}
