use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let metadata = json!({ "name": "web", "namespace": "default" });
    let mut service: Service = serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap();
    ServiceStrategy.prepare_create(&mut service, &Surroundings::default());
    service
}

fn errors(spec: Value) -> String {
    let mut errors = FieldErrors::new();
    ServiceStrategy.validate(&service(spec), &Surroundings::default(), &mut errors);
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn updated(old: &Service, change: impl FnOnce(&mut ServiceSpec)) -> (Service, String) {
    let mut new = old.clone();
    change(new.spec.as_mut().unwrap());
    ServiceStrategy.default(&mut new);
    ServiceStrategy.prepare_update(&mut new, old, &Surroundings::default());
    let mut errors = FieldErrors::new();
    ServiceStrategy.validate_update(&new, old, &Surroundings::default(), &mut errors);
    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    (new, text)
}

#[test]
fn a_bare_service_gets_every_default() {
    let service = service(json!({ "ports": [{ "port": 80 }] }));
    let expected = json!({
        "internalTrafficPolicy": "Cluster",
        "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 80 }],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    });
    assert_eq!(serde_json::to_value(service.spec.unwrap()).unwrap(), expected);
    assert_eq!(serde_json::to_value(service.status.unwrap()).unwrap(), json!({ "loadBalancer": {} }));
}

#[test]
fn affinity_and_balancers_get_their_defaults() {
    let spec = service(json!({ "type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{ "port": 80 }] }));
    let spec = serde_json::to_value(spec.spec.unwrap()).unwrap();
    assert_eq!(spec["sessionAffinityConfig"], json!({ "clientIP": { "timeoutSeconds": 10800 } }));
    assert_eq!(spec["allocateLoadBalancerNodePorts"], json!(true));
    assert_eq!(spec["externalTrafficPolicy"], json!("Cluster"));
}

#[test]
fn mistakes_are_named_in_upstreams_words() {
    for (spec, expected) in [
        (json!({}), "spec.ports: Required value"),
        (json!({ "clusterIP": "None" }), ""),
        (json!({ "type": "ExternalName", "externalName": "db.example.com." }), ""),
        (json!({ "type": "ExternalName" }), "spec.externalName: Required value"),
        (
            json!({ "ports": [{ "port": 0 }] }),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive; \
             spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            json!({ "ports": [{ "port": 80 }, { "port": 81 }] }),
            "spec.ports[0].name: Required value; spec.ports[1].name: Required value",
        ),
        (
            json!({ "ports": [{ "port": 80, "nodePort": 30080 }] }),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({ "type": "Foo", "ports": [{ "port": 80 }] }),
            "spec.type: Unsupported value: \"Foo\": supported values: \"ClusterIP\", \"ExternalName\", \
             \"LoadBalancer\", \"NodePort\"",
        ),
        (
            json!({ "type": "NodePort", "clusterIP": "None", "ports": [{ "port": 80 }] }),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            json!({ "ports": [{ "port": 80, "name": "a" }, { "port": 80, "name": "b" }] }),
            "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\
             \"TargetPort\":0,\"NodePort\":0}",
        ),
        (
            json!({ "clusterIP": "10.0.0", "ports": [{ "port": 80 }] }),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
    ] {
        assert_eq!(errors(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn an_update_keeps_what_was_allocated() {
    let mut old = service(json!({ "type": "NodePort", "ports": [{ "port": 80 }] }));
    let spec = old.spec.as_mut().unwrap();
    (spec.cluster_ip, spec.cluster_ips) = (Some("10.0.0.9".into()), Some(vec!["10.0.0.9".into()]));
    spec.ports.as_mut().unwrap()[0].node_port = Some(30080);

    let (kept, complaints) = updated(&old, |spec| {
        (spec.cluster_ip, spec.cluster_ips) = (None, None);
        spec.ports.as_mut().unwrap()[0].node_port = None;
    });
    assert_eq!(complaints, "");
    assert_eq!(kept.spec, old.spec);

    let (plain, complaints) = updated(&old, |spec| spec.type_ = Some("ClusterIP".into()));
    assert_eq!(complaints, "");
    let spec = plain.spec.unwrap();
    assert_eq!((spec.ports.unwrap()[0].node_port, spec.external_traffic_policy), (None, None));

    let (_, complaints) = updated(&old, |spec| {
        (spec.cluster_ip, spec.cluster_ips) = (Some("None".into()), Some(vec!["None".into()]));
        spec.type_ = Some("ClusterIP".into());
    });
    assert_eq!(complaints, "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set");

    let (named, complaints) = updated(&old, |spec| {
        spec.type_ = Some("ExternalName".into());
        spec.external_name = Some("example.com".into());
    });
    assert_eq!(complaints, "");
    assert_eq!(named.spec.unwrap().cluster_ips, None);
}

#[test]
fn rows_show_addresses_and_ports() {
    let row = |spec| -> Vec<Cell> { ServiceStrategy.cells(&service(spec), Timestamp::UNIX_EPOCH) };
    let balanced = row(json!({
        "type": "LoadBalancer", "clusterIP": "10.0.0.1", "selector": { "app": "web" },
        "ports": [{ "port": 80, "nodePort": 30080 }, { "name": "dns", "port": 53, "protocol": "UDP" }],
    }));
    let texts = ["web", "LoadBalancer", "10.0.0.1", "<pending>", "80:30080/TCP,53/UDP", "<unknown>", "app=web"];
    assert_eq!(balanced, texts.map(Cell::from));
    let named = row(json!({ "type": "ExternalName", "externalName": "db.example.com" }));
    let texts = ["web", "ExternalName", "<none>", "db.example.com", "<none>", "<unknown>", "<none>"];
    assert_eq!(named, texts.map(Cell::from));
    assert_eq!(kind().strategy().columns().len(), texts.len());
}
