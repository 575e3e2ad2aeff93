//! `describe` of each kind, and `events`.

use crate::harness::{Cluster, assert_has, fixture};

#[test]
fn every_kind_is_described() {
    let cluster = Cluster::start();
    cluster.myapp();
    cluster.ok(&format!("apply -f {}", fixture("myapp-service.yaml")));
    cluster.ok("create configmap settings --from-literal=colour=green");
    cluster.ok("create secret generic keys --from-literal=password=x");
    cluster.ok("wait --for=jsonpath={.subsets[0].addresses[0].ip} endpoints/myapp --timeout 30s");
    let controller = cluster.file(
        "rc.yaml",
        "apiVersion: v1\nkind: ReplicationController\nmetadata:\n  name: old\nspec:\n  replicas: 1\n  selector:\n    app: old\n  \
         template:\n    metadata:\n      labels:\n        app: old\n    spec:\n      containers:\n      - name: c\n        image: nginx\n",
    );
    cluster.ok(&format!("apply -f {controller}"));
    cluster.ok("wait --for=jsonpath={.status.readyReplicas}=1 rc/old --timeout 60s");
    let node = cluster.ok("get nodes -o jsonpath={.items[0].metadata.name}");
    for (command, parts) in [
        (
            "describe deployment myapp",
            &[
                "StrategyType:           RollingUpdate",
                "0 max unavailable, 1 max surge",
                "3 desired | 3 updated | 3 total | 3 available | 0 unavailable",
                "NewReplicaSetAvailable",
                "Scaled up replica set myapp-",
            ][..],
        ),
        (
            "describe rs -l app=myapp",
            &["Controlled By:  Deployment/myapp", "3 Running / 0 Waiting / 0 Succeeded / 0 Failed", "SuccessfulCreate"],
        ),
        ("describe rc old", &["1 current / 1 desired", "SuccessfulCreate"]),
        (
            "describe pod -l app=myapp",
            &[
                "Controlled By:  ReplicaSet/myapp-",
                "BestEffort",
                "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
                "Successfully assigned default/myapp",
            ],
        ),
        ("describe svc myapp", &["IP Family Policy:", "SingleStack", "TargetPort:", "3000/TCP"]),
        ("describe endpoints myapp", &["Addresses:", "3000", "TCP"]),
        (
            "describe endpointslice -l kubernetes.io/service-name=myapp",
            &["AddressType:  IPv4", "Ready:    true", "TargetRef:  Pod/myapp-"],
        ),
        ("describe cm settings", &["colour:", "green"]),
        ("describe secret keys", &["Type:  Opaque", "password:  1 bytes"]),
        ("describe sa default", &["Name:                default"]),
        ("describe ns default", &["Status:       Active"]),
        ("describe lease -n kube-node-lease", &["Renew Time:", "Holder Identity:"]),
        ("describe quota", &[]),
    ] {
        assert_has(&cluster.ok(command), parts);
    }
    let described = cluster.ok(&format!("describe node {node}"));
    assert_has(
        &described,
        &["Ready", "KubeletReady", "Capacity:", "Allocatable:", "Kubelet Version:", "Non-terminated Pods:", "Lease:"],
    );
    let events = cluster.ok("events");
    assert_has(&events, &["LAST SEEN", "ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"]);
    assert_has(&cluster.ok("get events --field-selector reason=ScalingReplicaSet"), &["deployment/myapp"]);
    assert_has(&cluster.ok("get controllerrevisions -A --ignore-not-found"), &[]);
}
