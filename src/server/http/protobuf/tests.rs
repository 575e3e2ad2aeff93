use serde_json::{Value, json};

use super::{ProtobufError, to_json};

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number as u8) | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(field << 3, &mut bytes);
    varint(value, &mut bytes);
    bytes
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint((field << 3) | 2, &mut bytes);
    varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn body(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let meta = [bytes(1, version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), bytes(1, &meta), bytes(2, object)].concat()
}

fn read(version: &str, kind: &str, object: &[u8]) -> Value {
    serde_json::from_slice(&to_json(&body(version, kind, object)).unwrap()).unwrap()
}

#[test]
fn a_deployment_as_kubectl_sends_it_becomes_its_json() {
    let container = [bytes(1, b"web"), bytes(2, b"nginx"), bytes(8, b"")].concat();
    // An unset scalar is written all the same, and says nothing.
    let template = bytes(2, &[bytes(2, &container), bytes(3, b""), number(11, 0)].concat());
    let labels = bytes(1, &[bytes(1, b"app"), bytes(2, b"web")].concat());
    let spec = [number(1, 0), bytes(2, &labels), bytes(3, &template), bytes(4, b""), number(7, 0)].concat();
    let object = [bytes(1, &[bytes(1, b"web"), bytes(8, b"")].concat()), bytes(2, &spec)].concat();
    assert_eq!(
        read("apps/v1", "Deployment", &object),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": "web" } },
                "template": { "spec": { "containers": [{ "name": "web", "image": "nginx", "resources": {} }] } },
                "strategy": {}
            }
        })
    );
}

#[test]
fn quantities_times_numbers_or_names_and_inlined_messages_take_their_json_forms() {
    let limit = bytes(1, &[bytes(1, b"cpu"), bytes(2, &bytes(1, b"100m"))].concat());
    let probe = bytes(1, &bytes(2, &bytes(2, &[number(1, 1), number(2, 0), bytes(3, b"http")].concat())));
    let container = [bytes(8, &limit), bytes(10, &probe)].concat();
    let secret = bytes(2, &bytes(6, &bytes(1, b"keys")));
    let spec = [bytes(1, &[bytes(1, b"v"), secret].concat()), bytes(2, &container)].concat();
    let meta = bytes(8, &number(1, 1_767_225_600));
    let pod = read("v1", "Pod", &[bytes(1, &meta), bytes(2, &spec)].concat());
    assert_eq!(pod["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(pod["spec"]["containers"][0]["resources"]["limits"]["cpu"], "100m");
    assert_eq!(pod["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"], "http");
    assert_eq!(pod["spec"]["volumes"][0], json!({ "name": "v", "secret": { "secretName": "keys" } }));
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(to_json(b"{}"), Err(ProtobufError::Prefix));
    let whole = body("v1", "ConfigMap", &bytes(1, &bytes(1, b"settings")));
    for length in 4..whole.len() {
        // Cut anywhere, it is refused or (between two fields) means less; it never panics.
        let _ = to_json(&whole[..length]);
    }
    assert_eq!(to_json(&whole[..whole.len() - 1]), Err(ProtobufError::Truncated));
    assert!(matches!(to_json(&body("v1", "Nonsense", b"")), Err(ProtobufError::Kind { .. })));
}
