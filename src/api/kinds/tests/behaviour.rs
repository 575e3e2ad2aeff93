use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Cell, Draft, FieldErrors, Kinds, Surroundings};

/// An object as a client sends it, decoded and with its defaults.
fn sent(value: &Value) -> Draft {
    let text = |field: &str| value[field].as_str().unwrap();
    let kind = Kinds::builtin().by_api_version(text("apiVersion"), text("kind")).unwrap();
    let decoded = kind.strategy().decode(value.to_string().as_bytes()).unwrap();
    let mut draft = Draft::of(kind, decoded.object);
    let kind = draft.kind().clone();
    kind.strategy().default(draft.body_mut());
    draft
}

/// The object that a creation stores.
fn created(value: &Value) -> Draft {
    let mut draft = sent(value);
    let kind = draft.kind().clone();
    kind.strategy().prepare_create(draft.body_mut(), &Surroundings::default());
    draft
}

fn text(errors: &FieldErrors) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn create_errors(value: &Value, around: &Surroundings) -> String {
    let draft = created(value);
    let mut errors = FieldErrors::new();
    draft.kind().strategy().validate(draft.body(), around, &mut errors);
    text(&errors)
}

fn update_errors(old: &Value, new: &Value) -> String {
    let (old, mut new, around) = (created(old), sent(new), Surroundings::default());
    let kind = old.kind().clone();
    kind.strategy().prepare_update(new.body_mut(), old.body(), &around);
    let mut errors = FieldErrors::new();
    kind.strategy().validate_update(new.body(), old.body(), &around, &mut errors);
    text(&errors)
}

fn row(draft: &Draft) -> Vec<Cell> {
    draft.kind().strategy().cells(draft.body(), Timestamp::UNIX_EPOCH)
}

fn object(api_version: &str, kind: &str, rest: Value) -> Value {
    let mut value =
        json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "a", "namespace": "default" } });
    for (field, content) in rest.as_object().unwrap() {
        value[field] = content.clone();
    }
    value
}

#[test]
fn a_namespace_is_born_active_with_its_name_as_a_label() {
    let mut draft = created(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team" } }));
    assert_eq!(
        draft.body().to_value().unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "team", "labels": { "kubernetes.io/metadata.name": "team" } },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        })
    );
    let kind = draft.kind().clone();
    assert_eq!(kind.strategy().field(draft.body(), "status.phase"), "Active");
    let old = draft.clone();
    draft.typed_mut::<k8s_openapi::api::core::v1::Namespace>().unwrap().status.as_mut().unwrap().phase =
        Some("Terminating".into());
    let mut errors = FieldErrors::new();
    kind.strategy().validate_status(draft.body(), old.body(), &Surroundings::default(), &mut errors);
    let expected = "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty";
    assert_eq!(text(&errors), expected);
}

#[test]
fn a_node_keeps_its_status_and_shows_it() {
    let node = created(&object(
        "v1",
        "Node",
        json!({
            "metadata": { "name": "n1", "labels": { "node-role.kubernetes.io/control-plane": "" } },
            "spec": { "unschedulable": true },
            "status": {
                "capacity": { "cpu": "4" },
                "conditions": [{ "type": "Ready", "status": "True" }],
                "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }],
                "nodeInfo": { "kubeletVersion": "v1.36.0" },
            },
        }),
    ));
    assert_eq!(node.body().to_value().unwrap()["status"]["allocatable"], json!({ "cpu": "4" }));
    let expected = [
        "n1",
        "Ready,SchedulingDisabled",
        "control-plane",
        "<unknown>",
        "v1.36.0",
        "10.0.0.1",
        "<none>",
        "<unknown>",
        "<unknown>",
        "<unknown>",
    ];
    assert_eq!(row(&node), expected.map(Cell::from));
    assert_eq!(node.kind().strategy().field(node.body(), "spec.unschedulable"), "true");
}

#[test]
fn loopback_endpoints_are_forbidden_but_on_a_loopback_network() {
    let endpoints = object("v1", "Endpoints", json!({ "subsets": [{ "addresses": [{ "ip": "127.0.0.5" }] }] }));
    let slice = object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        json!({
            "addressType": "IPv4", "endpoints": [{ "addresses": ["127.0.0.5"] }],
        }),
    );
    let loopback = Surroundings { loopback_network: true, ..Surroundings::default() };
    for (value, field) in [(endpoints, "subsets[0].addresses[0].ip"), (slice, "endpoints[0].addresses[0]")] {
        let detail = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
        let expected = format!("{field}: Invalid value: \"127.0.0.5\": {detail}");
        assert_eq!(create_errors(&value, &Surroundings::default()), expected);
        assert_eq!(create_errors(&value, &loopback), "");
    }
}

