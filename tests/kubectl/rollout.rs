//! Deployments: rolling out, undoing, pausing, scaling.

use crate::harness::{Cluster, assert_has, fixture, has_line};

#[test]
fn a_new_image_rolls_out_and_is_undone() {
    let cluster = Cluster::start();
    cluster.myapp();
    assert_eq!(cluster.ok("set image deployment/myapp hello-world=hello:2"), "deployment.apps/myapp image updated\n");
    let status = cluster.ok("rollout status deployment myapp --timeout 60s");
    assert_has(&status, &["deployment \"myapp\" successfully rolled out"]);
    cluster.ok("annotate deployment/myapp kubernetes.io/change-cause='second image'");
    let history = cluster.ok("rollout history deployment/myapp");
    assert!(has_line(&history, &["REVISION", "CHANGE-CAUSE"]), "{history}");
    assert!(has_line(&history, &["1", "<none>"]), "{history}");
    assert_has(&history, &["2         second image"]);
    assert_has(&cluster.ok("rollout history deployment/myapp --revision=2"), &["hello:2", "pod-template-hash"]);
    assert_eq!(cluster.ok("rollout undo deployment/myapp"), "deployment.apps/myapp rolled back\n");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    let image = cluster.ok("get deployment myapp -o jsonpath={.spec.template.spec.containers[0].image}");
    assert_eq!(image, "polarsquad/hello-world-app:master");
    let history = cluster.ok("rollout history deployment/myapp");
    assert!(has_line(&history, &["3"]) && !has_line(&history, &["1", "<none>"]), "{history}");
    cluster.ok("rollout undo deployment/myapp --to-revision=2");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    assert_has(&cluster.ok("get deployment myapp -o wide"), &["hello:2"]);
    assert_has(
        &cluster.fails("rollout undo deployment/myapp --to-revision=99"),
        &["unable to find specified revision"],
    );
}

#[test]
fn rollout_status_tells_how_far_it_is() {
    let cluster = Cluster::start();
    cluster.ok(&format!("apply -f {}", fixture("slow.yaml")));
    let status = cluster.ok("rollout status deployment slow --timeout 60s");
    assert_has(
        &status,
        &[
            "Waiting for deployment \"slow\" rollout to finish: 0 of 3 updated replicas are available...",
            "deployment \"slow\" successfully rolled out",
        ],
    );
}

#[test]
fn a_paused_deployment_waits_and_a_resumed_one_goes_on() {
    let cluster = Cluster::start();
    cluster.myapp();
    assert_eq!(cluster.ok("rollout pause deployment/myapp"), "deployment.apps/myapp paused\n");
    cluster.ok("set image deployment/myapp hello-world=hello:2");
    assert_eq!(cluster.ok("get rs -l app=myapp -o name").lines().count(), 1);
    assert_has(&cluster.fails("rollout pause deployment/myapp"), &["already paused"]);
    assert_eq!(cluster.ok("rollout resume deployment/myapp"), "deployment.apps/myapp resumed\n");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    assert_eq!(cluster.ok("get rs -l app=myapp -o name").lines().count(), 2);
}

#[test]
fn restart_replaces_every_pod() {
    let cluster = Cluster::start();
    cluster.myapp();
    let before = cluster.ok("get pod -l app=myapp -o name");
    assert_eq!(cluster.ok("rollout restart deployment/myapp"), "deployment.apps/myapp restarted\n");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    cluster.ok(&format!("wait --for=delete --timeout 60s {}", before.replace('\n', " ").trim()));
    assert_eq!(cluster.ok("get pod -l app=myapp -o name").lines().count(), 3);
}

#[test]
fn scaling_follows_the_command_and_its_preconditions() {
    let cluster = Cluster::start();
    cluster.myapp();
    assert_eq!(cluster.ok("scale deployment/myapp --replicas=5"), "deployment.apps/myapp scaled\n");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    assert!(has_line(&cluster.ok("get deployment myapp"), &["myapp", "5/5", "5", "5"]));
    assert_has(
        &cluster.fails("scale deployment/myapp --current-replicas=3 --replicas=1"),
        &["Expected replicas to be 3, was 5"],
    );
    cluster.ok("scale deployment/myapp --replicas=0");
    cluster.ok("wait --for=delete pod -l app=myapp --timeout 60s");
    assert!(has_line(&cluster.ok("get deployment myapp"), &["myapp", "0/0", "0", "0"]));
}

#[test]
fn env_and_resources_are_set_on_the_template() {
    let cluster = Cluster::start();
    cluster.myapp();
    assert_eq!(cluster.ok("set env deployment/myapp COLOUR=green"), "deployment.apps/myapp env updated\n");
    assert_eq!(
        cluster.ok("set env deployment/myapp --list"),
        "# Deployment myapp, container hello-world\nCOLOUR=green\n"
    );
    let set = cluster.ok("set resources deployment/myapp --limits=cpu=200m,memory=64Mi --requests=cpu=100m");
    assert_eq!(set, "deployment.apps/myapp resource requirements updated\n");
    cluster.ok("rollout status deployment myapp --timeout 60s");
    let pod = cluster.ok("get deployment myapp -o jsonpath={.spec.template.spec.containers[0].resources}");
    assert_has(&pod, &["\"cpu\":\"200m\"", "\"memory\":\"64Mi\"", "\"cpu\":\"100m\""]);
}

#[test]
fn a_lost_pod_is_replaced() {
    let cluster = Cluster::start();
    cluster.myapp();
    let pod = cluster.pod("app=myapp");
    cluster.ok(&format!("delete pod {pod}"));
    cluster.ok("rollout status deployment myapp --timeout 60s");
    let pods = cluster.ok("get pod -l app=myapp");
    assert!(!pods.contains(&pod) && pods.matches("Running").count() == 3, "{pods}");
}
