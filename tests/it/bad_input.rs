//! Bad input over a real socket: each mistake gets upstream's status code, and a message that names it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orchestrion::api::User;
use orchestrion::cluster::{Cluster, Part};
use orchestrion::server::http::Listening;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// An API server that lets everybody in as the administrator, in the clear.
async fn serving() -> (Cluster, Listening) {
    let parts = [Part::Scheduler, Part::Controllers, Part::Nodes, Part::Proxy];
    let builder = parts.into_iter().fold(Cluster::builder(), orchestrion::cluster::Builder::without);
    let cluster = builder.start().await.unwrap();
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let listening = cluster.front().as_user(User::admin()).listen(any, None).await.unwrap();
    (cluster, listening)
}

fn request(method: &str, path: &str, media: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {media}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends bytes and gives code and body of the answer. Half-closed clients have said all that they will say.
async fn send(listening: &Listening, bytes: &[u8], half_close: bool) -> (u16, String) {
    let mut stream = TcpStream::connect(listening.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if half_close {
        stream.shutdown().await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).unwrap_or_default().parse().unwrap(), body.to_owned())
}

fn pod(fields: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web"}},"spec":{{"containers":[{{"name":"web","image":"nginx"{fields}}}]}}}}"#
    )
}

#[tokio::test]
async fn each_mistake_gets_upstreams_code_and_a_message_that_names_it() {
    let (cluster, listening) = serving().await;
    cluster
        .apply(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: fixed}, immutable: true, data: {a: b}}\n---\n\
             {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}\n---\n\
             {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, \
             template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: placed}, spec: {containers: [{name: c, image: i}]}}",
        )
        .await
        .unwrap();
    let store = cluster.server().store();
    store.compact(store.revision().await.unwrap()).await.unwrap();

    let renamed = pod("").replace("\"web\"}", "\"Web_1\"}");
    let labelled = pod("").replace("\"web\"}", "\"web\",\"labels\":{\"bad key!\":\"x\"}}");
    let large = format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","data":{{"a":"{}"}}}}"#, "x".repeat(4 << 20));
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let old = "{\"metadata\":{\"resourceVersion\":\"1\"}}";
    for (method, path, media, body, code, reason, parts) in [
        // Bodies.
        ("POST", MAPS, JSON, large.as_str(), 413, "RequestEntityTooLarge", &["limit is 3145728"][..]),
        ("POST", PODS, JSON, "{\"a\"", 400, "BadRequest", &["json parse error"]),
        ("POST", PODS, YAML, "a: [", 400, "BadRequest", &["yaml"]),
        ("POST", MAPS, JSON, &deep, 400, "BadRequest", &[]),
        ("POST", PODS, JSON, "", 400, "BadRequest", &[]),
        ("POST", PODS, "text/html", "x", 415, "UnsupportedMediaType", &["accepted media types include"]),
        ("PATCH", &format!("{MAPS}/fixed"), JSON, "{}", 415, "UnsupportedMediaType", &["application/merge-patch+json"]),
        ("PATCH", &format!("{MAPS}/fixed"), MERGE, "[", 400, "BadRequest", &[]),
        ("PATCH", &format!("{MAPS}/fixed"), STRATEGIC, "{\"a\"", 400, "BadRequest", &[]),
        ("PATCH", &format!("{MAPS}/fixed"), JSON_PATCH, "{}", 400, "BadRequest", &["cannot unmarshal object"]),
        // Types, kinds, versions, fields.
        (
            "POST",
            PODS,
            JSON,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":"x"}}"#,
            400,
            "BadRequest",
            &["Pod in version \"v1\" cannot be handled as a Pod", "cannot unmarshal string", "spec.containers"],
        ),
        (
            "POST",
            PODS,
            JSON,
            &pod(r#","ports":[{"containerPort":"http"}]"#),
            400,
            "BadRequest",
            &["cannot unmarshal string", "containerPort", "int32"],
        ),
        (
            "POST",
            PODS,
            JSON,
            r#"{"apiVersion":"v1","kind":"Pud"}"#,
            400,
            "BadRequest",
            &["no kind \"Pud\" is registered for version \"v1\""],
        ),
        (
            "POST",
            PODS,
            JSON,
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#,
            400,
            "BadRequest",
            &["ConfigMap in version \"v1\" cannot be handled as a Pod"],
        ),
        ("POST", PODS, JSON, r#"{"apiVersion":"v9","kind":"Pod"}"#, 400, "BadRequest", &["v9"]),
        (
            "GET",
            "/api/v1/namespaces/default/puds",
            JSON,
            "",
            404,
            "NotFound",
            &["could not find the requested resource"],
        ),
        ("GET", "/api/v9/pods", JSON, "", 404, "NotFound", &["could not find the requested resource"]),
        ("PUT", PODS, JSON, "{}", 405, "MethodNotAllowed", &["does not allow this method"]),
        (
            "POST",
            &format!("{PODS}?fieldValidation=Strict"),
            JSON,
            &pod(r#","imagePullPolice":"Always","name":"again""#),
            400,
            "BadRequest",
            &["strict decoding error", "unknown field \"spec.containers[0].imagePullPolice\"", "duplicate field"],
        ),
        // Names, labels, values.
        ("POST", PODS, JSON, &renamed, 422, "Invalid", &["metadata.name: Invalid value: \"Web_1\"", "RFC 1123"]),
        ("POST", PODS, JSON, &labelled, 422, "Invalid", &["metadata.labels: Invalid value: \"bad key!\""]),
        (
            "POST",
            PODS,
            JSON,
            &pod(r#","resources":{"limits":{"cpu":"lots"}}"#),
            400,
            "BadRequest",
            &["quantities must match the regular expression"],
        ),
        (
            "POST",
            PODS,
            JSON,
            &pod(r#","resources":{"limits":{"cpu":"-1"}}"#),
            422,
            "Invalid",
            &["spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
        ),
        (
            "POST",
            PODS,
            JSON,
            &pod(r#","ports":[{"containerPort":70000}]"#),
            422,
            "Invalid",
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            "POST",
            SERVICES,
            JSON,
            r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":0}]}}"#,
            422,
            "Invalid",
            &["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"],
        ),
        // Changes that may not be.
        (
            "PATCH",
            &format!("{MAPS}/fixed"),
            MERGE,
            r#"{"data":{"a":"c"}}"#,
            422,
            "Invalid",
            &["data: Forbidden: field is immutable when `immutable` is set"],
        ),
        (
            "PATCH",
            &format!("{SERVICES}/web"),
            MERGE,
            r#"{"spec":{"clusterIP":"127.0.0.9","clusterIPs":["127.0.0.9"]}}"#,
            422,
            "Invalid",
            &["spec.clusterIPs[0]: Invalid value: [\"127.0.0.9\"]: may not change once set"],
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/web",
            MERGE,
            r#"{"spec":{"selector":{"matchLabels":{"a":"c"}}}}"#,
            422,
            "Invalid",
            &["spec.selector: Invalid value", "field is immutable"],
        ),
        (
            "PATCH",
            &format!("{PODS}/placed"),
            STRATEGIC,
            r#"{"spec":{"nodeName":"n9"}}"#,
            422,
            "Invalid",
            &["spec: Forbidden: pod updates may not change fields other than"],
        ),
        (
            "PATCH",
            &format!("{MAPS}/fixed"),
            MERGE,
            old,
            409,
            "Conflict",
            &["please apply your changes to the latest version"],
        ),
        // Selectors, revisions, tokens.
        ("GET", &format!("{PODS}?labelSelector=a%20in"), JSON, "", 400, "BadRequest", &["unable to parse requirement"]),
        (
            "GET",
            &format!("{PODS}?fieldSelector=spec.nonsense%3D1"),
            JSON,
            "",
            400,
            "BadRequest",
            &["field label not supported: spec.nonsense"],
        ),
        ("GET", &format!("{PODS}?continue=nonsense"), JSON, "", 400, "BadRequest", &["continue key is not valid"]),
        (
            "GET",
            &format!("{PODS}?resourceVersion=1&resourceVersionMatch=Exact"),
            JSON,
            "",
            410,
            "Expired",
            &["The resourceVersion for the provided list is too old."],
        ),
        ("DELETE", &format!("{PODS}/nothere"), JSON, "", 404, "NotFound", &["pods \"nothere\" not found"]),
        (
            "DELETE",
            &format!("{MAPS}/fixed"),
            JSON,
            r#"{"preconditions":{"uid":"x"}}"#,
            409,
            "Conflict",
            &["the UID in the precondition (x) does not match the UID in record"],
        ),
    ] {
        let (got, text) = send(&listening, &request(method, path, media, body), false).await;
        let said = format!("{method} {path} {}\n{text}", &body[..body.len().min(200)]);
        assert_eq!(got, code, "{said}");
        let status: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} {said}"));
        assert_eq!(
            (&status["kind"], &status["reason"], &status["code"]),
            (&"Status".into(), &reason.into(), &code.into()),
            "{said}"
        );
        for part in parts {
            assert!(status["message"].as_str().unwrap().contains(part), "no {part:?} in {said}");
        }
    }

    // A watch from a revision that is no longer remembered says so in its first event.
    let (_, text) =
        send(&listening, &request("GET", &format!("{PODS}?watch=1&resourceVersion=1"), JSON, ""), false).await;
    assert!(text.contains("\"code\":410") && text.contains("too old resource version"), "{text}");
    drop(listening);
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let (cluster, listening) = serving().await;
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"GET /version HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ] {
        let (code, _) = send(&listening, bytes, false).await;
        assert_eq!(code, 400, "{}", String::from_utf8_lossy(bytes));
    }
    drop(listening);
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let (cluster, listening) = serving().await;
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    let (code, text) = send(&listening, &request("POST", MAPS, JSON, map), true).await;
    assert_eq!(code, 201, "{text}");
    let (code, text) = send(&listening, &request("GET", &format!("{MAPS}/a"), JSON, ""), true).await;
    assert_eq!(code, 200, "{text}");
    assert!(text.contains("\"name\":\"a\""), "{text}");
    drop(listening);
    cluster.stop().await;
}

#[tokio::test]
async fn clients_that_go_away_leave_no_task_behind() {
    let (cluster, listening) = serving().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let half = "POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"kind\":";
    let watch = format!("GET {PODS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (bytes, is_answered) in [(half, false), (watch.as_str(), true), ("GET /ver", false), ("", false)] {
        let mut stream = TcpStream::connect(listening.address()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        if is_answered {
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
        }
        while tasks() == before {
            tokio::task::yield_now().await;
        }
        drop(stream);
        let gone = async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), gone).await;
        assert!(waited.is_ok(), "{} tasks are left after {bytes:?}", tasks() - before);
    }
    drop(listening);
    cluster.stop().await;
}

#[tokio::test]
async fn a_follower_of_logs_that_goes_away_leaves_no_task_behind() {
    let cluster = Cluster::start().await.unwrap();
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let listening = cluster.front().as_user(User::admin()).listen(any, None).await.unwrap();
    cluster
        .apply("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}}")
        .await
        .unwrap();
    let pods = cluster.client().api::<Pod>("default");
    let is_running = |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    pods.wait("web", Duration::from_secs(60), is_running).await.unwrap();

    let mut stream = TcpStream::connect(listening.address()).await.unwrap();
    let ask = format!("GET {PODS}/web/log?follow=true HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("listening on") {
        let mut some = [0; 512];
        let read = stream.read(&mut some).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&some[..read]));
    }
    // The server closes its side as soon as it notices that the client has closed the other.
    stream.shutdown().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut text)).await;
    assert!(ended.is_ok_and(|read| read.is_ok()), "the log is still followed");
    drop(listening);
    cluster.stop().await;
}
