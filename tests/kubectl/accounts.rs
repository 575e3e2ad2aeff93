//! Service accounts: tokens by request and in pods, and what one may do.

use crate::harness::{Cluster, assert_has};

/// kubectl as the bearer of a token, and of nothing else.
fn bearing(cluster: &Cluster, token: &str, line: &str) -> String {
    let nobody = cluster.file("nobody", "");
    let server = &cluster.server;
    format!("--kubeconfig={nobody} --server={server} --insecure-skip-tls-verify --token={token} {line}")
}

#[test]
fn tokens_are_made_on_request_and_let_their_account_in() {
    let cluster = Cluster::start();
    cluster.ok("create serviceaccount robot");
    let token = cluster.ok("create token robot --duration 10m").trim().to_owned();
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert_has(
        &cluster.ok(&bearing(&cluster, &token, "auth whoami")),
        &["system:serviceaccount:default:robot", "system:serviceaccounts", "system:authenticated"],
    );
    assert_has(
        &cluster.fails(&bearing(&cluster, &token, "get pods")),
        &[
            "User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ],
    );
    assert_has(
        &cluster.fails("create token robot --duration 5s"),
        &["may not specify a duration less than 10 minutes"],
    );
    assert_has(&cluster.fails("create token nobody"), &["serviceaccounts \"nobody\" not found"]);
    assert_has(&cluster.ok("create token robot -o yaml --audience vault"), &["kind: TokenRequest", "- vault"]);
    let elsewhere = cluster.ok("create token robot --audience vault").trim().to_owned();
    let refused = cluster.fails(&bearing(&cluster, &elsewhere, "auth whoami"));
    assert_has(&refused, &["Unauthorized"]);

    cluster.ok("delete serviceaccount robot");
    assert_has(&cluster.fails(&bearing(&cluster, &token, "auth whoami")), &["Unauthorized"]);
}

#[test]
fn pods_carry_a_token_of_their_account() {
    let cluster = Cluster::start();
    cluster.ok("create namespace team");
    // A controller makes it; a pod that comes before is refused.
    cluster.ok("wait --for=create serviceaccount/default -n team --timeout 60s");
    cluster.ok("run web --image=nginx -n team");
    cluster.ok("wait --for=condition=Ready pod/web -n team --timeout 60s");
    let file = |name: &str| {
        cluster.ok(&format!("exec web -n team -- cat /var/run/secrets/kubernetes.io/serviceaccount/{name}"))
    };
    assert_eq!(file("namespace"), "team");
    assert_has(&file("ca.crt"), &["-----BEGIN CERTIFICATE-----"]);
    let token = file("token");
    assert_has(
        &cluster.ok(&bearing(&cluster, &token, "auth whoami")),
        &["system:serviceaccount:team:default", "authentication.kubernetes.io/pod-name", "web"],
    );
    let bound = cluster.ok("create token default -n team --bound-object-kind Pod --bound-object-name web");
    cluster.ok(&bearing(&cluster, bound.trim(), "auth whoami"));
    cluster.ok("delete pod web -n team --now");
    assert_has(&cluster.fails(&bearing(&cluster, bound.trim(), "auth whoami")), &["Unauthorized"]);
}

#[test]
fn kubectl_lists_what_one_may_do() {
    let cluster = Cluster::start();
    let listed = cluster.run("auth can-i --list");
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(!listed.err.contains("incomplete"), "{listed:?}");
    assert_has(&listed.out, &["*.*", "selfsubjectrulesreviews.authorization.k8s.io", "[/openapi/*]"]);
    assert_eq!(cluster.ok("auth can-i create pods"), "yes\n");
}
