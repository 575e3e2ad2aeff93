//! The commands and manifests of the notes, as they stand.

use crate::harness::{Cluster, assert_has, fixture, has_line};

#[test]
fn the_cluster_shows_its_nodes_and_version() {
    let cluster = Cluster::start();
    let nodes = cluster.ok("get nodes");
    assert!(has_line(&nodes, &["NAME", "STATUS", "ROLES", "AGE", "VERSION"]), "{nodes}");
    assert_eq!(nodes.matches(" Ready ").count(), 3, "{nodes}");
    assert_has(&cluster.ok("version"), &["Client Version", "Server Version: v1.36"]);
    assert_has(&cluster.ok("get services"), &["kubernetes", "ClusterIP", "443/TCP"]);
    assert_has(&cluster.run("get pod").err, &["No resources found in default namespace."]);
    assert_has(&cluster.ok("cluster-info"), &["Kubernetes control plane", &cluster.server]);
}

#[test]
fn a_deployment_made_on_the_command_line_runs_and_goes() {
    let cluster = Cluster::start();
    assert_eq!(cluster.ok("create deployment nginx-depl --image=nginx"), "deployment.apps/nginx-depl created\n");
    assert_eq!(cluster.ok("create deployment mongo-depl --image=mongo"), "deployment.apps/mongo-depl created\n");
    cluster.ok("rollout status deployment/nginx-depl --timeout 60s");
    cluster.ok("rollout status deployment/mongo-depl --timeout 60s");
    assert!(has_line(&cluster.ok("get deployment"), &["nginx-depl", "1/1", "1", "1"]));
    assert!(has_line(&cluster.ok("get replicaset"), &["1", "1", "1"]));
    let pod = cluster.pod("app=mongo-depl");
    assert!(has_line(&cluster.ok("get pod"), &[&pod, "1/1", "Running", "0"]));
    cluster.ok(&format!("logs {pod}"));
    assert_has(
        &cluster.ok(&format!("describe pod {pod}")),
        &["Image:", "mongo", "Status:", "Running", "Scheduled", "Successfully assigned", "Pulled", "Container started"],
    );
    let editor = cluster.file("editor", "#!/bin/sh\nsed -i 's/image: nginx/image: nginx:1.16/' \"$1\"\n");
    std::process::Command::new("chmod").args(["+x", &editor]).status().unwrap();
    let edited = cluster.run_with("edit deployment nginx-depl", "", &[("KUBE_EDITOR", &editor)]).ok();
    assert_eq!(edited, "deployment.apps/nginx-depl edited\n");
    cluster.ok("rollout status deployment/nginx-depl --timeout 60s");
    assert_eq!(cluster.ok("get rs -l app=nginx-depl -o name").lines().count(), 2);
    assert_has(&cluster.ok("delete deployment mongo-depl"), &["deployment.apps \"mongo-depl\" deleted"]);
    cluster.ok("delete deployment nginx-depl");
    cluster.ok("wait --for=delete pod --all --timeout 60s");
    assert_has(&cluster.run("get pod").err, &["No resources found"]);
    assert_has(&cluster.run("get replicaset").err, &["No resources found"]);
}

#[test]
fn a_manifest_is_applied_changed_and_deleted() {
    let cluster = Cluster::start();
    let manifest = fixture("seed-deployment.yaml");
    assert_eq!(cluster.ok(&format!("apply -f {manifest}")), "deployment.apps/myapp created\n");
    assert_has(
        &cluster.ok("rollout status deployment myapp --timeout 60s"),
        &["deployment \"myapp\" successfully rolled out"],
    );
    assert_eq!(cluster.ok(&format!("apply -f {manifest}")), "deployment.apps/myapp unchanged\n");
    assert!(has_line(&cluster.ok("get deployment"), &["myapp", "3/3", "3", "3"]));
    assert_eq!(cluster.ok(&format!("delete -f {manifest}")).trim_end(), "deployment.apps \"myapp\" deleted");
}