#[test]
fn events_of_both_groups_are_the_same_object() {
    let event = created(&object(
        "events.k8s.io/v1",
        "Event",
        json!({
            "regarding": { "kind": "Pod", "name": "web-0", "namespace": "default" }, "note": "Started", "type": "Normal",
            "reason": "Started", "action": "Start", "reportingController": "kubelet", "reportingInstance": "n1",
            "eventTime": "1970-01-01T00:00:00.000000Z",
        }),
    ));
    let conversion = event.kind().conversion.unwrap();
    let core = Kinds::builtin().by_api_version("v1", "Event").unwrap();
    let stored = Draft::of(core, (conversion.to_stored)(event.body()).unwrap());
    let strategy = stored.kind().strategy();
    assert_eq!(strategy.field(stored.body(), "involvedObject.name"), "web-0");
    let served = (conversion.from_stored)(&stored.clone().seal_as_is()).unwrap();
    assert!(served.same(event.body()));
    let texts = ["0s", "Normal", "Started", "pod/web-0", "", "kubelet, n1", "Started", "0s"].map(Cell::from);
    assert_eq!(row(&stored)[..8], texts);
    assert_eq!(row(&event), row(&stored));
}

#[test]
fn secrets_take_texts_and_require_the_keys_of_their_type() {
    let secret = created(&object("v1", "Secret", json!({ "stringData": { "user": "admin" } })));
    let value = secret.body().to_value().unwrap();
    assert_eq!((&value["data"], &value["type"]), (&json!({ "user": "YWRtaW4=" }), &json!("Opaque")));
    assert_eq!(value.get("stringData"), None);
}

#[test]
fn mistakes_on_creation_are_named_in_upstreams_words() {
    let webhook = json!({ "name": "a.b.c", "clientConfig": { "url": "https://a" }, "sideEffects": "None" });
    for (api_version, kind, rest, expected) in [
        (
            "v1",
            "Secret",
            json!({ "type": "kubernetes.io/tls" }),
            "data[tls.crt]: Required value; data[tls.key]: Required value",
        ),
        (
            "v1",
            "ConfigMap",
            json!({ "data": { "a/b": "" } }),
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
          (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
        (
            "v1",
            "Node",
            json!({ "spec": { "taints": [{ "key": "a", "effect": "Maybe" }] } }),
            "metadata.taints[0].effect: Unsupported value: \"Maybe\": supported values: \"NoSchedule\", \
          \"PreferNoSchedule\", \"NoExecute\"",
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            json!({}),
            "spec.accessModes: Required value: at least 1 access mode is required; \
          spec.resources[storage]: Required value",
        ),
        (
            "v1",
            "Endpoints",
            json!({ "subsets": [{}] }),
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
        ),
        (
            "v1",
            "Event",
            json!({ "involvedObject": { "namespace": "other" } }),
            "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["::1"] }] }),
            "endpoints[0].addresses[0]: Invalid value: \"::1\": must be an IPv4 address",
        ),
        (
            "coordination.k8s.io/v1",
            "Lease",
            json!({ "spec": { "leaseDurationSeconds": 0 } }),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "networking.k8s.io/v1",
            "Ingress",
            json!({ "spec": { "rules": [{ "http": { "paths": [
            { "path": "/", "backend": { "service": { "name": "web", "port": { "number": 80 } } } }] } }] } }),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "Role",
            json!({ "rules": [{ "resources": ["pods"], "apiGroups": [""] }] }),
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            "scheduling.k8s.io/v1",
            "PriorityClass",
            json!({ "value": 2_000_000_000 }),
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            json!({ "webhooks": [webhook] }),
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            json!({ "spec": { "minAvailable": "half" } }),
            "spec.minAvailable: Invalid value: \"half\": a valid percent string must be a numeric string followed by an \
          ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({ "spec": {
            "maxReplicas": 1, "minReplicas": 2, "scaleTargetRef": { "kind": "Deployment", "name": "web" } } }),
            "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`",
        ),
    ] {
        let value = object(api_version, kind, rest);
        assert_eq!(create_errors(&value, &Surroundings::default()), expected, "{value}");
    }
}

