//! Tokens of service accounts: issued, mounted into pods, believed, and worthless when their time or their pod is over.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use orchestrion::api::{DeleteOptions, Draft};
use orchestrion::cluster::Cluster;
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

async fn request(cluster: &Cluster, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let (parts, body) = cluster.front().handle(request).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap())
}

/// Whom the server takes the bearer of a token for.
async fn who_am_i(cluster: &Cluster, token: &str) -> (u16, Value) {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (code, answer) = request(cluster, "POST", path, token, review).await;
    (code, answer["status"].get("userInfo").cloned().unwrap_or_default())
}

async fn ask(cluster: &Cluster, account: &str, spec: Value) -> String {
    let request: TokenRequest = serde_json::from_value(json!({ "spec": spec })).unwrap();
    let accounts = cluster.client().api::<ServiceAccount>("default");
    let answer = accounts.dynamic().create_sub(account, "token", Draft::new(request)).await.unwrap();
    answer.typed::<TokenRequest>().unwrap().status.as_ref().unwrap().token.clone().unwrap()
}

async fn running(cluster: &Cluster, name: &str) -> Arc<Pod> {
    cluster
        .apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: i}}]}}}}"
        ))
        .await
        .unwrap();
    let pods = cluster.client().api::<Pod>("default");
    let is_running = |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    pods.wait(name, MINUTE, is_running).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_stands_for_its_account_until_its_time_is_over() {
    let cluster = Cluster::builder().simulated(1).start().await.unwrap();
    cluster.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}").await.unwrap();
    let token = ask(&cluster, "robot", json!({ "audiences": [], "expirationSeconds": 600 })).await;
    let (code, user) = who_am_i(&cluster, &token).await;
    assert_eq!(code, 201);
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    assert_eq!(
        user["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    assert!(user["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap().starts_with("JTI="));
    let (code, answer) = request(&cluster, "GET", "/api/v1/namespaces/default/pods", &token, Value::Null).await;
    assert_eq!(code, 403);
    assert_eq!(
        answer["message"],
        "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );

    let forged = format!("{}x", &token[..token.len() - 1]);
    let elsewhere = ask(&cluster, "robot", json!({ "audiences": ["vault"] })).await;
    for bad in [&forged, &elsewhere, "a.b.c", "a.b", ""] {
        assert_eq!(who_am_i(&cluster, bad).await.0, 401, "{bad}");
    }
    cluster.clock().sleep(10 * MINUTE).await;
    assert_eq!(who_am_i(&cluster, &token).await.0, 401);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_find_a_token_that_dies_with_them() {
    let cluster = Cluster::builder().simulated(2).start().await.unwrap();
    let pod = running(&cluster, "web").await;
    let spec = pod.spec.as_ref().unwrap();
    let mount = &spec.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert!(mount.name.starts_with("kube-api-access-") && mount.mount_path == MOUNT, "{mount:?}");
    let uid = pod.metadata.uid.clone();
    let bound = json!({ "kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid });
    let token = ask(&cluster, "default", json!({ "audiences": [], "boundObjectRef": bound })).await;
    let (_, user) = who_am_i(&cluster, &token).await;
    let extra = |key: &str| user["extra"][format!("authentication.kubernetes.io/{key}")][0].clone();
    assert_eq!((extra("pod-name"), extra("pod-uid")), ("web".into(), json!(uid)));
    assert_eq!(extra("node-name"), json!(spec.node_name));

    let pods = cluster.client().api::<Pod>("default");
    pods.delete_with("web", &DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() }).await.unwrap();
    pods.wait("web", MINUTE, |pod| pod.is_none()).await.unwrap();
    assert_eq!(who_am_i(&cluster, &token).await.0, 401);
    // Another pod of that name does not bring it back.
    running(&cluster, "web").await;
    assert_eq!(who_am_i(&cluster, &token).await.0, 401);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn others_can_check_tokens_by_the_published_keys() {
    let cluster = Cluster::builder().simulated(3).start().await.unwrap();
    cluster.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}").await.unwrap();
    let token = ask(&cluster, "robot", json!({ "audiences": ["vault"] })).await;
    let part = |at: usize| -> Value {
        let part = token.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let own = ask(&cluster, "robot", json!({ "audiences": [] })).await;
    let (code, about) = request(&cluster, "GET", "/.well-known/openid-configuration", &own, Value::Null).await;
    assert_eq!((code, &about["issuer"]), (200, &part(1)["iss"]));
    let (code, keys) = request(&cluster, "GET", "/openid/v1/jwks", &own, Value::Null).await;
    assert_eq!((code, &keys["keys"][0]["kid"]), (200, &part(0)["kid"]));
    assert_eq!((part(0)["alg"].as_str(), &keys["keys"][0]["alg"]), (Some("ES256"), &"ES256".into()));
    assert_eq!(part(1)["aud"], json!(["vault"]));
    assert_eq!(part(1)["sub"], "system:serviceaccount:default:robot");
    cluster.stop().await;
}
