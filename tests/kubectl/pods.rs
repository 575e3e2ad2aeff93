//! Pods from within: logs, exec, attach, port-forward, proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::harness::{Cluster, assert_has};

#[test]
fn exec_runs_programs_and_passes_on_how_they_end() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx --env=COLOUR=green");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    assert_eq!(cluster.ok("exec web -- hostname"), "web\n");
    assert_eq!(cluster.ok("exec web -- echo hello world"), "hello world\n");
    assert_has(&cluster.ok("exec web -- env"), &["COLOUR=green", "HOSTNAME=web", "KUBERNETES_SERVICE_HOST="]);
    assert_eq!(cluster.ok("exec web -- sh -c 'echo $COLOUR'"), "green\n");
    assert_eq!(cluster.run("exec web -- false").code, 1);
    assert_eq!(cluster.run("exec web -- sh -c 'exit 7'").code, 7);
    assert_has(&cluster.fails("exec web -- nonsense"), &["executable file not found in $PATH"]);
    assert_has(&cluster.fails("exec web -c other -- true"), &["container other is not valid for pod web"]);
    assert_eq!(cluster.run_with("exec -i web -- cat", "typed\n", &[]).ok(), "typed\n");
    assert_has(&cluster.fails("exec nothere -- true"), &["pods \"nothere\" not found"]);
}

#[test]
fn logs_are_shown_in_part_and_as_they_come() {
    let cluster = Cluster::start();
    cluster.ok("run talker --image=busybox --restart=Never --command -- sh -c 'echo one; echo two; echo three'");
    cluster.ok("wait --for=jsonpath={.status.phase}=Succeeded pod/talker --timeout 60s");
    assert_eq!(cluster.ok("logs talker"), "one\ntwo\nthree\n");
    assert_eq!(cluster.ok("logs talker --tail=1"), "three\n");
    assert_eq!(cluster.ok("logs talker -f"), "one\ntwo\nthree\n");
    assert_eq!(cluster.ok("logs talker --limit-bytes=3"), "one");
    assert_eq!(cluster.ok("logs talker --since=1h").lines().count(), 3);
    let stamped = cluster.ok("logs talker --timestamps --tail=1");
    assert!(stamped.starts_with("20") && stamped.ends_with("Z three\n"), "{stamped}");
    assert_has(
        &cluster.fails("logs talker --previous"),
        &["previous terminated container \"talker\" in pod \"talker\" not found"],
    );
    assert_has(&cluster.fails("logs nothere"), &["pods \"nothere\" not found"]);
    assert_has(&cluster.fails("logs talker -c other"), &["container other is not valid for pod talker"]);
}

#[test]
fn attach_shows_what_the_program_writes() {
    let cluster = Cluster::start();
    // It writes when its input ends, and so when it is attached to: what is written before that, nobody hears.
    let run =
        "run once --image=busybox --restart=Never --attach --stdin --rm --command -- sh -c 'cat; echo from within'";
    let printed = cluster.run_with(run, "", &[]).ok();
    assert_has(&printed, &["from within"]);
    assert_has(&printed, &["pod \"once\" deleted"]);
}

#[test]
fn attach_talks_to_a_running_program() {
    let cluster = Cluster::start();
    let pod = |name: &str, command: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    \
             image: busybox\n    stdin: true\n    stdinOnce: true\n    command: {command}\n"
        )
    };
    cluster.ok(&format!("apply -f {}", cluster.file("talker.yaml", &pod("talker", "[sh, -c, 'cat; echo over']"))));
    cluster.ok("wait --for=condition=Ready pod/talker --timeout 60s");
    let said = cluster.run_with("attach -i talker", "typed\n", &[]).ok();
    assert_has(&said, &["typed\n", "over\n"]);
    cluster.ok("wait --for=jsonpath={.status.phase}=Succeeded pod/talker --timeout 60s");
    assert_eq!(cluster.ok("logs talker"), "typed\nover\n");
    assert_has(&cluster.fails("attach talker"), &["cannot attach a container in a completed pod"]);
    assert_has(&cluster.fails("attach nothere"), &["pods \"nothere\" not found"]);

    let said =
        cluster.run_with("run asked -i --rm --restart=Never --image=busybox --command -- cat", "typed\n", &[]).ok();
    assert_has(&said, &["typed\n", "pod \"asked\" deleted"]);
}

