//! What only real containers show: namespaces, rights, limits, ports.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ResourceRequirements, SecurityContext};
use orchestrion::api::{ExecOptions, LogOptions, TerminalSize};
use orchestrion::runtime::docker::DockerRuntime;
use orchestrion::runtime::{
    ContainerConfig, ContainerId, ContainerState, Credential, Exit, File, FileTree, Medium, Mount, MountSource,
    PortMapping, Runtime, RuntimeError, SandboxConfig, SandboxStatus,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::runtime::{Bench, variable};

pub(crate) fn pod(name: &str) -> SandboxConfig {
    SandboxConfig {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("{name}-uid"),
        hostname: name.to_owned(),
        ..SandboxConfig::default()
    }
}

pub(crate) fn script(text: &str) -> ContainerConfig {
    ContainerConfig {
        name: "main".to_owned(),
        image: variable("TEST_IMAGE"),
        command: ["sh", "-c", text].map(str::to_owned).into(),
        ..ContainerConfig::default()
    }
}

pub(crate) async fn start(runtime: &DockerRuntime, sandbox: &SandboxStatus, config: &ContainerConfig) -> ContainerId {
    runtime.pull_image(&config.image, &[]).await.expect("the image");
    let id = runtime.create_container(&sandbox.id, config).await.expect("a container");
    runtime.start_container(&id).await.expect("its start");
    id
}

/// Waits for a container's end.
async fn end(runtime: &DockerRuntime, id: &ContainerId) -> Exit {
    let mut events = runtime.events();
    loop {
        if let ContainerState::Exited(exit) = runtime.container_status(id).await.expect("its status").state {
            return exit;
        }
        tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("an event").expect("an event");
    }
}

/// What a container has printed when it has ended.
async fn printed(runtime: &DockerRuntime, id: &ContainerId) -> String {
    end(runtime, id).await;
    let pieces: Vec<_> = runtime.logs(id, &LogOptions::default()).await.expect("its log").collect().await;
    pieces.into_iter().map(|piece| String::from_utf8(piece.expect("a piece").to_vec()).expect("text")).collect()
}

async fn exec(runtime: &DockerRuntime, id: &ContainerId, text: &str) -> String {
    let ran = runtime.exec_sync(id, &["sh", "-c", text].map(str::to_owned), None).await.expect("its output");
    String::from_utf8(ran.output).expect("text")
}

#[tokio::test]
async fn a_pod_s_containers_share_its_network_and_its_processes_where_asked() {
    let bench = Bench::new("namespaces").await;
    let node = bench.node();
    let alone = node.run_sandbox(&pod("alone")).await.expect("a sandbox");
    let server = start(&node, &alone, &script("echo here > /tmp/page; exec httpd -f -p 8080 -h /tmp")).await;
    let client =
        script("until wget -qO- http://127.0.0.1:8080/page; do true; done; hostname; ps | grep -c '[h]ttpd -f'");
    let client = ContainerConfig { name: "client".to_owned(), ..client };
    let client = start(&node, &alone, &client).await;
    assert_eq!(printed(&node, &client).await, "here\nalone\n0\n", "one network and name, processes apart");
    assert!(node.container_status(&server).await.expect("its status").is_running());

    let together = SandboxConfig { share_processes: true, ..pod("together") };
    let together = node.run_sandbox(&together).await.expect("a sandbox");
    // A program whose parent goes first is left to process 1, which is the pause program.
    let orphan = start(&node, &together, &script("(sleep 0 &); sleep 3600")).await;
    let seen =
        exec(&node, &orphan, "while ps -o stat,comm | grep -q '^Z'; do true; done; ps -o pid,comm | grep pause").await;
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["1", "pause"], "{seen}");
    bench.remove().await;
}

