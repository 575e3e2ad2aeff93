//! `delete` in all its forms.

use crate::harness::{Cluster, assert_has, fixture};

fn maps(cluster: &Cluster, names: &[&str]) {
    for name in names {
        cluster.ok(&format!("create configmap {name}"));
        cluster.ok(&format!("label cm {name} set={name}"));
    }
}

#[test]
fn things_are_deleted_by_name_label_file_and_all_at_once() {
    let cluster = Cluster::start();
    maps(&cluster, &["a", "b", "c", "d", "e"]);
    assert_eq!(cluster.ok("delete cm a --dry-run=server"), "configmap \"a\" deleted (server dry run)\n");
    assert_eq!(cluster.ok("delete cm a --dry-run=client"), "configmap \"a\" deleted (dry run)\n");
    assert_has(&cluster.ok("delete cm a b"), &["\"a\" deleted", "\"b\" deleted"]);
    assert_eq!(cluster.ok("delete cm -l set=c"), "configmap \"c\" deleted\n");
    assert_eq!(cluster.ok("delete cm/d -o name"), "configmap/d\n");
    assert_eq!(cluster.ok("delete cm --field-selector metadata.name=e"), "configmap \"e\" deleted\n");
    assert_eq!(cluster.ok("delete cm a --ignore-not-found"), "");
    assert_has(&cluster.fails("delete cm a"), &["configmaps \"a\" not found"]);

    let file = cluster.file(
        "both.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: two\n",
    );
    cluster.ok(&format!("apply -f {file}"));
    assert_eq!(cluster.ok(&format!("delete -f {file}")), "configmap \"one\" deleted\nsecret \"two\" deleted\n");
    let text = std::fs::read_to_string(&file).unwrap();
    cluster.run_with("apply -f -", &text, &[]).ok();
    assert_has(&cluster.run_with("delete -f -", &text, &[]).ok(), &["configmap \"one\" deleted"]);

    maps(&cluster, &["f", "g"]);
    let all = cluster.ok("delete cm --all");
    assert_has(&all, &["\"f\" deleted", "\"g\" deleted", "\"kube-root-ca.crt\" deleted"]);
    maps(&cluster, &["h"]);
    assert_has(&cluster.ok("delete --raw /api/v1/namespaces/default/configmaps/h"), &["\"status\":\"Success\""]);
    cluster.ok("create namespace team");
    cluster.ok("create configmap inside -n team");
    assert_has(&cluster.ok("delete cm -A -l x=y"), &["No resources found"]);
    assert_has(&cluster.ok("delete namespace team"), &["namespace \"team\" deleted"]);
    assert_has(&cluster.fails("get namespace team"), &["not found"]);
    assert_has(&cluster.fails("delete namespace default"), &["this namespace may not be deleted"]);
}

#[test]
fn pods_are_deleted_gracefully_at_once_or_by_force() {
    let cluster = Cluster::start();
    for name in ["slow", "now", "forced", "brief", "selected"] {
        cluster.ok(&format!("run {name} --image=busybox --command -- sh -c 'sleep 600'"));
        cluster.ok(&format!("wait --for=condition=Ready pod/{name} --timeout 60s"));
    }
    let finalizer = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    cluster.ok(&format!("patch pod slow --type=merge -p '{finalizer}'"));
    assert_eq!(cluster.ok("delete pod slow --wait=false"), "pod \"slow\" deleted\n");
    assert_ne!(cluster.ok("get pod slow -o jsonpath={.metadata.deletionTimestamp}"), "");
    assert_has(&cluster.fails("delete pod slow --timeout=1s"), &["timed out waiting for the condition"]);
    cluster.ok("patch pod slow --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]'");
    cluster.ok("wait --for=delete pod/slow --timeout 60s");

    assert_eq!(cluster.ok("delete pod now --now"), "pod \"now\" deleted\n");
    let forced = cluster.run("delete pod forced --grace-period=0 --force");
    assert_has(&forced.err, &["Immediate deletion does not wait for confirmation"]);
    assert_eq!(forced.ok(), "pod \"forced\" force deleted\n");
    // Without --force that is a second, not at once.
    assert_eq!(cluster.ok("delete pod brief --grace-period=0"), "pod \"brief\" deleted\n");
    let selected = cluster.ok("delete pod --field-selector=status.phase=Running --grace-period=1");
    assert_eq!(selected, "pod \"selected\" deleted\n");
    assert_has(&cluster.run("get pods").err, &["No resources found"]);
}

#[test]
fn dependents_are_left_or_collected_before_or_after() {
    let cluster = Cluster::start();
    let sets = || cluster.ok("get rs -l app=myapp -o name").lines().count();
    let pods = || cluster.ok("get pods -l app=myapp -o name").lines().count();
    cluster.myapp();
    cluster.ok("delete deployment myapp --cascade=orphan");
    assert_eq!((sets(), pods()), (1, 3));
    assert_eq!(cluster.ok("get rs -l app=myapp -o jsonpath={.items[0].metadata.ownerReferences}"), "");
    // A Deployment of the same template adopts them again.
    cluster.myapp();
    assert_eq!((sets(), pods()), (1, 3));
    cluster.ok("delete deployment myapp --cascade=foreground");
    assert_eq!((sets(), pods()), (0, 0));

    cluster.myapp();
    cluster.ok("delete deployment myapp --cascade=background");
    cluster.ok("wait --for=delete rs -l app=myapp --timeout 60s");
    cluster.ok("wait --for=delete pod -l app=myapp --timeout 60s");
    assert_eq!((sets(), pods()), (0, 0));
    assert_has(&cluster.fails("delete deployment x --cascade=nonsense"), &["invalid cascade value (nonsense)"]);
    cluster.ok(&format!("apply -f {}", fixture("myapp.yaml")));
    assert_eq!(
        cluster.ok(&format!("delete -f {} --cascade=foreground --now", fixture("myapp.yaml"))),
        "deployment.apps \"myapp\" deleted\n"
    );
}