#[test]
fn pods_are_debugged_by_another_container() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    cluster.ok("debug web --image=busybox --container=probe -- sh -c 'echo probing; hostname'");
    let state = "{.status.ephemeralContainerStatuses[0].state.terminated.reason}";
    cluster.ok(&format!("wait --for=jsonpath={state}=Completed pod/web --timeout 60s"));
    assert_eq!(cluster.ok("logs web -c probe"), "probing\nweb\n");
    assert_has(
        &cluster.ok("describe pod web"),
        &["Ephemeral Containers:", "probe:", "Image:         busybox", "Reason:       Completed"],
    );
    let said = cluster.ok("debug web -i --image=busybox --container=talk -- echo from beside");
    assert_has(&said, &["from beside\n"]);
    cluster.ok("debug web --copy-to=copy --container=web --image=busybox -- sleep 600");
    cluster.ok("wait --for=condition=Ready pod/copy --timeout 60s");
    assert_eq!(cluster.ok("get pod copy -o jsonpath={.spec.containers[*].image}"), "busybox");
}

#[test]
fn ports_are_forwarded() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx --port=8080");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    let mut forward = cluster
        .command(&["port-forward", "pod/web", ":8080", "--address", "127.0.0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Kept open: kubectl goes on talking, and dies of a pipe that nobody reads.
    let mut output = BufReader::new(forward.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Forwarding from ").unwrap().split(" -> ").next().unwrap().to_owned();
    for _ in 0..3 {
        assert_has(&http_get(&address, "/"), &["HTTP/1.1 200", "web"]);
    }
    let _ = (forward.kill(), forward.wait());
}

#[test]
fn the_api_is_reached_through_kubectl_proxy() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx --port=8080");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    let mut proxy = cluster.command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(proxy.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Starting to serve on ").unwrap().to_owned();
    assert_has(&http_get(&address, "/api/v1/namespaces/default/pods/web"), &["HTTP/1.1 200", "\"kind\":\"Pod\""]);
    assert_has(&http_get(&address, "/api/v1/namespaces/default/pods/web:8080/proxy/"), &["HTTP/1.1 200", "web"]);
    let _ = (proxy.kill(), proxy.wait());
}

#[test]
fn a_crashing_container_backs_off_and_keeps_its_last_log() {
    let cluster = Cluster::start();
    cluster.ok("run crash --image=busybox --command -- sh -c 'echo going down; exit 3'");
    cluster.ok("wait --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff pod/crash --timeout 60s");
    assert_has(&cluster.ok("get pod crash"), &["CrashLoopBackOff"]);
    assert_eq!(cluster.ok("logs crash --previous"), "going down\n");
    assert_has(
        &cluster.ok("describe pod crash"),
        &["Exit Code:    3", "Reason:       Error", "Back-off restarting failed container crash in pod crash"],
    );
}

fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_pod_is_resized_in_place() {
    let cluster = Cluster::start();
    let pod = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: nginx
    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 100m, memory: 64Mi}}
";
    cluster.ok(&format!("apply -f {}", cluster.file("web.yaml", pod)));
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    let patch = |cpu: &str, memory: &str| {
        let sizes = format!("{{\"cpu\":\"{cpu}\",\"memory\":\"{memory}\"}}");
        format!(
            "{{\"spec\":{{\"containers\":[{{\"name\":\"web\",\"resources\":{{\"requests\":{sizes},\"limits\":{sizes}}}}}]}}}}"
        )
    };
    let resize = |cpu: &str, memory: &str| {
        assert_eq!(
            cluster.ok(&format!("patch pod web --subresource resize --patch '{}'", patch(cpu, memory))),
            "pod/web patched\n"
        );
        for (resource, size) in [("cpu", cpu), ("memory", memory)] {
            let path = format!("{{.status.containerStatuses[0].resources.limits.{resource}}}");
            cluster.ok(&format!("wait --for=jsonpath={path}={size} pod/web --timeout 60s"));
        }
    };
    let restarts = || cluster.ok("get pod web -o jsonpath={.status.containerStatuses[0].restartCount}");
    resize("200m", "64Mi");
    assert_eq!(restarts(), "0");
    resize("200m", "128Mi");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    assert_eq!(restarts(), "1");
    let described = cluster.ok("describe pod web");
    assert_has(
        &described,
        &["ResizeStarted", "Pod resize completed: {\"containers\":[{\"name\":\"web\"", "resize requires restart"],
    );
    assert_has(
        &cluster.fails(&format!("patch pod web --subresource resize --patch '{}'", patch("1000", "128Mi"))),
        &[
            "pods \"web\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 1000000, allocatable:",
        ],
    );
    assert_has(
        &cluster.fails(&format!("patch pod web --patch '{}'", patch("300m", "128Mi"))),
        &["pod updates may not change fields other than"],
    );
}