#[tokio::test]
async fn pods_reach_each_other_and_the_machine_reaches_them() {
    let bench = Bench::new("network").await;
    let (first, second) = (bench.node(), bench.node());
    let serving = first.run_sandbox(&pod("serving")).await.expect("a sandbox");
    let calling = second.run_sandbox(&pod("calling")).await.expect("a sandbox");
    let page = "echo served > /tmp/page; exec httpd -f -p 8080 -h /tmp";
    start(&first, &serving, &script(page)).await;
    let ip = serving.ips[0];
    let call = format!("until wget -qO- http://{ip}:8080/page; do true; done");
    let call = start(&second, &calling, &script(&call)).await;
    assert_eq!(printed(&second, &call).await, "served\n");

    let mut stream = first.dial(&serving.id, 8080).await.expect("a connection");
    AsyncWriteExt::write_all(&mut stream, b"GET /page HTTP/1.0\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("served\n"), "{answer}");
    bench.remove().await;
}

#[tokio::test]
async fn a_port_of_the_node_leads_into_the_pod() {
    let bench = Bench::new("ports").await;
    let node = bench.node();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port();
    let mapping = PortMapping {
        protocol: "TCP".to_owned(),
        container_port: 8080,
        host_port: free,
        host_ip: "127.0.0.1".to_owned(),
    };
    let config = SandboxConfig { port_mappings: vec![mapping.clone()], ..pod("mapped") };
    let sandbox = node.run_sandbox(&config).await.expect("a sandbox");
    let server = start(&node, &sandbox, &script("echo mapped > /tmp/page; exec httpd -f -p 8080 -h /tmp")).await;
    exec(&node, &server, "until wget -qO- http://127.0.0.1:8080/page; do true; done").await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", free)).await.expect("a connection");
    AsyncWriteExt::write_all(&mut stream, b"GET /page HTTP/1.0\r\n\r\n").await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("mapped\n"), "{answer}");

    // A second pod cannot have it, and nothing is left of the attempt.
    let refused = SandboxConfig { port_mappings: vec![mapping], ..pod("refused") };
    let error = node.run_sandbox(&refused).await.expect_err("the port is taken");
    assert!(matches!(&error, RuntimeError::Network(why) if why.contains("port is already allocated")), "{error}");
    assert_eq!(node.sandboxes().await.expect("the sandboxes").len(), 1);
    bench.remove().await;
}

#[tokio::test]
async fn a_container_has_the_rights_and_limits_that_it_is_given() {
    let bench = Bench::new("rights").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("rights")).await.expect("a sandbox");
    let security: SecurityContext = serde_json::from_value(serde_json::json!({
        "runAsUser": 1000, "runAsGroup": 3000, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    }))
    .expect("a security context");
    let config = ContainerConfig {
        security,
        groups: vec![2000],
        working_dir: "/etc".to_owned(),
        ..script(
            "id -u; id -g; id -G; pwd; touch /x 2>/dev/null || echo refused; grep -E 'NoNewPrivs|CapEff' /proc/self/status",
        )
    };
    let confined = start(&node, &sandbox, &config).await;
    let told = printed(&node, &confined).await;
    let words: Vec<_> = told.split_whitespace().collect();
    assert_eq!(words[..5], ["1000", "3000", "3000", "2000", "/etc"], "{told}");
    assert!(told.contains("refused\n"), "{told}");
    assert!(told.contains("NoNewPrivs:\t1") && told.contains("CapEff:\t0000000000000000"), "{told}");

    let resources: ResourceRequirements =
        serde_json::from_value(serde_json::json!({ "limits": { "memory": "64Mi" } })).expect("resources");
    // `tail` keeps all of its input that is on one line. Not before the engine has started it: until then, containerd
    // does not hear of memory that runs out (containerd/containerd#8180).
    let leak = "until [ -e /tmp/started ]; do sleep 0.1; done; tail -c 128000000 /dev/zero > /dev/null";
    let config = ContainerConfig { resources, ..script(leak) };
    let leaking = start(&node, &sandbox, &config).await;
    exec(&node, &leaking, "touch /tmp/started").await;
    let exit = end(&node, &leaking).await;
    assert_eq!((exit.code, exit.reason.as_str()), (137, "OOMKilled"));
    bench.remove().await;
}

