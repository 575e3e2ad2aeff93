use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::json;

use super::fixture::{Fixture, pod, said, says, value};
use crate::api::{Admission, ApiError, Draft, Object, Review};

#[tokio::test(start_paused = true)]
async fn a_pods_priority_is_that_of_its_class() {
    let fixture = Fixture::start().await;
    let mut urgent = pod("urgent");
    urgent["spec"]["priorityClassName"] = json!("system-node-critical");
    assert_eq!(
        value(&fixture.create::<Pod>("default", urgent.clone()).await.unwrap())["spec"]["priority"],
        2_000_001_000
    );
    urgent["metadata"] = json!({"generateName": "web-"});
    urgent["spec"]["priorityClassName"] = json!("none");
    assert_eq!(
        said(fixture.create::<Pod>("default", urgent.clone()).await),
        says(403, "Forbidden", "pods \"web-\" is forbidden: no PriorityClass with name none was found")
    );
    urgent["spec"] = json!({"containers": pod("x")["spec"]["containers"], "priority": 5});
    assert_eq!(
        said(fixture.create::<Pod>("default", urgent).await).2,
        "pods \"web-\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority \
         admission controller computed 0 from the given PriorityClass name"
    );
    let usual = json!({"metadata": {"name": "usual"}, "value": 7, "globalDefault": true, "preemptionPolicy": "Never"});
    fixture.create::<PriorityClass>("", usual).await.unwrap();
    let spec = value(&fixture.pod("web-0").await)["spec"].clone();
    assert_eq!(
        (&spec["priority"], &spec["priorityClassName"], &spec["preemptionPolicy"]),
        (&json!(7), &json!("usual"), &json!("Never"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_account_that_comes_with_its_namespace_and_for_no_other() {
    let fixture = Fixture::with(|builder| builder.service_account_volumes(true)).await;
    let clock = *fixture.server.clock();
    let (created, _) = tokio::join!(fixture.create::<Pod>("default", pod("early")), async {
        clock.sleep(Duration::from_secs(1)).await;
        fixture.create::<ServiceAccount>("default", json!({"metadata": {"name": "default"}})).await.unwrap();
    });
    assert_eq!(value(&created.unwrap())["spec"]["serviceAccountName"], "default");

    let began = clock.elapsed();
    let mut other = pod("other");
    other["spec"]["serviceAccountName"] = "robot".into();
    assert_eq!(
        said(fixture.create::<Pod>("default", other).await),
        says(
            403,
            "Forbidden",
            "pods \"other\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found"
        )
    );
    assert_eq!(clock.elapsed(), began);
    fixture.namespace("bare").await;
    let refused = said(fixture.create::<Pod>("bare", pod("web")).await);
    assert!(refused.2.ends_with("serviceaccount \"default\" not found"), "{refused:?}");
    assert_eq!(clock.elapsed() - began, Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn a_pod_mounts_the_token_of_its_account() {
    let fixture = Fixture::with(|builder| builder.service_account_volumes(true)).await;
    assert_eq!(
        said(fixture.create::<Pod>("default", pod("web-0")).await),
        says(
            403,
            "Forbidden",
            "pods \"web-0\" is forbidden: error looking up service account default/default: serviceaccount \"default\" \
             not found"
        )
    );
    fixture.create::<ServiceAccount>("default", json!({"metadata": {"name": "default"}})).await.unwrap();
    let spec = value(&fixture.pod("web-0").await)["spec"].clone();
    let name = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([{"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}])
    );
    assert_eq!(spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    let mut without = pod("web-1");
    without["spec"]["automountServiceAccountToken"] = json!(false);
    assert!(value(&fixture.create::<Pod>("default", without).await.unwrap())["spec"].get("volumes").is_none());
}

/// Labels what it sees, renames and refuses what is to be, and notes how writes ended.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<String>>);

#[async_trait]
impl Admission for Witness {
    fn name(&self) -> &'static str {
        "Witness"
    }

    async fn admit(&self, _: &Review<'_>, object: Option<&mut Draft>) -> Result<(), ApiError> {
        if let Some(object) = object {
            let meta = object.meta_mut();
            meta.labels.get_or_insert_default().insert("seen".into(), "yes".into());
            if meta.name.as_deref() == Some("before") {
                meta.name = Some("after".into());
            }
        }
        Ok(())
    }

    async fn validate(&self, _: &Review<'_>, object: Option<&Draft>) -> Result<(), ApiError> {
        match object.and_then(|object| object.meta().name.as_deref()) {
            Some("refused") => Err(ApiError::bad_request("refused")),
            _ => Ok(()),
        }
    }

    fn settled(&self, _: &Review<'_>, stored: Option<&Object>, failed: bool) {
        let name = stored.map(|object| object.name().to_owned()).unwrap_or_default();
        self.0.lock().unwrap().push(if failed { "failed".to_owned() } else { format!("kept {name}") });
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_stored_under_the_name_that_admission_gives_it() {
    let fixture = Fixture::with(|builder| builder.admission(Arc::new(Witness::default()))).await;
    let created = fixture.create::<ConfigMap>("default", json!({"metadata": {"name": "before"}})).await.unwrap();
    assert_eq!(fixture.get::<ConfigMap>("default", "after").await.unwrap(), created);
    fixture.get::<ConfigMap>("default", "before").await.unwrap_err();
    let changed = fixture.merge(&fixture.one::<ConfigMap>("default", "after"), json!({"data": {"a": "b"}})).await;
    assert_eq!(changed.unwrap().name(), "after");
}

#[tokio::test(start_paused = true)]
async fn a_step_of_admission_learns_how_each_write_ended() {
    let witness = Arc::new(Witness::default());
    let fixture = Fixture::with(|builder| builder.admission(witness.clone())).await;
    witness.0.lock().unwrap().clear();
    assert_eq!(value(&fixture.map("m").await)["metadata"]["labels"]["seen"], "yes");
    for name in ["m", "refused"] {
        fixture.create::<ConfigMap>("default", json!({"metadata": {"name": name}})).await.unwrap_err();
    }
    fixture.delete(&fixture.one::<ConfigMap>("default", "m"), &Default::default()).await.unwrap();
    assert_eq!(*witness.0.lock().unwrap(), ["kept m", "failed", "failed", "kept "]);

    witness.0.lock().unwrap().clear();
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/a"]}});
    fixture.create::<ConfigMap>("default", held).await.unwrap();
    let target = fixture.one::<ConfigMap>("default", "held");
    fixture.delete(&target, &Default::default()).await.unwrap();
    fixture.merge(&target, json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(*witness.0.lock().unwrap(), ["kept held", "kept held", "kept "], "the last update was the end");
}