#[test]
fn the_mongo_manifests_come_up_in_order() {
    let cluster = Cluster::start();
    let apply = |name: &str| cluster.ok(&format!("apply -f {}", fixture(name)));
    assert_eq!(apply("mongo-secret.yaml"), "secret/mongodb-secret created\n");
    assert_eq!(apply("mongo.yaml"), "deployment.apps/mongodb-deployment created\nservice/mongodb-service created\n");
    assert_eq!(apply("mongo-configmap.yaml"), "configmap/mongodb-configmap created\n");
    apply("mongo-express.yaml");
    cluster.ok("rollout status deployment mongodb-deployment --timeout 60s");
    cluster.ok("rollout status deployment mongo-express --timeout 60s");
    assert!(has_line(&cluster.ok("get pod -o wide"), &["1/1", "Running"]));
    assert!(has_line(&cluster.ok("get service"), &["mongo-express-service", "LoadBalancer", "<pending>"]));
    assert!(has_line(&cluster.ok("get secret"), &["mongodb-secret", "Opaque", "2"]));
    assert_has(&cluster.ok("get all"), &["pod/mongodb", "service/mongodb-service", "deployment.apps/mongo-express"]);
    assert_has(
        &cluster.ok("describe service mongodb-service"),
        &["Selector:", "app=mongodb", "27017/TCP", "Endpoints:"],
    );
    let pod = cluster.pod("app=mongo-express");
    let env = cluster.ok(&format!("exec {pod} -- env"));
    assert_has(&env, &["ME_CONFIG_MONGODB_SERVER=mongodb-service", "ME_CONFIG_MONGODB_ADMINUSERNAME=username"]);
    assert_has(&env, &["MONGODB_SERVICE_SERVICE_HOST=", "MONGODB_SERVICE_SERVICE_PORT=27017"]);
    cluster.ok(&format!("logs {pod}"));
}

#[test]
fn the_broken_service_of_the_notes_is_refused_by_name_and_the_repaired_one_works() {
    let cluster = Cluster::start();
    let error = cluster.fails(&format!("apply -f {}", fixture("seed-service-backend-broken.yaml")));
    assert!(error.contains("name") || error.contains("line"), "{error}");
    cluster.ok("create deployment deployment-backend --image=backend --port=333 --replicas=2");
    cluster.ok(&format!("apply -f {}", fixture("seed-service-backend.yaml")));
    assert!(has_line(&cluster.ok("get service service-backend"), &["service-backend", "ClusterIP", "4000/TCP"]));
}

#[test]
fn a_deployment_is_exposed_on_the_command_line() {
    let cluster = Cluster::start();
    cluster.ok("create deployment deployment-backend --image=backend --port=4000");
    cluster.ok("rollout status deployment deployment-backend --timeout 60s");
    let exposed =
        cluster.ok("expose deployment deployment-backend --port=333 --target-port=4000 --name=service-backend");
    assert_eq!(exposed, "service/service-backend exposed\n");
    cluster.ok("wait --for=jsonpath={.subsets[0].addresses[0].ip} endpoints/service-backend --timeout 30s");
    assert!(has_line(&cluster.ok("get service service-backend"), &["service-backend", "ClusterIP", "333/TCP"]));
}

#[test]
fn a_headless_service_has_no_address() {
    let cluster = Cluster::start();
    cluster.ok(&format!("apply -f {}", fixture("seed-headless-service.yaml")));
    assert!(has_line(&cluster.ok("get service"), &["my-headless-service", "ClusterIP", "None", "80/TCP"]));
}

#[test]
fn watching_pods_shows_them_change() {
    let cluster = Cluster::start();
    cluster.ok("run first --image=nginx");
    let mut watch = cluster.command(&["get", "pod", "--watch"]);
    let mut watch = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    // The header and the first pod: from here on it watches.
    let mut seen = format!("{}\n{}\n", lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
    cluster.ok("run second --image=nginx");
    cluster.ok("wait --for=condition=Ready pod/second --timeout 60s");
    cluster.ok("delete pod second --wait=false");
    for line in lines {
        seen.push_str(&line.unwrap());
        seen.push('\n');
        if seen.lines().any(|line| line.starts_with("second") && line.contains("Terminating")) {
            break;
        }
    }
    let _ = (watch.kill(), watch.wait());
    for status in ["Pending", "Running", "Terminating"] {
        assert!(has_line(&seen, &["second", status]), "{seen}");
    }
}
