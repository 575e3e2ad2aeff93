use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;

use super::*;
use crate::api::Kind;

fn strict<T: DeserializeOwned>(json: &str) -> Vec<String> {
    decode::<T>(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}")).strict
}

fn mistake<T: DeserializeOwned>(json: &str) -> String {
    match decode::<T>(json.as_bytes()) {
        Ok(_) => panic!("{json} was read"),
        Err(error) => error.message().to_owned(),
    }
}

#[test]
fn unknown_and_duplicate_fields_are_named_by_path() {
    let json = r#"{"apiVersion":"apps/v1","kind":"Deployment","foo":{"bar":1,"bar":2},"metadata":{"labels":{"a":"1","a":"2"}},
        "spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"a"},{"name":"b","nam":"c","image":"x","image":"y"}]}},
        "replicas":2,"replicas":3},"status":{"replicas":null,"x":null}}"#;
    assert_eq!(
        strict::<Deployment>(json),
        [
            r#"unknown field "foo""#,
            r#"duplicate field "metadata.labels.a""#,
            r#"unknown field "spec.template.spec.containers[1].nam""#,
            r#"duplicate field "spec.template.spec.containers[1].image""#,
            r#"duplicate field "spec.replicas""#,
            r#"unknown field "status.x""#,
        ]
    );
    let decoded = decode::<Deployment>(json.as_bytes()).expect("read above").object;
    assert_eq!(decoded.spec.and_then(|spec| spec.replicas), Some(3), "the last one counts");
    assert!(strict::<Pod>(r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":1,"x.io/y":"2"}}}]}}"#).is_empty());
}

#[test]
fn what_does_not_fit_is_told_in_upstreams_words() {
    for (json, expected) in [
        (
            r#"{"spec":{"replicas":"3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"replicas":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"replicas":99999999999}}"#,
            "json: cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec":{"template":{"spec":{"containers":[{},{"env":[{"name":"A","value":true}]}]}}}}"#,
            "json: cannot unmarshal bool into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            r#"{"metadata":{"labels":[]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            r#"{"spec":[]}"#,
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            r#"{"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}}"#,
            "json: cannot unmarshal bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        ("7", "json: cannot unmarshal number into Go value of type v1.Deployment"),
    ] {
        assert_eq!(mistake::<Deployment>(json), expected, "{json}");
    }
}

#[test]
fn texts_with_rules_of_their_own_name_the_place() {
    assert_eq!(
        mistake::<Pod>(r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"a lot"}}}]}}"#),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' \
         (at spec.containers[0].resources.limits.cpu)"
    );
    assert_eq!(
        mistake::<Secret>(r#"{"data":{"a":"YQ=="," b":"@@@@"}}"#),
        "illegal base64 data at input byte 0 (at data. b)"
    );
    assert_eq!(
        mistake::<Pod>(r#"{"metadata":{"creationTimestamp":"yesterday"}}"#),
        "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\" \
         (at metadata.creationTimestamp)"
    );
    assert_eq!(
        mistake::<Event>(r#"{"eventTime":"2024-01-02T03:04:05Z"}"#),
        "parsing time \"2024-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\" \
         (at eventTime)"
    );
    let good =
        r#"{"metadata":{"creationTimestamp":"2024-01-02T03:04:05+01:00"},"eventTime":"2024-01-02T03:04:05.123456Z"}"#;
    assert!(strict::<Event>(good).is_empty());
}

#[test]
fn amounts_become_canonical() {
    let json = r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":0.5,"memory":"1024Mi","pods":1000}}}]}}"#;
    let pod = decode::<Pod>(json.as_bytes()).expect("valid").object;
    let json = serde_json::to_value(pod).expect("JSON");
    assert_eq!(
        json["spec"]["containers"][0]["resources"]["limits"],
        json!({"cpu": "500m", "memory": "1Gi", "pods": "1k"})
    );
}

#[test]
fn malformed_documents_are_told_as_go_tells_them() {
    for (json, expected) in [
        ("", "unexpected end of JSON input"),
        (r#"{"a":"#, "unexpected end of JSON input"),
        (r#"{"a"}"#, "invalid character '}' after object key"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        (r#"{"a":x}"#, "invalid character 'x' looking for beginning of value"),
        (r#"{"metadata":{"finalizers":["a" 1]}}"#, "invalid character '1' after array element"),
        ("{}\n}", "invalid character '}' after top-level value"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
    ] {
        assert_eq!(mistake::<ConfigMap>(json), expected, "{json}");
    }
    assert_eq!(mistake::<serde_json::Value>(&"[".repeat(100_000)), "exceeded max depth");
}

fn refused(json: &str) -> String {
    let kind = Kind::of::<ConfigMap>();
    object(&kind, json.as_bytes()).expect_err(json).message().to_owned()
}

#[test]
fn a_body_of_another_kind_or_version_is_refused() {
    for (json, expected) in [
        (
            r#"{"apiVersion":"v1","kind":"Config"}"#,
            "Config in version \"v1\" cannot be handled as a ConfigMap: no kind \"Config\" is registered for version \
             \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            r#"{"data":[],"kind":"ConfigMap"}"#,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal array into Go struct \
             field ConfigMap.data of type map[string]string",
        ),
        (
            "{",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse \
             error: unexpected end of JSON input ({)",
        ),
        (
            "",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse \
             error: unexpected end of JSON input (<empty>)",
        ),
        (
            r#"{"kind":7,"apiVersion":"v1","data":{"abcdefghijklmnop":"1"}}"#,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse \
             error: json: cannot unmarshal number into Go struct field .kind of type string ({\"kind\":7,\"apiVersion\":\"v1\",\"d ...)",
        ),
    ] {
        assert_eq!(refused(json), expected, "{json}");
    }
    assert!(refused("[]").contains("cannot unmarshal array into Go value of type struct"), "{}", refused("[]"));
    assert!(refused("\"x\"").contains("cannot unmarshal string into Go value of type struct"), "{}", refused("\"x\""));
    let draft = object(&Kind::of::<ConfigMap>(), br#"{"metadata":{"name":"a"}}"#).expect("blanks are filled in").object;
    assert_eq!(draft.meta().name.as_deref(), Some("a"));
}

#[derive(Debug)]
struct Custom;

impl crate::api::Strategy for Custom {
    type Object = Dynamic;
}

#[test]
fn dynamic_bodies_are_checked_too() {
    let kind = KindRef::from(Kind::dynamic("example.com", "v1", "Widget", "widgets", true, Custom));
    let decoded = object(&kind, br#"{"metadata":{"name":"a","x":1},"spec":{"b":{"c":1,"c":2}}}"#).expect("valid");
    assert_eq!(decoded.strict, [r#"unknown field "metadata.x""#, r#"duplicate field "spec.b.c""#]);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&decoded.object.seal_as_is().json()).expect("JSON"),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"b": {"c": 2}}})
    );
    let refused = |json: &str| object(&kind, json.as_bytes()).expect_err(json).message().to_owned();
    assert_eq!(
        refused(r#"{"apiVersion":"example.com/v2","kind":"Widget"}"#),
        "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)"
    );
    assert_eq!(
        refused(r#"{"kind":"Gadget","metadata":{"name":"a"}}"#),
        "Widget.example.com \"a\" is invalid: kind: Invalid value: \"Gadget\": must be Widget"
    );
    assert_eq!(
        refused(r#"{"metadata":{"labels":{"a":1}}}"#),
        "Widget in version \"v1\" cannot be handled as a Widget: json: cannot unmarshal number into Go struct field \
         ObjectMeta.metadata.labels of type string"
    );
}

#[test]
fn strict_validation_refuses_and_warns() {
    let decoded = || object(&Kind::of::<ConfigMap>(), br#"{"a":1,"data":{"x":"","x":""}}"#).expect("valid");
    let call = Call::default().keeping_warnings();
    let error = decoded().accept_body(FieldValidation::Strict, &call).expect_err("strict");
    assert_eq!(
        error.message(),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"a\", \
         duplicate field \"data.x\""
    );
    assert!(decoded().accept_body(FieldValidation::Ignore, &call).is_ok());
    assert!(call.take_warnings().is_empty());
    assert!(decoded().accept_body(FieldValidation::Warn, &call).is_ok());
    assert_eq!(call.take_warnings(), [r#"unknown field "a""#, r#"duplicate field "data.x""#]);
}

#[test]
fn a_deep_schema_needs_no_deep_stack() {
    let mut schema = json!({"type": "string"});
    for _ in 0..55 {
        schema = json!({"type": "object", "properties": {"a": schema}});
    }
    let json = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}).to_string();
    assert!(strict::<CustomResourceDefinition>(&json).is_empty());
}
