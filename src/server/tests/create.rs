use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use serde_json::json;

use super::fixture::{Fixture, pod, said, says, value};
use crate::api::{Backend, Call, Target, WriteOptions};

#[tokio::test(start_paused = true)]
async fn the_server_sets_what_is_the_servers() {
    let fixture = Fixture::start().await;
    let created = fixture
        .create::<ConfigMap>(
            "default",
            json!({"metadata": {
                "name": "m", "uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z", "selfLink": "/x",
                "deletionTimestamp": "1999-01-01T00:00:00Z", "managedFields": [{"manager": "me"}],
            }}),
        )
        .await
        .unwrap();
    let metadata = &value(&created)["metadata"];
    assert_eq!(metadata["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(metadata["resourceVersion"], created.revision().to_string());
    for gone in ["selfLink", "deletionTimestamp", "managedFields"] {
        assert!(metadata.get(gone).is_none(), "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_its_defaults_and_a_status() {
    let fixture = Fixture::start().await;
    let created = value(&fixture.pod("web-0").await);
    assert_eq!(created["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(created["spec"]["serviceAccountName"], "default");
    assert_eq!(created["spec"]["priority"], 0);
    assert_eq!(created["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(created["spec"]["tolerations"][1]["key"], "node.kubernetes.io/unreachable");
    assert_eq!(created["spec"]["tolerations"][1]["tolerationSeconds"], 300);
    assert_eq!(created["status"]["phase"], "Pending");
    assert_eq!(created["status"]["qosClass"], "BestEffort");
}

#[tokio::test(start_paused = true)]
async fn a_bad_creation_is_refused_in_upstreams_words() {
    let fixture = Fixture::start().await;
    fixture.map("taken").await;
    let table = [
        (
            "default",
            json!({"metadata": {"name": "taken"}}),
            says(409, "AlreadyExists", r#"configmaps "taken" already exists"#),
        ),
        (
            "default",
            json!({"metadata": {"name": "m", "namespace": "other"}}),
            says(
                400,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
        ),
        (
            "default",
            json!({"metadata": {"name": "m", "resourceVersion": "5"}}),
            says(500, "", "resourceVersion should not be set on objects to be created"),
        ),
        (
            "default",
            json!({"metadata": {}}),
            says(
                422,
                "Invalid",
                r#"ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#,
            ),
        ),
        ("nowhere", json!({"metadata": {"name": "m"}}), says(404, "NotFound", r#"namespaces "nowhere" not found"#)),
    ];
    for (namespace, object, expected) in table {
        assert_eq!(said(fixture.create::<ConfigMap>(namespace, object).await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_generated_name_has_five_random_characters() {
    let fixture = Fixture::start().await;
    let created = fixture.create::<ConfigMap>("default", json!({"metadata": {"generateName": "web-"}})).await.unwrap();
    assert!(created.name().starts_with("web-") && created.name().len() == 9, "{}", created.name());
    let long = "x".repeat(100);
    let created = fixture.create::<ConfigMap>("default", json!({"metadata": {"generateName": long}})).await.unwrap();
    assert_eq!(created.name().len(), 63);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_keeps_nothing() {
    let fixture = Fixture::start().await;
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let made = fixture.create_with::<Pod>("default", pod("web-0"), &options).await.unwrap();
    assert_eq!(value(&made)["spec"]["priority"], 0);
    assert!(made.meta().resource_version.is_none());
    assert_eq!(said(fixture.get::<Pod>("default", "web-0").await).0, 404);
    fixture.pod("web-0").await;
    assert_eq!(said(fixture.create_with::<Pod>("default", pod("web-0"), &options).await).1, "AlreadyExists");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_begins_with_its_namespaces() {
    let fixture = Fixture::start().await;
    let list = fixture.list::<Namespace>("", &Default::default()).await.unwrap();
    let names: Vec<_> = list.items.iter().map(|namespace| namespace.name().to_owned()).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_but_an_administrator_may_anything() {
    let fixture = Fixture::start().await;
    let call = Call::new(crate::api::User::new("jane", &["system:authenticated"]).into(), "test");
    let target: Target = fixture.one::<Pod>("default", "web-0");
    assert_eq!(
        said(fixture.server.get(&call, &target, &Default::default()).await),
        says(
            403,
            "Forbidden",
            r#"pods "web-0" is forbidden: User "jane" cannot get resource "pods" in API group "" in the namespace "default""#
        )
    );
}

#[tokio::test(start_paused = true)]
async fn another_version_of_a_kind_is_another_view_of_the_same_object() {
    use k8s_openapi::api::{core::v1 as core, events::v1 as events};
    let fixture = Fixture::start().await;
    let event = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Started",
        "action": "Start", "note": "it runs", "reportingController": "example.com/test", "reportingInstance": "test-0",
        "regarding": {"kind": "Pod", "name": "web-0", "namespace": "default"},
    });
    let created = value(&fixture.create::<events::Event>("default", event.clone()).await.unwrap());
    assert_eq!((&created["note"], &created["apiVersion"]), (&json!("it runs"), &json!("events.k8s.io/v1")));
    let stored = value(&fixture.get::<core::Event>("default", "e").await.unwrap());
    assert_eq!((&stored["message"], &stored["apiVersion"]), (&json!("it runs"), &json!("v1")));
    for (field, found) in [("regarding.name=web-0", 1), ("regarding.name=web-1", 0)] {
        let options = crate::api::ListOptions { fields: field.parse().unwrap(), ..Default::default() };
        assert_eq!(fixture.list::<events::Event>("default", &options).await.unwrap().items.len(), found, "{field}");
    }
    let mut without = event;
    without["eventTime"] = serde_json::Value::Null;
    assert_eq!(
        said(fixture.create::<events::Event>("default", without).await).2,
        "Event.events.k8s.io \"e\" is invalid: eventTime: Required value"
    );
}

#[tokio::test(start_paused = true)]
async fn reviews_are_answered_and_not_kept() {
    use k8s_openapi::api::authentication::v1::SelfSubjectReview;
    use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SubjectAccessReview};
    let fixture = Fixture::start().await;
    let me = value(&fixture.create::<SelfSubjectReview>("", json!({})).await.unwrap());
    assert_eq!(me["status"]["userInfo"]["username"], "kubernetes-admin");
    let pods = json!({"verb": "delete", "resource": "pods", "namespace": "default"});
    let mine = json!({"spec": {"resourceAttributes": pods}});
    let mine = value(&fixture.create::<SelfSubjectAccessReview>("", mine).await.unwrap());
    assert_eq!(mine["status"]["allowed"], true);
    let janes = json!({"spec": {"user": "jane", "resourceAttributes": pods}});
    let janes = value(&fixture.create::<SubjectAccessReview>("", janes).await.unwrap());
    assert_eq!(janes["status"]["allowed"], false);
}