#[tokio::test]
async fn a_pod_can_share_what_is_the_node_s() {
    let bench = Bench::new("host").await;
    let node = bench.node();
    let own = |path: &str| std::fs::read_to_string(path).expect("a file of the machine");
    let address = "10.1.2.3".parse().expect("an address");
    let config = SandboxConfig {
        host_network: Some(address),
        host_processes: true,
        host_ipc: true,
        hostname: "the-node".to_owned(),
        ..pod("host")
    };
    let sandbox = node.run_sandbox(&config).await.expect("a sandbox");
    assert_eq!(sandbox.ips, [address]);
    let id =
        start(&node, &sandbox, &script("cat /proc/1/comm; cat /proc/net/dev; ls -l /proc/self/ns/ipc; hostname")).await;
    let told = printed(&node, &id).await;
    assert!(told.starts_with(&own("/proc/1/comm")), "{told}");
    let interfaces = own("/proc/net/dev");
    let names = interfaces.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    assert!(names.into_iter().all(|name| told.contains(name)), "{told}");
    let ipc = std::fs::read_link("/proc/self/ns/ipc").expect("a link");
    assert!(told.contains(&ipc.display().to_string()), "{told}");
    assert!(told.ends_with("the-node\n"), "{told}");

    let sysctls = [("net.ipv4.ip_unprivileged_port_start".to_owned(), "80".to_owned())].into();
    let apart = node.run_sandbox(&SandboxConfig { sysctls, ..pod("apart") }).await.expect("a sandbox");
    let id = start(&node, &apart, &script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/1/comm")).await;
    assert_eq!(printed(&node, &id).await, "80\ncat\n", "processes and network of its own");
    bench.remove().await;
}

#[tokio::test]
async fn files_belong_to_the_group_of_the_pod() {
    let bench = Bench::new("groups").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("groups")).await.expect("a sandbox");
    let secret = File { content: "secret".into(), mode: 0o400 };
    let mount = |volume: &str, source| Mount {
        volume: volume.to_owned(),
        path: format!("/{volume}"),
        source,
        sub_path: String::new(),
        read_only: false,
        propagation: String::new(),
    };
    let files = FileTree::from_iter([("key".to_owned(), secret.clone())]);
    let security = serde_json::from_value(serde_json::json!({ "runAsUser": 1000 })).expect("a security context");
    let config = ContainerConfig {
        security,
        groups: vec![2000],
        file_group: Some(2000),
        mounts: vec![
            mount("files", MountSource::Files(files.clone())),
            mount("shared", MountSource::Directory(FileTree::default(), Medium::Disk)),
        ],
        ..script("cat /files/key; touch /shared/made; stat -L -c '%g %a' /files/key /shared /shared/made; sleep 3600")
    };
    let id = start(&node, &sandbox, &config).await;
    let told = exec(
        &node,
        &id,
        "until [ -e /shared/made ]; do true; done; stat -L -c '%g %a' /files/key /shared; stat -c %g /shared/made",
    )
    .await;
    assert_eq!(told, "2000 440\n2000 2777\n2000\n");
    files.replace([("key".to_owned(), File { content: "other".into(), ..secret })].into());
    node.refresh_files(&sandbox.id, "files", &files).await.expect("the new files");
    assert_eq!(exec(&node, &id, "cat /files/key; stat -L -c '%g %a' /files/key").await, "other2000 440\n");
    bench.remove().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let bench = Bench::new("missing").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("missing")).await.expect("a sandbox");
    let config = ContainerConfig { command: vec!["no-such-program".to_owned()], ..script("") };
    node.pull_image(&config.image, &[]).await.expect("the image");
    let id = node.create_container(&sandbox.id, &config).await.expect("a container");
    let error = node.start_container(&id).await.expect_err("no such program");
    assert!(matches!(error, RuntimeError::Start(_)), "{error}");
    let status = node.container_status(&id).await.expect("its status");
    let exit = status.exit().expect("its end");
    assert_eq!((exit.code, exit.reason.as_str(), exit.started_at), (128, "StartError", None));
    for text in [error.to_string(), exit.message.clone()] {
        assert!(text.contains("exec: \"no-such-program\": executable file not found in $PATH"), "{text}");
    }
    bench.remove().await;
}

