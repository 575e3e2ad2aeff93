//! `describe` of each kind, and `events`.

use crate::harness::{Cluster, assert_has, fixture, scheme};

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
    let revision = cluster.file(
        "revision.yaml",
        "apiVersion: apps/v1\nkind: ControllerRevision\nmetadata:\n  name: past\n  labels:\n    app: old\nrevision: 7\ndata:\n  colour: green\n",
    );
    cluster.ok(&format!("apply -f {revision}"));
    let pods = if scheme() == "docker" { "10." } else { "127." };
    let names = ["Endpoints:                ", "Addresses:          ", "InternalIP:  "];
    let [endpoints, addresses, internal] = names.map(|name| format!("{name}{pods}"));
    let container = format!("Container ID:   {}://", scheme());
    let event =
        cluster.ok("get events --field-selector reason=ScalingReplicaSet -o jsonpath={.items[0].metadata.name}");
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
        (
            "describe rc old",
            &[
                "Selector:     app=old",
                "1 current / 1 desired",
                "1 Running / 0 Waiting / 0 Succeeded / 0 Failed",
                "SuccessfulCreate",
                "Created pod: old-",
            ],
        ),
        (
            "describe pod -l app=myapp",
            &[
                "Controlled By:  ReplicaSet/myapp-",
                "Service Account:  default",
                "Status:           Running",
                &container,
                "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-",
                "PodReadyToStartContainers",
                "TokenExpirationSeconds:  3607",
                "ConfigMapName:           kube-root-ca.crt",
                "BestEffort",
                "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
                "Successfully assigned default/myapp",
            ],
        ),
        (
            "describe svc myapp",
            &[
                "Selector:                 app=myapp",
                "IP Family Policy:         SingleStack",
                "TargetPort:               3000/TCP",
                &endpoints,
                "Session Affinity:         None",
                "Internal Traffic Policy:  Cluster",
            ],
        ),
        ("describe endpoints myapp", &[&addresses, "NotReadyAddresses:  <none>", "3000  TCP"]),
        (
            "describe endpointslice -l kubernetes.io/service-name=myapp",
            &["AddressType:  IPv4", "Ready:    true", "TargetRef:  Pod/myapp-", "NodeName:   node-"],
        ),
        ("describe cm settings", &["Name:         settings", "Data\n====", "colour:\n----\ngreen", "BinaryData\n===="]),
        ("describe secret keys", &["Type:  Opaque", "password:  1 bytes"]),
        ("describe sa default", &["Name:                default", "Image pull secrets:  <none>", "Tokens:"]),
        (
            "describe ns default",
            &[
                "Status:       Active",
                "kubernetes.io/metadata.name=default",
                "No resource quota.",
                "No LimitRange resource.",
            ],
        ),
        (
            "describe lease -n kube-node-lease",
            &[
                "API Version:  coordination.k8s.io/v1",
                "Kind:         Lease",
                "Renew Time:",
                "Holder Identity:",
                "Lease Duration Seconds:  40",
            ],
        ),
        (
            "describe controllerrevision past",
            &[
                "API Version:  apps/v1",
                "ControllerRevision",
                "Colour:  green",
                "Revision:              7",
                "Labels:       app=old",
            ],
        ),
        (
            &format!("describe event {event}"),
            &["ScalingReplicaSet", "Scaled up replica set myapp-", "deployment-controller"],
        ),
        ("describe quota", &[]),
    ] {
        assert_has(&cluster.ok(command), parts);
    }
    let described = cluster.ok(&format!("describe node {node}"));
    assert_has(
        &described,
        &[
            "KubeletReady",
            "KubeletHasSufficientMemory",
            "Capacity:",
            "Allocatable:",
            "Kubelet Version:",
            "Non-terminated Pods:",
            "Allocated resources:",
            "Lease:\n  HolderIdentity:  node-",
            &internal,
        ],
    );
    let events = cluster.ok("events");
    assert_has(&events, &["LAST SEEN", "ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"]);
    assert_has(&cluster.ok("get events --field-selector reason=ScalingReplicaSet"), &["deployment/myapp"]);
}
