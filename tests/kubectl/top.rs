//! `kubectl top`, and what the agents of nodes serve.

use crate::harness::{Cluster, assert_has, has_line, scheme};

/// A container that is ready eleven seconds after its start: metrics of those that were there before begin after ten.
const CLOCK: &str = "
apiVersion: v1
kind: Pod
metadata: {name: clock, namespace: kube-public}
spec:
  automountServiceAccountToken: false
  containers:
  - name: clock
    image: nginx
    readinessProbe: {exec: {command: ['true']}, initialDelaySeconds: 11}
";

/// The thousandths of a core, or the MiB, in a cell.
fn number(cell: &str, unit: &str) -> u64 {
    cell.strip_suffix(unit).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{cell:?} is no {unit}"))
}

#[test]
fn top_tells_what_pods_and_nodes_use() {
    let cluster = Cluster::start();
    let burn = "'while true; do true; done'";
    let idle =
        "{\"spec\":{\"containers\":[{\"name\":\"idle\",\"image\":\"nginx\"},{\"name\":\"side\",\"image\":\"nginx\"}]}}";
    cluster.ok(&format!("run idle --image=nginx --overrides '{idle}'"));
    // The simulated shell has nothing to do in a loop; a real one is busy.
    let busy = if scheme() == "docker" { format!("--command -- sh -c {burn}") } else { String::new() };
    cluster.ok("create namespace other");
    cluster.ok(&format!("run busy -n other --image=busybox {busy}"));
    cluster.ok("wait --for=condition=Ready pod/idle --timeout 60s");
    cluster.ok("wait -n other --for=condition=Ready pod/busy --timeout 60s");
    let node = cluster.ok("get pod idle -o jsonpath={.spec.nodeName}");
    assert_has(
        &cluster.fails("top pod busy -n other"),
        &["Error from server (NotFound): podmetrics.metrics.k8s.io \"other/busy\" not found"],
    );
    cluster.ok(&format!("apply -f {}", cluster.file("clock.yaml", CLOCK)));
    cluster.ok("wait -n kube-public --for=condition=Ready pod/clock --timeout 60s");
    assert!(has_line(&cluster.ok("top pod busy -n other"), &["busy"]));
    let pods = cluster.ok("top pods");
    assert!(has_line(&pods, &["NAME", "CPU(cores)", "MEMORY(bytes)"]), "{pods}");
    let line: Vec<_> = pods.lines().nth(1).expect("a pod").split_whitespace().collect();
    let (cpu, memory) = (number(line[1], "m"), number(line[2], "Mi"));
    assert_eq!((line[0], line.len()), ("idle", 3));
    if scheme() == "memory" {
        assert_eq!((cpu, memory), (2, 16), "of both containers");
    }
    let containers = cluster.ok("top pods --containers");
    assert!(has_line(&containers, &["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]), "{containers}");
    assert!(has_line(&containers, &["idle", "side"]) && has_line(&containers, &["idle", "idle"]), "{containers}");
    let all = cluster.ok("top pods -A --sort-by=cpu");
    assert!(has_line(&all, &["other", "busy"]) && has_line(&all, &["default", "idle"]), "{all}");
    if scheme() == "docker" {
        let first: Vec<_> = all.lines().nth(1).expect("a pod").split_whitespace().collect();
        assert_eq!(first[1], "busy", "{all}");
        assert!(number(first[2], "m") > 100, "{all}");
    }
    assert_has(&cluster.ok("top pods -A -l run=busy"), &["busy"]);
    assert!(!cluster.ok("top pods -A -l run=busy").contains("idle"));
    assert_has(&cluster.ok("top pods -A --field-selector metadata.name=idle --sum"), &["idle", "________"]);

    let nodes = cluster.ok("top nodes --sort-by=memory");
    assert!(has_line(&nodes, &["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]), "{nodes}");
    assert_eq!(nodes.lines().count(), 4, "{nodes}");
    assert!(has_line(&nodes, &[&node]), "{nodes}");

    // As a table, and as it is.
    let table = cluster.ok("get podmetrics");
    assert!(has_line(&table, &["NAME", "CPU", "MEMORY", "WINDOW"]), "{table}");
    assert_has(&cluster.ok("get --raw /apis/metrics.k8s.io/v1beta1/nodes"), &["\"kind\":\"NodeMetricsList\"", &node]);
    assert_has(&cluster.ok("api-resources --api-group=metrics.k8s.io"), &["NodeMetrics", "PodMetrics"]);
    assert_has(&cluster.ok("auth can-i list pods.metrics.k8s.io"), &["yes"]);
}

#[test]
fn the_agents_of_nodes_serve_what_kubelets_serve() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    let node = cluster.ok("get pod web -o jsonpath={.spec.nodeName}");
    let summary = cluster.ok(&format!("get --raw /api/v1/nodes/{node}/proxy/stats/summary"));
    assert_has(&summary, &[&format!("\"nodeName\": \"{node}\""), "\"name\": \"web\"", "\"workingSetBytes\":"]);
    let metrics = cluster.ok(&format!("get --raw /api/v1/nodes/{node}:10250/proxy/metrics/resource"));
    assert_has(&metrics, &["container_memory_working_set_bytes{container=\"web\",namespace=\"default\",pod=\"web\"}"]);
    assert_eq!(cluster.ok(&format!("get --raw /api/v1/nodes/{node}/proxy/healthz")), "ok");
    assert_has(&cluster.fails(&format!("get --raw /api/v1/nodes/{node}/proxy/nothing")), &["NotFound"]);
}
