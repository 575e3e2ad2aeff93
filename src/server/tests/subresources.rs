use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use k8s_openapi::api::core::v1::{Binding, Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget};
use serde_json::{Value, json};

use super::fixture::{Fixture, pod, said, says, value};
use crate::api::stats::{Scope, Summary};
use crate::api::{
    ApiError, Backend, Call, Connect, Connection, DeleteOptions, ExecOptions, Kind, LogOptions, NodeDirectory,
    NodeEndpoint, PodRef, Target, User, WriteOptions,
};
use crate::server::{IssuedToken, TokenIssuer, TokenRequestContext};

async fn deployment(fixture: &Fixture) -> Target {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod("x")["spec"]});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    fixture.create::<Deployment>("default", json!({"metadata": {"name": "web"}, "spec": spec})).await.unwrap();
    fixture.one::<Deployment>("default", "web")
}

#[tokio::test(start_paused = true)]
async fn a_scale_is_read_and_written_like_an_object() {
    let fixture = Fixture::start().await;
    let target = deployment(&fixture).await;
    let scale = target.clone().sub("scale");
    let read = value(&fixture.server.get(&fixture.call, &scale, &Default::default()).await.unwrap());
    assert_eq!((&read["kind"], &read["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(
        (&read["spec"], &read["status"]),
        (&json!({"replicas": 2}), &json!({"replicas": 0, "selector": "app=web"}))
    );

    let kind = Kind::of::<k8s_openapi::api::autoscaling::v1::Scale>();
    let put = async |value: &Value| {
        let draft = fixture.draft(&kind, value);
        fixture.server.update(&fixture.call, &scale, draft, &Default::default()).await
    };
    let mut wanted = read.clone();
    wanted["spec"]["replicas"] = json!(5);
    assert_eq!(value(&put(&wanted).await.unwrap())["spec"]["replicas"], 5);
    assert_eq!(said(put(&read).await).1, "Conflict");
    let patched = fixture.merge(&scale, json!({"spec": {"replicas": 3}})).await.unwrap();
    assert_eq!(patched.kind().kind, "Scale");
    let object = value(&fixture.get::<Deployment>("default", "web").await.unwrap());
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(3), &json!(3)));
    assert_eq!(
        said(fixture.merge(&scale, json!({"spec": {"replicas": -1}})).await),
        says(
            422,
            "Invalid",
            "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let fixture = Fixture::start().await;
    let zone = json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}});
    fixture.create::<Node>("", zone).await.unwrap();
    fixture.pod("web-0").await;
    let target = fixture.one::<Pod>("default", "web-0").sub("binding");
    let node = |name: &str| json!({"metadata": {"name": "web-0"}, "target": {"kind": "Node", "name": name}});
    fixture.post::<Binding>(&target, node("n1")).await.unwrap();
    let bound = value(&fixture.get::<Pod>("default", "web-0").await.unwrap());
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["metadata"]["generation"], 1);
    assert_eq!(bound["metadata"]["labels"]["topology.kubernetes.io/zone"], "a");
    let condition = &bound["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("True")));
    assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(
        said(fixture.post::<Binding>(&target, node("n2")).await),
        says(
            409,
            "Conflict",
            "Operation cannot be fulfilled on pods/binding \"web-0\": pod web-0 is already assigned to node \"n1\""
        )
    );
    assert_eq!(
        said(fixture.post::<Binding>(&target, json!({"target": {"kind": "Pod"}})).await),
        says(
            422,
            "Invalid",
            "Binding \"web-0\" is invalid: [target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \
             \"<empty>\", target.name: Required value]"
        )
    );
    let missing = fixture.one::<Pod>("default", "x").sub("binding");
    assert_eq!(said(fixture.post::<Binding>(&missing, json!({"target": {"name": "n1"}})).await).0, 404);
}