#[tokio::test]
async fn a_container_that_ignores_its_signal_is_killed_when_its_time_is_over() {
    let bench = Bench::new("signals").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("signals")).await.expect("a sandbox");
    let stop = async |signal: &str, text: &str| {
        let config = ContainerConfig { stop_signal: signal.to_owned(), ..script(text) };
        let id = start(&node, &sandbox, &config).await;
        exec(&node, &id, "until [ -e /tmp/ready ]; do true; done").await;
        node.stop_container(&id, Duration::from_secs(2)).await.expect("stopped");
        end(&node, &id).await.code
    };
    let wait = "touch /tmp/ready; while true; do sleep 0.1; done";
    assert_eq!(stop("", &format!("trap 'exit 3' TERM; {wait}")).await, 3, "it was asked to end");
    assert_eq!(stop("SIGUSR1", &format!("trap 'exit 4' USR1; {wait}")).await, 4, "with its own signal");
    assert_eq!(stop("", &format!("trap '' TERM; {wait}")).await, 137, "it did not listen");
    bench.remove().await;
}

#[tokio::test]
async fn a_terminal_has_the_size_that_it_is_given() {
    let bench = Bench::new("terminal").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("terminal")).await.expect("a sandbox");
    let id = start(&node, &sandbox, &script("sleep 3600")).await;
    let options = ExecOptions {
        command: ["sh", "-c", "read go; stty size; exit 6"].map(str::to_owned).into(),
        stdin: true,
        stdout: true,
        tty: true,
        ..ExecOptions::default()
    };
    let mut session = node.exec(&id, &options).await.expect("a session");
    session.resize.send(TerminalSize { width: 91, height: 17 }).await.expect("it listens");
    // The size is set by another request than what is typed: it is there when the container says so.
    exec(&node, &id, "until stty size < /dev/pts/0 | grep -q '17 91'; do true; done").await;
    session.stdin.send("\n".into()).await.expect("it reads");
    let mut told = Vec::new();
    while let Some((_, bytes)) = session.output.recv().await {
        told.extend_from_slice(&bytes);
    }
    let told = String::from_utf8(told).expect("text");
    assert!(told.contains("17 91"), "{told}");
    assert_eq!(session.exit.await.expect("its end"), Ok(6));
    bench.remove().await;
}

#[tokio::test]
async fn what_listens_on_a_pod_s_loopback_alone_is_reached_as_well() {
    let bench = Bench::new("loopback").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("loopback")).await.expect("a sandbox");
    let server =
        "echo told > /tmp/short; head -c 1000000 /dev/zero > /tmp/long; exec httpd -f -p 127.0.0.1:7000 -h /tmp";
    let id = start(&node, &sandbox, &script(server)).await;
    exec(&node, &id, "until netstat -ltn | grep -q 127.0.0.1:7000; do true; done").await;
    // Probes go to the address, as a kubelet's do.
    assert!(node.reach(&sandbox.id, 7000).await.is_err_and(|error| error.to_string().contains("connection refused")));
    for (path, length) in [("short", 5), ("long", 1_000_000)] {
        let mut stream = node.dial(&sandbox.id, 7000).await.expect("a connection");
        stream.write_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("it reads");
        stream.shutdown().await.expect("an end");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(answer.len() - body, length, "{path}");
    }
    let Err(error) = node.dial(&sandbox.id, 7001).await else { panic!("nobody listens there") };
    assert!(matches!(error, RuntimeError::Dial { .. }), "{error}");
    bench.remove().await;
}

