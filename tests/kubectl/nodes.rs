//! Nodes: cordoning, draining, tainting.

use crate::harness::{Cluster, assert_has, has_line};

#[test]
fn a_cordoned_node_takes_no_pods() {
    let cluster = Cluster::start_with(&["--nodes", "1"]);
    let node = cluster.ok("get nodes -o jsonpath={.items[0].metadata.name}");
    assert_eq!(cluster.ok(&format!("cordon {node}")), format!("node/{node} cordoned\n"));
    assert!(has_line(&cluster.ok("get nodes"), &[&node, "Ready,SchedulingDisabled"]));
    cluster.ok("run web --image=nginx");
    cluster.ok("wait --for=jsonpath={.status.conditions[0].reason}=Unschedulable pod/web --timeout 60s");
    assert_has(
        &cluster.ok("events --for pod/web"),
        &["FailedScheduling", "0/1 nodes are available: 1 node(s) were unschedulable."],
    );
    assert_eq!(cluster.ok(&format!("uncordon {node}")), format!("node/{node} uncordoned\n"));
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
}

#[test]
fn a_drained_node_gives_its_pods_to_others() {
    let cluster = Cluster::start();
    cluster.myapp();
    let node = cluster.ok("get pod -l app=myapp -o jsonpath={.items[0].spec.nodeName}");
    let drained = cluster.ok(&format!("drain {node} --timeout 60s"));
    assert_has(
        &drained,
        &[&format!("node/{node} cordoned"), "evicting pod default/myapp", &format!("node/{node} drained")],
    );
    cluster.ok("rollout status deployment myapp --timeout 60s");
    assert!(!cluster.ok("get pod -l app=myapp -o wide").contains(&node));
}

#[test]
fn a_budget_holds_up_a_drain() {
    let cluster = Cluster::start();
    cluster.myapp();
    cluster.ok("create poddisruptionbudget budget --selector=app=myapp --min-available=3");
    cluster.ok("wait --for=jsonpath={.status.currentHealthy}=3 pdb/budget --timeout 30s");
    let node = cluster.ok("get pod -l app=myapp -o jsonpath={.items[0].spec.nodeName}");
    let refused = cluster.run(&format!("drain {node} --timeout 2s"));
    assert_ne!(refused.code, 0);
    assert_has(&refused.err, &["Cannot evict pod as it would violate the pod's disruption budget."]);
}

#[test]
fn taints_keep_pods_away_or_drive_them_out() {
    let cluster = Cluster::start_with(&["--nodes", "1"]);
    let node = cluster.ok("get nodes -o jsonpath={.items[0].metadata.name}");
    cluster.ok("run web --image=nginx");
    cluster.ok("wait --for=condition=Ready pod/web --timeout 60s");
    assert_eq!(cluster.ok(&format!("taint nodes {node} only=few:NoSchedule")), format!("node/{node} tainted\n"));
    cluster.ok("run late --image=nginx");
    cluster.ok("wait --for=jsonpath={.status.conditions[0].reason}=Unschedulable pod/late --timeout 60s");
    assert_has(&cluster.ok("describe pod late"), &["untolerated taint(s)", "FailedScheduling"]);
    cluster.ok(&format!("taint nodes {node} only=none:NoExecute"));
    cluster.ok("wait --for=delete pod/web --timeout 60s");
    assert_eq!(cluster.ok(&format!("taint nodes {node} only-")), format!("node/{node} untainted\n"));
    cluster.ok("wait --for=condition=Ready pod/late --timeout 60s");
}

/// Writes two kilobytes into a volume that may have one.
const WRITER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, -c, 'echo TEXT > /scratch/file; sleep 3600']
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {sizeLimit: 1Ki}}]
";

#[test]
fn a_pod_that_keeps_more_than_it_may_is_evicted() {
    let cluster = Cluster::start_with(&["--nodes", "1"]);
    let pod = cluster.file("writer.yaml", &WRITER.replace("TEXT", &"x".repeat(2000)));
    cluster.ok(&format!("apply -f {pod}"));
    cluster.ok("wait --for=jsonpath={.status.phase}=Failed pod/writer --timeout 90s");
    assert_eq!(cluster.ok("get pod writer -o jsonpath={.status.reason}"), "Evicted");
    let message = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Ki\".";
    assert_has(&cluster.ok("describe pod writer"), &["Reason:           Evicted", message]);
    assert_has(&cluster.ok("events --for pod/writer"), &["Evicted", message]);
    let node = cluster.ok("describe nodes");
    assert_has(&node, &["KubeletHasNoDiskPressure", "KubeletHasSufficientMemory", "KubeletHasSufficientPID"]);
}
