use super::*;

fn wants(cpu: &str, memory: &str) -> Value {
    json!({ "resources": { "requests": { "cpu": cpu, "memory": memory } } })
}

async fn run(world: &World, name: &str, spec: Value, container: Value) {
    let mut container = container;
    let own = container.as_object_mut().unwrap();
    own.extend([("name".to_owned(), json!("main")), ("image".to_owned(), json!("x"))]);
    let mut whole = spec;
    whole["containers"] = json!([container]);
    world.run(name, whole).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_fit_is_refused_in_the_kubelet_s_words() {
    let world = World::new().await;
    let taint = json!({ "spec": { "taints": [{ "key": "out", "effect": "NoExecute" }] } });
    let required = |key: &str, operator: &str| {
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [{ "key": key, "operator": operator }] }],
        } } } })
    };
    run(
        &world,
        "first",
        json!({}),
        json!({
            "resources": { "requests": { "cpu": "1500m", "memory": "1Gi" } },
            "ports": [{ "containerPort": 80, "hostPort": 80, "hostIP": "172.16.0.1" }],
        }),
    )
    .await;
    world.pass(1).await;
    let port = |ip: &str| json!({ "ports": [{ "containerPort": 80, "hostPort": 80, "hostIP": ip }] });
    // Name, spec, container, and reason and message; without a reason it is taken.
    let cases = [
        (
            "cpu",
            json!({}),
            wants("1", "1Gi"),
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
        ),
        (
            "parameter",
            json!({ "securityContext": { "sysctls": [{ "name": "net.core.somaxconn", "value": "1" }] } }),
            json!({}),
            "SysctlForbidden",
            "forbidden sysctl: \"net.core.somaxconn\" not allowlisted",
        ),
        (
            "memory",
            json!({}),
            wants("0", "16Gi"),
            "OutOfmemory",
            "Node didn't have enough resource: memory, requested: 17179869184, used: 1073741824, capacity: 17179869184",
        ),
        (
            "both",
            json!({}),
            wants("1", "16Gi"),
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
        ),
        (
            "disk",
            json!({}),
            json!({ "resources": { "requests": { "ephemeral-storage": "200Gi" } } }),
            "OutOfephemeral-storage",
            "Node didn't have enough resource: ephemeral-storage, requested: 214748364800, used: 0, capacity: 107374182400",
        ),
        ("unknown", json!({}), json!({ "resources": { "limits": { "example.com/organ": "1" } } }), "", ""),
        (
            "label",
            json!({ "nodeSelector": { "disk": "fast" } }),
            json!({}),
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            "affinity",
            required("disk", "Exists"),
            json!({}),
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        ("suits", required("disk", "DoesNotExist"), json!({}), "", ""),
        (
            "port",
            json!({}),
            port(""),
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
        ("elsewhere", json!({}), port("127.0.0.1"), "", ""),
        (
            "os",
            json!({ "nodeSelector": { "kubernetes.io/os": "windows" } }),
            json!({}),
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ),
        (
            "windows",
            json!({ "os": { "name": "windows" } }),
            json!({}),
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        ),
    ];
    for (name, spec, container, reason, why) in cases {
        run(&world, name, spec, container).await;
        world.pass(1).await;
        let status = world.status(name).await;
        if reason.is_empty() {
            assert_eq!(status.phase.as_deref(), Some("Running"), "{name}: {status:?}");
            continue;
        }
        assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some(reason)), "{name}");
        assert_eq!(status.message, Some(format!("Pod was rejected: {why}")), "{name}");
        assert_eq!(world.events(name).await, [format!("{reason}: {why}")], "{name}");
    }
    // The agent goes by the node as it registered.
    world.client.all::<Node>().patch("n1", crate::api::Patch::Strategic(taint)).await.unwrap();
    let mut world = world;
    world.restart(|config| config);
    world.pass(1).await;
    run(&world, "tainted", json!({}), json!({})).await;
    world.pass(1).await;
    let why = "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
    assert_eq!(world.status("tainted").await.message.as_deref(), Some(why));
    assert_eq!(world.status("first").await.phase.as_deref(), Some("Running"), "what runs is not refused");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_full_of_pods_refuses_one_more() {
    let mut world = World::new().await;
    world.restart(|config| config.with_capacity("pods", "1"));
    run(&world, "first", json!({}), json!({})).await;
    run(&world, "second", json!({}), json!({})).await;
    world.pass(1).await;
    let why = "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1";
    let status = world.status("second").await;
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("OutOfpods"), Some(why)));
}

#[tokio::test(start_paused = true)]
async fn others_make_room_for_a_critical_pod() {
    let world = World::new().await;
    let guaranteed = json!({ "resources": {
        "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "cpu": "500m", "memory": "1Gi" },
    } });
    let patient = json!({ "terminationGracePeriodSeconds": 5 });
    run(&world, "guaranteed", patient.clone(), guaranteed).await;
    run(&world, "large", patient.clone(), json!({
        "resources": { "requests": { "cpu": "800m", "memory": "1Gi" } }, "lifecycle": { "preStop": { "sleep": { "seconds": 3 } } },
    })).await;
    run(&world, "small", patient.clone(), wants("400m", "1Gi")).await;
    run(&world, "nothing", patient, json!({})).await;
    world.pass(1).await;
    let critical = json!({ "priorityClassName": "system-node-critical" });
    run(&world, "critical", critical.clone(), wants("900m", "1Gi")).await;
    world.pass(1).await;
    // One is enough, and it may take its time.
    assert_eq!(world.summary("large").await, "Running: main ready");
    assert!(world.status("critical").await.container_statuses.is_none());
    world.pass(6).await;
    assert_eq!(world.summary("critical").await, "Running: main ready");
    let status = world.status("large").await;
    let message = "Preempted in order to admit critical pod";
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("Preempting"), Some(message)));
    assert_eq!(
        world.condition("large", "DisruptionTarget").await,
        (
            "True".into(),
            Some("TerminationByKubelet".into()),
            Some("Pod was preempted by Kubelet to accommodate a critical pod.".into())
        )
    );
    assert!(world.events("large").await.contains(&format!("Preempting: {message}")));
    for kept in ["guaranteed", "small", "nothing"] {
        assert_eq!(world.summary(kept).await, "Running: main ready");
    }
    // Where nobody has enough, or the reason is another, it is refused like any other.
    run(&world, "greedy", critical.clone(), wants("3", "1Gi")).await;
    let mut elsewhere = critical;
    elsewhere["nodeSelector"] = json!({ "disk": "fast" });
    run(&world, "elsewhere", elsewhere, wants("1", "1Gi")).await;
    world.pass(1).await;
    let status = world.status("greedy").await;
    assert_eq!(status.reason.as_deref(), Some("UnexpectedAdmissionError"));
    let why = "Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: error \
               finding a set of pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 1900), ]";
    assert_eq!(status.message.as_deref(), Some(why));
    assert_eq!(world.status("elsewhere").await.reason.as_deref(), Some("NodeAffinity"));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_judged_by_what_it_is_now() {
    let world = World::new().await;
    let label = json!({ "metadata": { "labels": { "disk": "fast" } } });
    world.client.all::<Node>().patch("n1", crate::api::Patch::Merge(label)).await.unwrap();
    run(&world, "web", json!({ "nodeSelector": { "disk": "fast" } }), json!({})).await;
    run(&world, "refused", json!({ "nodeSelector": { "disk": "slow" } }), json!({})).await;
    world.pass(1).await;
    assert_eq!(world.summary("web").await, "Running: main ready");
    assert_eq!(world.status("refused").await.reason.as_deref(), Some("NodeAffinity"));
}
