//! Objects of every kind: creating, reading, changing, comparing, waiting, deleting.

use crate::harness::{Cluster, assert_has, fixture, has_line};

#[test]
fn resources_are_listed_with_short_names_and_groups() {
    let cluster = Cluster::start();
    let resources = cluster.ok("api-resources");
    for row in [
        &["pods", "po", "v1", "true", "Pod"][..],
        &["deployments", "deploy", "apps/v1", "true", "Deployment"],
        &["services", "svc", "v1", "true", "Service"],
        &["namespaces", "ns", "v1", "false", "Namespace"],
        &["horizontalpodautoscalers", "hpa", "autoscaling/v2", "true", "HorizontalPodAutoscaler"],
        &["events", "ev", "events.k8s.io/v1", "true", "Event"],
        &["customresourcedefinitions", "crd,crds", "apiextensions.k8s.io/v1", "false", "CustomResourceDefinition"],
        &["resourceclaims", "resource.k8s.io/v1", "true", "ResourceClaim"],
    ] {
        assert!(has_line(&resources, row), "{row:?} in\n{resources}");
    }
    assert_has(&cluster.ok("api-versions"), &["apps/v1", "batch/v1", "networking.k8s.io/v1", "v1"]);
}

#[test]
fn explain_tells_what_fields_mean() {
    let cluster = Cluster::start();
    assert_has(&cluster.ok("explain pods"), &["KIND:       Pod", "VERSION:    v1", "FIELDS:", "spec\t<PodSpec>"]);
    assert_has(
        &cluster.ok("explain deployment.spec.strategy.rollingUpdate"),
        &["GROUP:      apps", "maxSurge", "<IntOrString>"],
    );
    assert_has(&cluster.fails("explain pods.nonsense"), &["field \"nonsense\" does not exist"]);
}

#[test]
fn generators_create_what_they_name() {
    let cluster = Cluster::start();
    for (command, answer) in [
        ("create namespace team", "namespace/team created\n"),
        ("create configmap settings --from-literal=colour=green", "configmap/settings created\n"),
        ("create secret generic keys --from-literal=password=x", "secret/keys created\n"),
        ("create serviceaccount robot", "serviceaccount/robot created\n"),
        ("create service clusterip web --tcp=80:8080", "service/web created\n"),
        ("create service nodeport outside --tcp=80:8080", "service/outside created\n"),
        ("create service externalname far --external-name=example.com", "service/far created\n"),
        ("create role reader --verb=get --resource=pods", "role.rbac.authorization.k8s.io/reader created\n"),
        (
            "create rolebinding readers --role=reader --user=ann",
            "rolebinding.rbac.authorization.k8s.io/readers created\n",
        ),
        ("create quota small --hard=pods=3", "resourcequota/small created\n"),
        ("create priorityclass high --value=1000", "priorityclass.scheduling.k8s.io/high created\n"),
        (
            "create poddisruptionbudget budget --selector=app=web --min-available=1",
            "poddisruptionbudget.policy/budget created\n",
        ),
        ("create ingress front --rule=example.com/=web:80", "ingress.networking.k8s.io/front created\n"),
        ("create job once --image=job", "job.batch/once created\n"),
        ("create cronjob often --image=job --schedule='*/5 * * * *'", "cronjob.batch/often created\n"),
        ("run web --image=nginx --port=80 --labels=app=web", "pod/web created\n"),
    ] {
        assert_eq!(cluster.ok(command), answer, "{command}");
    }
    assert!(has_line(&cluster.ok("get svc far"), &["far", "ExternalName", "<none>", "example.com"]));
    let ports = cluster.ok("get svc outside -o jsonpath={.spec.ports[0].nodePort}");
    assert!((30000..=32767).contains(&ports.parse::<i32>().unwrap()), "{ports}");
    assert!(has_line(&cluster.ok("get cm settings"), &["settings", "1"]));
    assert_has(&cluster.fails("create configmap settings"), &["configmaps \"settings\" already exists"]);
    assert_has(&cluster.fails("get pod nothere"), &["pods \"nothere\" not found"]);
    assert_has(&cluster.fails("get nonsense"), &["the server doesn't have a resource type \"nonsense\""]);
    assert_has(&cluster.fails("run web --image=x -n missing"), &["namespaces \"missing\" not found"]);
}

#[test]
fn objects_are_patched_in_every_way() {
    let cluster = Cluster::start();
    cluster.myapp();
    let image =
        |cluster: &Cluster| cluster.ok("get deploy myapp -o jsonpath={.spec.template.spec.containers[*].image}");
    let strategic = r#"{"spec":{"template":{"spec":{"containers":[{"name":"hello-world","image":"one"}]}}}}"#;
    assert_eq!(cluster.ok(&format!("patch deployment myapp -p '{strategic}'")), "deployment.apps/myapp patched\n");
    assert_eq!(image(&cluster), "one");
    let merge = r#"{"metadata":{"labels":{"tier":"front"}}}"#;
    cluster.ok(&format!("patch deployment myapp --type=merge -p '{merge}'"));
    assert!(has_line(&cluster.ok("get deploy -l tier=front"), &["myapp"]));
    let json = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"two"}]"#;
    cluster.ok(&format!("patch deployment myapp --type=json -p '{json}'"));
    assert_eq!(image(&cluster), "two");
    cluster.ok("patch deployment myapp --subresource=scale --type=merge -p '{\"spec\":{\"replicas\":2}}'");
    assert_eq!(cluster.ok("get deploy myapp -o jsonpath={.spec.replicas}"), "2");
    assert_has(&cluster.fails("patch deployment myapp -p '{\"spec\":{\"replicas\":\"many\"}}'"), &["replicas"]);
}