async fn running(fixture: &Fixture, name: &str, ready: &str) -> Target {
    fixture.pod(name).await;
    let target = fixture.one::<Pod>("default", name);
    let node = json!({"target": {"name": "n1"}});
    fixture.post::<Binding>(&target.clone().sub("binding"), node).await.unwrap();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
    fixture.merge(&target.clone().sub("status"), status).await.unwrap();
    target
}

async fn budget(fixture: &Fixture, status: Value) {
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    let object = json!({"metadata": {"name": "pdb"}, "spec": spec});
    fixture.create::<PodDisruptionBudget>("default", object).await.unwrap();
    let target = fixture.one::<PodDisruptionBudget>("default", "pdb").sub("status");
    fixture.merge(&target, json!({"status": status})).await.unwrap();
}

async fn evict(fixture: &Fixture, pod: &Target) -> Result<crate::api::Object, ApiError> {
    fixture.post::<Eviction>(&pod.clone().sub("eviction"), json!({"metadata": {"name": pod.name()}})).await
}

#[tokio::test(start_paused = true)]
async fn an_eviction_spends_the_budget_and_stops_where_it_is_spent() {
    let fixture = Fixture::start().await;
    let (first, second) = (running(&fixture, "web-0", "True").await, running(&fixture, "web-1", "True").await);
    let status = json!({"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1});
    budget(&fixture, status).await;
    evict(&fixture, &first).await.unwrap();
    let pod = value(&fixture.get::<Pod>("default", "web-0").await.unwrap());
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(pod["status"]["conditions"].as_array().unwrap().last().unwrap()["reason"], "EvictionByEvictionAPI");
    let spent = value(&fixture.get::<PodDisruptionBudget>("default", "pdb").await.unwrap());
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
    assert_eq!(spent["status"]["disruptedPods"]["web-0"], "2026-01-01T00:00:00Z");
    let error = evict(&fixture, &second).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    );
    let causes = error.status().details.as_ref().unwrap().causes.as_ref().unwrap();
    assert_eq!(causes[0].reason.as_deref(), Some("DisruptionBudget"));
    assert_eq!(
        causes[0].message.as_deref(),
        Some("The disruption budget pdb needs 1 healthy pods and has 2 currently")
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_nobody_has_looked_at_yet_forbids() {
    let fixture = Fixture::start().await;
    let pod = running(&fixture, "web-0", "True").await;
    budget(&fixture, json!({"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1})).await;
    let error = evict(&fixture, &pod).await.unwrap_err();
    assert_eq!(error.code(), 429);
    assert_eq!(error.status().details.as_ref().unwrap().retry_after_seconds, Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_ready_costs_no_budget() {
    let fixture = Fixture::start().await;
    let pod = running(&fixture, "web-0", "False").await;
    budget(
        &fixture,
        json!({"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}),
    )
    .await;
    evict(&fixture, &pod).await.unwrap();
    fixture.delete(&pod, &DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() }).await.unwrap();
    fixture.pod("pending").await;
    let pending = fixture.one::<Pod>("default", "pending");
    evict(&fixture, &pending).await.unwrap();
    assert_eq!(said(evict(&fixture, &pending).await).0, 404);
}

#[tokio::test(start_paused = true)]
async fn ephemeral_containers_can_be_added_and_not_taken_back() {
    let fixture = Fixture::start().await;
    fixture.pod("web-0").await;
    let target = fixture.one::<Pod>("default", "web-0").sub("ephemeralcontainers");
    let added = json!([{"name": "debug", "image": "busybox", "terminationMessagePolicy": "File"}]);
    let patch = json!({"spec": {"ephemeralContainers": added, "activeDeadlineSeconds": 5}});
    let patched = value(&fixture.merge(&target, patch).await.unwrap());
    assert_eq!(patched["spec"]["ephemeralContainers"][0]["image"], "busybox");
    assert!(patched["spec"].get("activeDeadlineSeconds").is_none());
    let (code, _, message) = said(fixture.merge(&target, json!({"spec": {"ephemeralContainers": []}})).await);
    assert_eq!(code, 422);
    assert!(message.contains("existing ephemeral containers \"debug\" may not be removed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_resize_changes_resources_and_nothing_else() {
    let fixture = Fixture::start().await;
    let mut burstable = pod("web-0");
    burstable["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    fixture.create::<Pod>("default", burstable).await.unwrap();
    let target = fixture.one::<Pod>("default", "web-0").sub("resize");
    let resized = |cpu: &str, image: &str| json!({"spec": {"containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": cpu}}}]}});
    let patched = value(&fixture.merge(&target, resized("200m", "other")).await.unwrap());
    let container = &patched["spec"]["containers"][0];
    assert_eq!((&container["resources"]["requests"]["cpu"], &container["image"]), (&json!("200m"), &json!("nginx")));
    assert_eq!(patched["metadata"]["generation"], 2);
}

/// Answers every stream with the pod, the container and what was asked.
#[derive(Debug)]
struct Echo;

impl NodeDirectory for Echo {
    fn endpoint(&self, node: &str) -> Option<Arc<dyn NodeEndpoint>> {
        (node == "n1").then(|| Arc::new(Echo) as _)
    }
}

#[async_trait]
impl NodeEndpoint for Echo {
    async fn connect(&self, pod: &PodRef, connect: Connect) -> Result<Connection, ApiError> {
        Err(ApiError::bad_request(match connect {
            Connect::Log(options) => format!("logs of {}/{}", pod.name, options.container),
            Connect::Exec(options) => format!("{:?} in {}/{}", options.command, pod.name, options.container),
            Connect::Attach(options) => format!("attach to {}/{}", pod.name, options.container),
            Connect::PortForward(port) => format!("{}:{port}", pod.name),
            Connect::Get(path) => format!("{path} of {}", pod.name),
        }))
    }

    async fn stats(&self, _: Scope) -> Result<Summary, ApiError> {
        Err(ApiError::internal("nothing is measured here"))
    }
}

#[tokio::test(start_paused = true)]
async fn streams_reach_the_container_that_is_meant() {
    let fixture = Fixture::with(|builder| builder.nodes(Arc::new(Echo))).await;
    let mut two = pod("two");
    let containers = [("a", "nginx"), ("b", "nginx")].map(|(name, image)| json!({"name": name, "image": image}));
    two["spec"]["containers"] = json!(containers);
    two["spec"]["nodeName"] = json!("n1");
    two["spec"]["initContainers"] = json!([{"name": "init", "image": "busybox"}]);
    fixture.create::<Pod>("default", two).await.unwrap();
    fixture.pod("unbound").await;
    let mut lost = pod("lost");
    lost["spec"]["nodeName"] = json!("n2");
    fixture.create::<Pod>("default", lost).await.unwrap();

    let exec = |container: &str| {
        let container = container.to_owned();
        Connect::Exec(ExecOptions { container, command: vec!["ls".into()], ..ExecOptions::default() })
    };
    let log = |container: &str| Connect::Log(LogOptions { container: container.into(), ..LogOptions::default() });
    let table = [
        ("two", log("a"), 400, "logs of two/a"),
        ("two", exec("b"), 400, "[\"ls\"] in two/b"),
        ("two", Connect::PortForward(80), 400, "two:80"),
        ("two", log(""), 400, "a container name must be specified for pod two, choose one of: [init a b]"),
        ("two", exec("c"), 400, "container c is not valid for pod two"),
        ("unbound", exec(""), 400, "pod unbound does not have a host assigned"),
        (
            "lost",
            exec(""),
            500,
            "Internal error occurred: error dialing backend: no agent of node \"n2\" can be reached",
        ),
        ("none", exec(""), 404, "pods \"none\" not found"),
    ];
    for (name, connect, code, message) in table {
        let target = fixture.one::<Pod>("default", name);
        let error = fixture.server.connect(&fixture.call, &target, connect).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }
    let unbound = fixture.one::<Pod>("default", "unbound");
    let logs = fixture.server.connect(&fixture.call, &unbound, log("")).await;
    assert!(matches!(logs, Ok(Connection::Log(_))), "a pod that runs nowhere has written nothing");
}

#[derive(Debug)]
struct Notary;

#[async_trait]
impl TokenIssuer for Notary {
    async fn issue(&self, request: &TokenRequestContext<'_>) -> Result<IssuedToken, ApiError> {
        let name = request.account.metadata.name.clone().unwrap_or_default();
        let bound = request.bound_to.and_then(|bound| bound.name.clone()).unwrap_or_default();
        Ok(IssuedToken {
            token: format!("{name} {bound} {}", request.lifetime.as_secs()),
            expires: "2026-01-01T01:00:00Z".parse().unwrap(),
            audiences: request.audiences.to_vec(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_account_gets_tokens() {
    let fixture = Fixture::with(|builder| builder.tokens(Arc::new(Notary))).await;
    fixture.create::<ServiceAccount>("default", json!({"metadata": {"name": "robot"}})).await.unwrap();
    fixture.pod("web-0").await;
    let target = fixture.one::<ServiceAccount>("default", "robot").sub("token");
    let ask = async |spec: Value| fixture.post::<TokenRequest>(&target, json!({"spec": spec})).await;
    let issued = value(&ask(json!({"audiences": ["vault"], "expirationSeconds": 700})).await.unwrap());
    assert_eq!(issued["status"], json!({"token": "robot  700", "expirationTimestamp": "2026-01-01T01:00:00Z"}));
    assert_eq!(
        said(ask(json!({"audiences": [], "expirationSeconds": 5})).await).2,
        "TokenRequest.authentication.k8s.io \"robot\" is invalid: spec.expirationSeconds: Invalid value: 5: may not \
         specify a duration less than 10 minutes"
    );
    let bound = json!({"audiences": [], "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web-0"}});
    assert_eq!(
        said(ask(bound).await).2,
        "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name."
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_not_found_or_not_allowed() {
    let fixture = Fixture::start().await;
    fixture.pod("web-0").await;
    let pod = fixture.one::<Pod>("default", "web-0");
    let get = |target: Target| {
        let fixture = &fixture;
        async move { said(fixture.server.get(&fixture.call, &target, &Default::default()).await) }
    };
    assert_eq!(
        get(pod.clone().sub("nonsense")).await,
        says(404, "NotFound", "the server could not find the requested resource")
    );
    assert_eq!(
        get(pod.sub("binding")).await,
        says(405, "MethodNotAllowed", "get is not supported on resources of kind \"pods\"")
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_told_what_he_may_do() {
    let fixture = Fixture::start().await;
    let kind = Kind::of::<SelfSubjectRulesReview>();
    let ask = async |user: User, namespace: &str| {
        let call = Call::new(Arc::new(user), "test");
        let draft = fixture.draft(&kind, &json!({"spec": {"namespace": namespace}}));
        fixture.server.create(&call, &Target::all(kind.clone(), ""), draft, &WriteOptions::default()).await
    };
    let basic = json!([
        {
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        },
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
    ]);
    let status = value(&ask(User::new("ann", &["system:authenticated"]), "default").await.unwrap())["status"].take();
    assert_eq!((&status["resourceRules"], &status["incomplete"]), (&basic, &json!(false)));
    assert_eq!(status["nonResourceRules"][0]["verbs"], json!(["get"]));

    let admin = User::new("root", &["system:masters", "system:authenticated"]);
    let status = value(&ask(admin, "default").await.unwrap())["status"].take();
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert_eq!(status["resourceRules"].as_array().unwrap().first(), Some(&everything));
    assert_eq!(status["nonResourceRules"][0], json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    assert_eq!(said(ask(User::admin(), "").await), says(400, "BadRequest", "no namespace on request"));
}
