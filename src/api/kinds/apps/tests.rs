//! What users are told of workloads that break rules.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use serde_json::{Value, json};

use crate::api::{ApiType, Cell, FieldErrors, Kind, Surroundings};

/// A good workload with `spec` merged over its spec.
fn workload<K: ApiType>(spec: &str) -> K {
    let mut value = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": "nginx"}]},
        },
    }});
    let patch: Value = serde_yaml::from_str(spec).unwrap();
    json_patch::merge(&mut value["spec"], &patch);
    let mut object: K = serde_json::from_value(value).unwrap();
    Kind::of::<K>().strategy().default(&mut object);
    object
}

fn created<K: ApiType>(spec: &str) -> String {
    let mut errors = FieldErrors::new();
    Kind::of::<K>().strategy().validate(&workload::<K>(spec), &Surroundings::default(), &mut errors);
    errors.to_string()
}

fn updated<K: ApiType>(old: &str, new: &str) -> String {
    let (old, new) = (workload::<K>(old), workload::<K>(new));
    let mut errors = FieldErrors::new();
    Kind::of::<K>().strategy().validate_update(&new, &old, &Surroundings::default(), &mut errors);
    errors.to_string()
}

#[test]
fn a_deployment_gets_upstreams_defaults() {
    let spec = serde_json::to_value(workload::<Deployment>("{}").spec).unwrap();
    assert_eq!(
        (&spec["replicas"], &spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"], &spec["strategy"]),
        (
            &json!(1),
            &json!(10),
            &json!(600),
            &json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        )
    );
}

#[test]
fn mistakes_are_told_as_upstream_tells_them() {
    for (spec, expected) in [
        ("{}", "[]"),
        (
            "selector: {matchLabels: {app: other}}",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ),
        ("selector: {matchLabels: null}", "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        ("replicas: -1", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            "strategy: {rollingUpdate: {maxUnavailable: 200%}}",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"200%\": must not be greater than 100%",
        ),
        (
            "strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}",
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "template: {spec: {restartPolicy: Never}}",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            "{minReadySeconds: 600}",
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ),
        ("template: {spec: {containers: null}}", "spec.template.spec.containers: Required value"),
    ] {
        assert_eq!(created::<Deployment>(spec), expected, "{spec}");
    }
    assert_eq!(
        created::<DaemonSet>("updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}"),
        "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
    );
    assert_eq!(
        created::<StatefulSet>("podManagementPolicy: Chaotic"),
        "spec.podManagementPolicy: Invalid value: \"Chaotic\": must be 'OrderedReady' or 'Parallel'"
    );
}

#[test]
fn selectors_do_not_change() {
    let other = "{selector: {matchLabels: {tier: a}}, template: {metadata: {labels: {tier: a}}}}";
    let expected =
        "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"web\",\"tier\":\"a\"}}: field is immutable";
    assert_eq!(updated::<Deployment>("{}", other), expected);
    assert_eq!(updated::<ReplicaSet>("{}", other), expected);
    assert_eq!(updated::<DaemonSet>("{}", other), expected);
    assert_eq!(
        updated::<StatefulSet>("{}", "serviceName: other"),
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
         'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
         forbidden"
    );
    assert_eq!(updated::<StatefulSet>("{}", "{replicas: 3, minReadySeconds: 1}"), "[]");
}

#[test]
fn a_deployment_is_printed_as_kubectl_prints_it() {
    let mut deployment: Deployment = workload("replicas: 3");
    deployment.status = serde_json::from_value(json!({"readyReplicas": 2, "updatedReplicas": 3})).unwrap();
    let cells = Kind::of::<Deployment>().strategy().cells(&deployment, jiff::Timestamp::UNIX_EPOCH);
    let expected: Vec<Cell> = vec![
        "web".into(),
        "2/3".into(),
        3.into(),
        0.into(),
        "<unknown>".into(),
        "app".into(),
        "nginx".into(),
        "app=web".into(),
    ];
    assert_eq!(cells, expected);
}
