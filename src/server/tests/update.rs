use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use serde_json::{Value, json};

use super::fixture::{Fixture, pod, said, says, value};
use crate::api::{Backend, DeleteOptions, FieldValidation, Patch, WriteOptions};

#[tokio::test(start_paused = true)]
async fn an_update_of_an_old_version_conflicts() {
    let fixture = Fixture::start().await;
    let old = value(&fixture.map("m").await);
    let target = fixture.one::<ConfigMap>("default", "m");
    fixture.merge(&target, json!({"data": {"a": "2"}})).await.unwrap();
    assert_eq!(
        said(fixture.put(&target, &old).await),
        says(
            409,
            "Conflict",
            "Operation cannot be fulfilled on configmaps \"m\": the object has been modified; please apply your \
             changes to the latest version and try again"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_version_is_taken() {
    let fixture = Fixture::start().await;
    let old = fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    let new = fixture.put(&target, &json!({"metadata": {"name": "m"}, "data": {"b": "2"}})).await.unwrap();
    assert!(new.revision() > old.revision());
    assert_eq!(value(&new)["data"], json!({"b": "2"}));
    assert_eq!(new.uid(), old.uid());
    assert_eq!(new.meta().creation_timestamp, old.meta().creation_timestamp);
}

#[tokio::test(start_paused = true)]
async fn a_bad_update_is_refused_in_upstreams_words() {
    let fixture = Fixture::start().await;
    let uid = fixture.map("m").await.uid().to_owned();
    let conflict =
        |why: &str| says(409, "Conflict", &format!("Operation cannot be fulfilled on configmaps \"m\": {why}"));
    let table = [
        (
            json!({"metadata": {"name": "n"}}),
            says(400, "BadRequest", "the name of the object (n) does not match the name on the URL (m)"),
        ),
        (
            json!({"metadata": {}}),
            says(400, "BadRequest", "the name of the object (based on URL) was undeterminable: name must be provided"),
        ),
        (
            json!({"metadata": {"name": "m", "namespace": "kube-system"}}),
            says(
                400,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
        ),
        (
            json!({"metadata": {"name": "m", "uid": "x"}}),
            conflict(&format!("Precondition failed: UID in precondition: x, UID in object meta: {uid}")),
        ),
        (
            json!({"metadata": {"name": "m", "resourceVersion": "x"}}),
            says(500, "", r#"strconv.ParseUint: parsing "x": invalid syntax"#),
        ),
    ];
    let target = fixture.one::<ConfigMap>("default", "m");
    for (object, expected) in table {
        assert_eq!(said(fixture.put(&target, &object).await), expected);
    }
    let missing = fixture.one::<ConfigMap>("default", "x");
    assert_eq!(
        said(fixture.put(&missing, &json!({"metadata": {"name": "x"}})).await),
        says(404, "NotFound", r#"configmaps "x" not found"#)
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_nothing_makes_no_version() {
    let fixture = Fixture::start().await;
    let pod = fixture.pod("web-0").await;
    let target = fixture.one::<Pod>("default", "web-0");
    assert_eq!(fixture.put(&target, &value(&pod)).await.unwrap().revision(), pod.revision());
    assert_eq!(fixture.merge(&target, json!({})).await.unwrap().revision(), pod.revision());
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_changes_of_the_spec() {
    let fixture = Fixture::start().await;
    let deployment = json!({
        "metadata": {"name": "web", "generation": 9},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod("x").as_object().map(|pod| {
                json!({"metadata": {"labels": {"app": "web"}}, "spec": pod["spec"]})
            }),
        },
    });
    let created = fixture.create::<Deployment>("default", deployment).await.unwrap();
    assert_eq!(created.meta().generation, Some(1));
    let target = fixture.one::<Deployment>("default", "web");
    let generation = async |patch: Value| fixture.merge(&target, patch).await.unwrap().meta().generation;
    assert_eq!(generation(json!({"metadata": {"labels": {"a": "b"}, "generation": 7}})).await, Some(1));
    assert_eq!(generation(json!({"spec": {"replicas": 5}})).await, Some(2));
    assert_eq!(generation(json!({"status": {"replicas": 5}})).await, Some(2));
    let status =
        fixture.merge(&target.clone().sub("status"), json!({"status": {"replicas": 3}, "spec": {"replicas": 9}})).await;
    let status = value(&status.unwrap());
    assert_eq!(status["metadata"]["generation"], 2);
    assert_eq!((&status["status"]["replicas"], &status["spec"]["replicas"]), (&json!(3), &json!(5)));
}

#[tokio::test(start_paused = true)]
async fn the_last_finalizer_holds_what_is_deleted() {
    let fixture = Fixture::start().await;
    let held = json!({"metadata": {"name": "m", "finalizers": ["example.com/a", "example.com/b"]}});
    fixture.create::<ConfigMap>("default", held).await.unwrap();
    let target = fixture.one::<ConfigMap>("default", "m");
    let deleted = fixture.delete(&target, &DeleteOptions::default()).await.unwrap();
    assert_eq!(deleted.object().meta().deletion_grace_period_seconds, Some(0));
    assert_eq!(said(fixture.merge(&target, json!({"metadata": {"finalizers": ["example.com/c"]}})).await).1, "Invalid");
    let kept =
        fixture.merge(&target, json!({"metadata": {"finalizers": ["example.com/a"], "deletionTimestamp": null}}));
    assert!(kept.await.unwrap().meta().deletion_timestamp.is_some());
    fixture.merge(&target, json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(said(fixture.get::<ConfigMap>("default", "m").await).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_decoded_strictly() {
    let fixture = Fixture::start().await;
    fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    let with = |field_validation| WriteOptions { field_validation, ..WriteOptions::default() };
    let patch = || Patch::Merge(json!({"dataa": {}}));
    let strict = fixture.server.patch(&fixture.call, &target, patch(), &with(FieldValidation::Strict)).await;
    let (code, reason, message) = said(strict);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{message}");
    assert!(message.ends_with("strict decoding error: unknown field \"dataa\""), "{message}");
    fixture.call.take_warnings();
    fixture.server.patch(&fixture.call, &target, patch(), &with(FieldValidation::Warn)).await.unwrap();
    assert_eq!(fixture.call.take_warnings(), ["unknown field \"dataa\""]);
    let renamed = fixture.merge(&target, json!({"metadata": {"name": "n"}})).await;
    assert_eq!(said(renamed).2, "the name of the object (n) does not match the name on the URL (m)");
}

#[tokio::test(start_paused = true)]
async fn a_patch_with_a_version_conflicts_where_that_is_old() {
    let fixture = Fixture::start().await;
    let old = fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    fixture.merge(&target, json!({"data": {"a": "2"}})).await.unwrap();
    let stale = json!({"metadata": {"resourceVersion": old.revision().to_string()}, "data": {"a": "3"}});
    assert_eq!(said(fixture.merge(&target, stale).await).1, "Conflict");
}

#[tokio::test(start_paused = true)]
async fn concurrent_patches_are_all_kept() {
    let fixture = Fixture::start().await;
    fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    let patches = (0..20).map(|number| fixture.merge(&target, json!({"data": {format!("k{number}"): "1"}})));
    for result in futures::future::join_all(patches).await {
        result.unwrap();
    }
    assert_eq!(value(&fixture.get::<ConfigMap>("default", "m").await.unwrap())["data"].as_object().unwrap().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_new_node_takes_no_pods_yet() {
    let fixture = Fixture::start().await;
    let node = fixture.create::<Node>("", json!({"metadata": {"name": "n1"}})).await.unwrap();
    assert_eq!(
        value(&node)["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_in_a_dry_run_keeps_nothing() {
    let fixture = Fixture::start().await;
    let old = fixture.map("m").await;
    let target = fixture.one::<ConfigMap>("default", "m");
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let patch = Patch::Merge(json!({"data": {"a": "2"}}));
    let made = fixture.server.patch(&fixture.call, &target, patch, &options).await.unwrap();
    assert_eq!(value(&made)["data"]["a"], "2");
    assert_eq!(fixture.get::<ConfigMap>("default", "m").await.unwrap(), old);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_its_content_has_gone() {
    let fixture = Fixture::start().await;
    fixture.namespace("team").await;
    let target = fixture.one::<Namespace>("", "team");
    let marked = value(fixture.delete(&target, &DeleteOptions::default()).await.unwrap().object());
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(
        said(fixture.create::<ConfigMap>("team", json!({"metadata": {"name": "m"}})).await),
        says(
            403,
            "Forbidden",
            "configmaps \"m\" is forbidden: unable to create new content in namespace team because it is being \
             terminated"
        )
    );
    fixture.delete(&target, &DeleteOptions::default()).await.unwrap();
    let mut namespace = value(&fixture.get::<Namespace>("", "team").await.unwrap());
    namespace["spec"]["finalizers"] = json!([]);
    fixture.put(&target.clone().sub("finalize"), &namespace).await.unwrap();
    assert_eq!(said(fixture.get::<Namespace>("", "team").await).0, 404);
}

#[tokio::test(start_paused = true)]
async fn some_namespaces_never_go() {
    let fixture = Fixture::start().await;
    for name in ["default", "kube-system", "kube-public"] {
        let target = fixture.one::<Namespace>("", name);
        assert_eq!(
            said(fixture.delete(&target, &DeleteOptions::default()).await),
            says(403, "Forbidden", &format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted"))
        );
    }
}

/// A patch of the metadata alone takes a shorter way than one that also names the kind.
#[tokio::test(start_paused = true)]
async fn both_ways_of_a_merge_patch_lead_to_the_same() {
    let fixture = Fixture::start().await;
    let first = json!({"labels": {"a": "1", "b": "2"}, "annotations": {"x": "y"}, "finalizers": ["example.com/f"]});
    for patch in [
        first,
        json!({"labels": {"a": null, "c": "3"}, "annotations": null}),
        json!({"labels": {"a": 1}}),
        json!({"labels": "none"}),
        json!({"labels": {"a": "not a label!"}}),
        json!({"name": "other"}),
        json!({"foo": "bar"}),
    ] {
        let mut answers = Vec::new();
        for name in ["short", "long"] {
            let (target, kind) = (fixture.one::<Pod>("default", name), (name == "long").then_some("Pod"));
            if fixture.get::<Pod>("default", name).await.is_err() {
                fixture.pod(name).await;
            }
            fixture.call.take_warnings();
            let mut whole = json!({"metadata": patch});
            if let Some(kind) = kind {
                whole["kind"] = json!(kind);
            }
            let answer = fixture.merge(&target, whole).await.map(|object| {
                let mut meta = serde_json::to_value(object.meta()).unwrap();
                for field in ["name", "uid", "resourceVersion"] {
                    meta[field] = Value::Null;
                }
                (meta, value(&object)["spec"].clone(), value(&object)["status"].clone())
            });
            let answer = answer.map_err(|error| {
                let hidden = ["short|long", r"resourceVersion\W+\d+", "[0-9a-f]{8}-[-0-9a-f]{27}"];
                hidden.iter().fold(error.to_string(), |text, what| {
                    regex::Regex::new(what).unwrap().replace_all(&text, "").into_owned()
                })
            });
            answers.push((answer, fixture.call.take_warnings()));
        }
        assert_eq!(answers[0], answers[1], "{patch}");
    }
}
