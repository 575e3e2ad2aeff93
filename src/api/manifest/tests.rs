use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};

use super::*;

/// The example of the seed text as it stands there.
const BROKEN: &str = "
    apiVersion: v1
    kind: Service
    metadata:
    name: service-backend
    spec:
    ports:
    - port: 4000
    protocol: TCP
    targetPort: 333
    selector:
    run: deployment-backend
    type: ClusterIP
";

fn mistakes(text: &str) -> Vec<String> {
    read(text, &Kinds::builtin()).expect_err(text).mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn broken_indentation_is_told_by_line_and_field() {
    assert_eq!(
        mistakes(BROKEN),
        [
            "line 5: Service: unknown field \"name\"",
            "line 7: Service: unknown field \"ports\"",
            "line 9: Service: unknown field \"protocol\"",
            "line 10: Service: unknown field \"targetPort\"",
            "line 11: Service: unknown field \"selector\"",
            "line 12: Service: unknown field \"run\"",
            "line 13: Service: unknown field \"type\"",
            "line 4: Service: metadata.name: Required value: name or generateName is required",
        ]
    );
}

#[test]
fn documents_and_lists_become_entries_in_order() {
    let text = "\
# a comment
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: &labels {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: *labels}
---
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
  data: {x: \"yes\", y: '1'}
- apiVersion: v1
  kind: Service
  metadata: {generateName: b-}
---
apiVersion: v1
kind: ConfigMapList
items:
- metadata: {name: c}
";
    let entries = read(text, &Kinds::builtin()).expect("valid");
    let places: Vec<_> =
        entries.iter().map(|entry| (entry.draft.kind().kind.as_str(), entry.document, entry.line)).collect();
    assert_eq!(places, [("Deployment", 1, 3), ("ConfigMap", 3, 14), ("Service", 3, 18), ("ConfigMap", 4, 25)]);
    let deployment = entries[0].draft.typed::<Deployment>().expect("a Deployment");
    assert_eq!(deployment.spec.as_ref().and_then(|spec| spec.replicas), Some(3));
    let data = entries[1].draft.typed::<ConfigMap>().and_then(|map| map.data.clone()).expect("data");
    // An unquoted y is true in YAML 1.1, also as a key.
    assert_eq!(data.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(), ["true=1", "x=yes"]);
    assert!(entries[2].draft.typed::<Service>().is_some());
}

#[test]
fn json_may_stand_in_a_stream_too() {
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}

    {"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}]}"#;
    let entries = read(text, &Kinds::builtin()).expect("valid");
    assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(entries[1].draft.meta().name.as_deref(), Some("b"));
}

#[test]
fn every_mistake_has_its_line() {
    for (text, expected) in [
        ("a: [1, 2", "line 2: error converting YAML to JSON: yaml: "),
        ("a: b\n c: d", "line 2: error converting YAML to JSON: yaml: "),
        ("just text", "line 1: an object is expected"),
        ("kind: Pod", "line 1: apiVersion not set"),
        ("\na: 1", "line 2: apiVersion not set, kind not set"),
        ("apiVersion: v1\nkind: Pot\n", "line 1: no matches for kind \"Pot\" in version \"v1\""),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - name: x\n  - port: \"80\"\n",
            "line 7: Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go \
             struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: x\n  b: x\n  a: z\n",
            "line 7: ConfigMap: duplicate field \"data.a\"",
        ),
    ] {
        let found = mistakes(text);
        assert!(found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn scalars_mean_what_they_mean_upstream() {
    let json = |text: &str| String::from_utf8(yaml_to_json(text).expect(text)).expect("UTF-8");
    assert_eq!(
        json("[0644, '0644', 1_000, 0x1F, -7, 1.5, 1e3, 09, yes, 'yes', ~, null, 2024-01-02, 1.2.3, !!str 5, .5]"),
        r#"[420,"0644",1000,31,-7,1.5,1000,9,true,"yes",null,null,"2024-01-02","1.2.3","5",0.5]"#
    );
    assert_eq!(json("a: |\n  x\n  y\nb: >-\n  x\n  y\n80: {1: 2}"), r#"{"a":"x\ny\n","b":"x y","80":{"1":2}}"#);
    assert_eq!(
        json("base: &b {x: 1, y: 2}\nmore: {<<: *b, z: 3}"),
        r#"{"base":{"x":1,"true":2},"more":{"x":1,"true":2,"z":3}}"#
    );
    assert_eq!(json(""), "null");
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    assert!(mistakes(&bomb)[0].contains("excessive aliasing"));
    let deep = mistakes(&format!("a: {}", "[".repeat(10_000)));
    assert!(deep[0].contains("limit"), "{deep:?}");
}