#[test]
fn labels_and_annotations_come_and_go() {
    let cluster = Cluster::start();
    cluster.ok("create configmap settings");
    assert_eq!(cluster.ok("label cm settings colour=green"), "configmap/settings labeled\n");
    assert_has(&cluster.fails("label cm settings colour=red"), &["already has a value (green)"]);
    cluster.ok("label cm settings colour=red --overwrite");
    assert_has(&cluster.ok("get cm settings --show-labels"), &["colour=red"]);
    assert_has(&cluster.ok("get cm -l 'colour in (red,blue)' -o name"), &["configmap/settings"]);
    cluster.ok("label cm settings colour-");
    assert_eq!(cluster.ok("annotate cm settings note='by hand'"), "configmap/settings annotated\n");
    assert_eq!(cluster.ok("get cm settings -o jsonpath={.metadata.annotations.note}"), "by hand");
    assert_has(&cluster.fails("label cm settings 'bad key!'=x"), &["bad key!"]);
}

#[test]
fn replace_and_diff_show_and_make_the_difference() {
    let cluster = Cluster::start();
    let first = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: green\n";
    let file = cluster.file("map.yaml", first);
    cluster.ok(&format!("apply -f {file}"));
    cluster.file("map.yaml", &first.replace("green", "red"));
    let diff = cluster.run(&format!("diff -f {file}"));
    assert_eq!(diff.code, 1, "{diff:?}");
    assert_has(&diff.out, &["-  colour: green", "+  colour: red"]);
    assert_eq!(cluster.ok(&format!("replace -f {file}")), "configmap/settings replaced\n");
    let dry = cluster.ok(&format!("replace -f {file} --dry-run=server -o yaml"));
    assert_has(&dry, &["colour: red"]);
    assert_eq!(cluster.ok(&format!("replace --force -f {file}")).lines().count(), 2);
}

#[test]
fn mistakes_in_manifests_are_named_by_field() {
    let cluster = Cluster::start();
    let apply = |text: &str| cluster.fails(&format!("apply -f {}", cluster.file("bad.yaml", text)));
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n    image: nginx\n";
    assert_has(
        &apply(&format!("{pod}    imagePullPolice: Always\n")),
        &["unknown field \"spec.containers[0].imagePullPolice\""],
    );
    assert_has(&apply(&pod.replace("name: web\nspec", "name: Web_1\nspec")), &["metadata.name", "RFC 1123"]);
    assert_has(&apply(&pod.replace("    image: nginx\n", "")), &["spec.containers[0].image: Required value"]);
    assert_has(
        &apply(&format!("{pod}    ports:\n    - containerPort: 70000\n")),
        &["spec.containers[0].ports[0].containerPort", "must be between 1 and 65535, inclusive"],
    );
    assert_has(&apply(&pod.replace("kind: Pod", "kind: Pud")), &["no matches for kind \"Pud\" in version \"v1\""]);
    assert_has(
        &apply(&pod.replace("apiVersion: v1", "apiVersion: v9")),
        &["no matches for kind \"Pod\" in version \"v9\""],
    );
    assert_has(&apply(&format!("{pod}    resources:\n      limits:\n        cpu: lots\n")), &["quantities must match"]);
}

#[test]
fn waiting_ends_with_the_condition_or_with_the_time() {
    let cluster = Cluster::start();
    cluster.ok("run web --image=nginx");
    assert_eq!(cluster.ok("wait --for=condition=Ready pod/web --timeout 60s"), "pod/web condition met\n");
    assert_eq!(
        cluster.ok("wait --for=jsonpath={.status.phase}=Running pod/web --timeout 60s"),
        "pod/web condition met\n"
    );
    assert_has(&cluster.fails("wait --for=condition=Nonsense pod/web --timeout 1s"), &["timed out waiting"]);
}

#[test]
fn output_comes_in_every_form() {
    let cluster = Cluster::start();
    cluster.myapp();
    assert_has(
        &cluster.ok("get deploy myapp -o yaml"),
        &["apiVersion: apps/v1", "kind: Deployment", "readyReplicas: 3"],
    );
    assert_has(&cluster.ok("get deploy myapp -o json"), &["\"kind\": \"Deployment\""]);
    assert_eq!(cluster.ok("get deploy -o name"), "deployment.apps/myapp\n");
    assert!(has_line(&cluster.ok("get deploy -o wide"), &["myapp", "3/3", "hello-world", "app=myapp"]));
    assert!(has_line(&cluster.ok("get deploy -o custom-columns=N:.metadata.name,R:.spec.replicas"), &["myapp", "3"]));
    assert_eq!(cluster.ok("get pod -l app=myapp --sort-by=.metadata.name --no-headers").lines().count(), 3);
    assert_eq!(cluster.ok("get pod -A --chunk-size=1 --no-headers").lines().count(), 3);
    assert_has(&cluster.ok("get deploy,rs,pod,svc"), &["deployment.apps/myapp", "replicaset.apps/myapp", "pod/myapp"]);
    assert_eq!(cluster.ok("get pod --field-selector=status.phase=Running --no-headers").lines().count(), 3);
    assert_has(
        &cluster.fails("get pod --field-selector=spec.nonsense=1"),
        &["field label not supported: spec.nonsense"],
    );
    assert_has(&cluster.fails("get pod -l 'a in'"), &["unable to parse requirement"]);
    assert_has(&cluster.ok("get --raw /api/v1/namespaces/default"), &["\"kind\":\"Namespace\""]);
    assert_eq!(cluster.ok("get --raw /readyz"), "ok");
    assert!(cluster.ok(&format!("apply -f {}", fixture("myapp-service.yaml"))).contains("service/myapp created"));
}
