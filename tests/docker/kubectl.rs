//! The shipped example with `--runtime docker`, driven by kubectl.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::harness::{Cluster, assert_has, fixture, has_line};
use crate::runtime::{shared_engine, variable};

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_deployment_and_its_service_run_in_real_containers() {
    let _engine = shared_engine();
    let cluster = Cluster::start_with(&["--runtime", "docker", "--name", "kubectl"]);
    assert_has(&cluster.ok("get nodes -o wide"), &["docker://"]);
    let manifest = fs::read_to_string(fixture("docker-web.yaml")).expect("the fixture");
    let manifest = cluster.file("web.yaml", &manifest.replace("IMAGE", &variable("TEST_IMAGE")));
    cluster.ok(&format!("apply -f {manifest}"));
    cluster.ok("rollout status deployment web --timeout 60s");
    let pods = cluster.ok("get pods -l app=web --no-headers");
    assert_eq!(pods.lines().count(), 3);
    assert!(pods.lines().all(|pod| has_line(pod, &["1/1", "Running", "0"])), "{pods}");
    let pod = cluster.pod("app=web");

    // The Service is reached from here, and by its name from within.
    let ip = cluster.ok("get service web -o jsonpath={.spec.clusterIP}");
    assert_has(&get(&format!("{ip}:80")), &["200 OK", "first page\n"]);
    for name in ["web", "web.default.svc.cluster.local", &ip] {
        assert_eq!(cluster.ok(&format!("exec {pod} -- wget -qO- http://{name}")), "first page\n");
    }
    assert_eq!(cluster.ok(&format!("exec {pod} -- hostname")), format!("{pod}\n"));
    assert_eq!(cluster.run(&format!("exec {pod} -- sh -c 'exit 7'")).code, 7);
    assert_eq!(cluster.run_with(&format!("exec -i {pod} -- cat"), "typed\n", &[]).ok(), "typed\n");
    assert_has(&cluster.fails(&format!("exec {pod} -- nonsense")), &["executable file not found in $PATH"]);
    let address = cluster.ok(&format!("get pod {pod} -o jsonpath={{.status.podIP}}"));
    assert_eq!(cluster.ok(&format!("logs {pod}")), format!("serving on {address}\n"));

    let mut forward = cluster
        .command(&["port-forward", &format!("pod/{pod}"), ":80"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let mut line = String::new();
    let mut output = BufReader::new(forward.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("a line");
    let local = line.trim().strip_prefix("Forwarding from ").and_then(|line| line.split(" -> ").next()).expect("where");
    assert_has(&get(local), &["first page\n"]);
    let _ = (forward.kill(), forward.wait());

    let sent = cluster.file("sent", "from here\n");
    cluster.ok(&format!("cp {sent} {pod}:/tmp/sent"));
    assert_eq!(cluster.ok(&format!("exec {pod} -- cat /tmp/sent")), "from here\n");

    cluster.ok(&format!("delete -f {manifest} --wait"));
    cluster.ok("wait --for=delete pod -l app=web --timeout 60s");
    drop(cluster);
    let left = Command::new("docker").args(["ps", "--all", "--format", "{{.Names}}"]).output().expect("docker");
    assert!(!String::from_utf8_lossy(&left.stdout).contains("kubectl_"), "nothing is left of the cluster");
}

#[test]
fn pods_that_cannot_run_say_why() {
    let _engine = shared_engine();
    let cluster = Cluster::start_with(&["--runtime", "docker", "--name", "reasons"]);
    let image = variable("TEST_IMAGE");
    let (registry, _) = image.split_once('/').expect("a registry");
    let waits = |pod: &str, reason: &str| {
        let state = "{.status.containerStatuses[0].state.waiting.reason}";
        cluster.ok(&format!("wait --for=jsonpath={state}={reason} pod/{pod} --timeout 60s"));
    };
    cluster.ok(&format!("run missing --image={registry}/nothing:1"));
    cluster.ok(&format!("run never --image={registry}/nothing:1 --image-pull-policy=Never"));
    let nonsense =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: nonsense}\nspec: {containers: [{name: main, image: UPPER}]}\n";
    cluster.ok(&format!("apply -f {}", cluster.file("nonsense.yaml", nonsense)));
    cluster.ok(&format!("run cannot --image={image} --command -- no-such-program"));
    waits("never", "ErrImageNeverPull");
    waits("nonsense", "InvalidImageName");
    waits("missing", "ImagePullBackOff");
    waits("cannot", "CrashLoopBackOff");
    cluster.ok(&format!("run again --image={image} --command -- sh -c 'echo tried; exit 1'"));
    waits("again", "CrashLoopBackOff");
    let count = "{.status.containerStatuses[0].restartCount}";
    cluster.ok(&format!("wait --for=jsonpath={count}=1 pod/again --timeout 60s"));
    assert_eq!(cluster.ok("logs again --previous"), "tried\n");
    let ended = "{.status.containerStatuses[0].lastState.terminated.reason}";
    assert_eq!(cluster.ok(&format!("get pod cannot -o jsonpath={ended}")), "StartError");
    assert_has(&cluster.ok("describe pod cannot"), &["no-such-program", "executable file not found in $PATH"]);

    cluster.ok(&format!("run once --image={image} --restart=Never --command -- sh -c 'echo last words; exit 3'"));
    cluster.ok("wait --for=jsonpath={.status.phase}=Failed pod/once --timeout 60s");
    assert_eq!(cluster.ok("logs once"), "last words\n");
    let code = "{.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(cluster.ok(&format!("get pod once -o jsonpath={code}")), "3");
}