#[test]
fn what_is_fixed_cannot_be_updated() {
    for (api_version, kind, old, new, expected) in [
        (
            "v1",
            "ConfigMap",
            json!({ "immutable": true, "data": { "a": "1" } }),
            json!({ "data": { "a": "2" } }),
            "immutable: Forbidden: field is immutable when `immutable` is set; \
          data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "v1",
            "Secret",
            json!({ "type": "a" }),
            json!({ "type": "b" }),
            "type: Invalid value: \"b\": field is immutable",
        ),
        (
            "v1",
            "Node",
            json!({ "spec": { "podCIDRs": ["10.0.0.0/24"] } }),
            json!({ "spec": {} }),
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
        ),
        (
            "v1",
            "Endpoints",
            json!({ "subsets": [{ "addresses": [{ "ip": "10.0.0.1", "nodeName": "n1" }] }] }),
            json!({ "subsets": [{ "addresses": [{ "ip": "10.0.0.1", "nodeName": "n2" }] }] }),
            "subsets[0].addresses[0].nodeName: Forbidden: Cannot change NodeName for 10.0.0.1 to n2",
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({ "addressType": "IPv4" }),
            json!({ "addressType": "IPv6" }),
            "addressType: Invalid value: \"IPv6\": field is immutable",
        ),
        (
            "scheduling.k8s.io/v1",
            "PriorityClass",
            json!({ "value": 1 }),
            json!({ "value": 2 }),
            "value: Forbidden: may not be changed in an update.",
        ),
        (
            "storage.k8s.io/v1",
            "StorageClass",
            json!({ "provisioner": "a.b" }),
            json!({ "provisioner": "a.c" }),
            "provisioner: Forbidden: updates to provisioner are forbidden.",
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({ "roleRef": { "kind": "Role", "name": "a" } }),
            json!({ "roleRef": { "kind": "Role", "name": "b" } }),
            "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"b\"}: \
          cannot change roleRef",
        ),
    ] {
        let (old, new) = (object(api_version, kind, old), object(api_version, kind, new));
        assert_eq!(update_errors(&old, &new), expected, "{new}");
    }
}

#[test]
fn a_custom_resource_definition_names_itself() {
    let definition = created(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crons.example.com" },
        "spec": {
            "group": "example.com", "names": { "plural": "crons", "kind": "Cron" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {} } }],
        },
    }));
    let mut errors = FieldErrors::new();
    definition.kind().strategy().validate(definition.body(), &Surroundings::default(), &mut errors);
    assert_eq!(text(&errors), "");
    let value = definition.body().to_value().unwrap();
    assert_eq!(value["spec"]["names"]["listKind"], "CronList");
    assert_eq!(value["spec"]["names"]["singular"], "cron");
    assert_eq!(value["spec"]["scope"], "Namespaced");
    assert_eq!(value["status"]["storedVersions"], json!(["v1"]));
}

#[test]
fn rows_read_as_kubectl_users_know_them() {
    for (api_version, kind, rest, expected) in [
        (
            "v1",
            "PersistentVolume",
            json!({ "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "hostPath": { "path": "/a" }, "claimRef": { "namespace": "default", "name": "data" } } }),
            vec![
                "a",
                "1Gi",
                "RWO,RWX",
                "Retain",
                "Pending",
                "default/data",
                "",
                "<unset>",
                "",
                "<unknown>",
                "Filesystem",
            ],
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({ "addressType": "IPv4", "ports": [{ "port": 80 }],
            "endpoints": [{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }, { "addresses": ["10.0.0.3"] },
                          { "addresses": ["10.0.0.4"] }] }),
            vec!["a", "IPv4", "80", "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...", "<unknown>"],
        ),
        (
            "v1",
            "Endpoints",
            json!({ "subsets": [{ "addresses": [{ "ip": "10.0.0.1" }], "ports": [{ "port": 80 }] }] }),
            vec!["a", "10.0.0.1:80", "<unknown>"],
        ),
        (
            "networking.k8s.io/v1",
            "Ingress",
            json!({ "spec": { "rules": [{ "host": "a.example.com" }] } }),
            vec!["a", "<none>", "a.example.com", "", "80", "<unknown>"],
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({ "spec": { "podSelector": { "matchLabels": { "app": "a" } } } }),
            vec!["a", "app=a", "<unknown>"],
        ),
        ("apiregistration.k8s.io/v1", "APIService", json!({}), vec!["a", "Local", "Unknown", "<unknown>"]),
        (
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            json!({ "spec": {
            "request": "", "signerName": "example.com/a", "expirationSeconds": 3600 } }),
            vec!["a", "<unknown>", "example.com/a", "", "60m", "Pending"],
        ),
    ] {
        let draft = created(&object(api_version, kind, rest));
        assert_eq!(row(&draft), expected.into_iter().map(Cell::from).collect::<Vec<_>>());
    }
}