#[tokio::test]
async fn a_program_that_nobody_waits_for_any_more_is_ended() {
    let bench = Bench::new("abandoned").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("abandoned")).await.expect("a sandbox");
    let id = start(&node, &sandbox, &script("sleep 3600")).await;
    let command = ["sleep", "1234"].map(str::to_owned);
    let late = node.exec_sync(&id, &command, Some(Duration::from_millis(500))).await;
    assert!(matches!(late, Err(RuntimeError::Timeout { .. })));
    let options =
        ExecOptions { command: ["sleep", "1235"].map(str::to_owned).into(), stdout: true, ..ExecOptions::default() };
    drop(node.exec(&id, &options).await.expect("a session"));
    exec(&node, &id, "while ps | grep -q '[s]leep 123'; do sleep 0.1; done").await;
    assert!(node.container_status(&id).await.expect("its status").is_running(), "its own program goes on");
    bench.remove().await;
}

#[tokio::test]
async fn a_private_image_is_fetched_with_a_credential_that_fits() {
    let bench = Bench::new("private").await;
    let node = bench.node();
    let image = variable("TEST_PRIVATE_IMAGE");
    let (registry, _) = image.split_once('/').expect("a registry");
    let credential = |password: &str| Credential {
        registry: registry.to_owned(),
        username: "puller".to_owned(),
        password: password.to_owned(),
    };
    node.remove_image(&image).await.expect("removed, or not there");
    for none in [vec![], vec![credential("wrong")]] {
        let error = node.pull_image(&image, &none).await.expect_err("nobody is let in so");
        assert!(matches!(error, RuntimeError::Pull { .. }), "{error}");
    }
    let fetched = node.pull_image(&image, &[credential("wrong"), credential("secret")]).await.expect("the image");
    assert!(fetched.names.iter().any(|name| *name == format!("{image}:latest")), "{:?}", fetched.names);
    node.remove_image(&image).await.expect("removed");
    bench.remove().await;
}

#[tokio::test]
async fn what_a_container_uses_is_measured() {
    let bench = Bench::new("measured").await;
    let node = bench.node();
    let sandbox = node.run_sandbox(&pod("measured")).await.expect("a sandbox");
    let resources = serde_json::from_value(serde_json::json!({ "limits": { "cpu": "500m" } })).expect("resources");
    let busy = ContainerConfig { resources, ..script("while true; do true; done") };
    let busy = start(&node, &sandbox, &busy).await;
    let idle = start(&node, &sandbox, &script("sleep 3600")).await;
    let rate = async |id| {
        let first = node.stats(id).await.expect("its use");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await; // real programs use real time
        let second = node.stats(id).await.expect("its use");
        let passed = u64::try_from(second.at.duration_since(first.at).as_millis()).expect("time goes on");
        ((second.cpu_nanos - first.cpu_nanos) / passed / 1000, second) // thousandths of a core
    };
    let ((busy, stats), (idle, _)) = tokio::join!(rate(&busy), rate(&idle));
    assert!((100..700).contains(&busy), "{busy}m: half a core is its limit");
    assert!(idle < 50, "{idle}m");
    assert!(stats.memory_bytes > 0 && stats.memory_total_bytes >= stats.memory_bytes, "{stats:?}");
    assert_eq!(stats.processes, 1);
    let machine = node.machine().await.expect("its machine");
    assert!(machine.memory_used < machine.memory_capacity && machine.memory_used > 0, "{machine:?}");
    assert!(machine.node_disk.available < machine.node_disk.capacity && machine.cpu_nanos > 0, "{machine:?}");
    assert!(machine.processes > 0 && machine.processes < machine.processes_max, "{machine:?}");
    bench.remove().await;
}
