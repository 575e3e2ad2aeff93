//! What users are told of pods that break rules.

use k8s_openapi::api::core::v1::Pod;

use crate::api::{FieldErrors, Kind, Surroundings};

/// A good pod with `spec` merged over its spec (as JSON merge patch).
fn pod(spec: &str) -> Pod {
    let mut value = serde_json::json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "nginx"}]},
    });
    let patch: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    json_patch::merge(&mut value["spec"], &patch);
    let mut pod: Pod = serde_json::from_value(value).unwrap();
    Kind::of::<Pod>().strategy().default(&mut pod);
    pod
}

fn created(spec: &str) -> String {
    let mut errors = FieldErrors::new();
    Kind::of::<Pod>().strategy().validate(&pod(spec), &Surroundings::default(), &mut errors);
    errors.to_string()
}

fn updated(old: &str, new: &str) -> String {
    let mut errors = FieldErrors::new();
    Kind::of::<Pod>().strategy().validate_update(&pod(new), &pod(old), &Surroundings::default(), &mut errors);
    errors.to_string()
}

#[test]
fn a_good_pod_is_let_in() {
    let good = "
        restartPolicy: OnFailure
        nodeSelector: {disk: ssd}
        tolerations: [{operator: Exists}, {key: node, effect: NoExecute, operator: Exists, tolerationSeconds: 300}]
        initContainers: [{name: init, image: busybox}, {name: side, image: proxy, restartPolicy: Always}]
        volumes:
        - {name: settings, configMap: {name: settings}}
        - name: all
          projected: {sources: [{downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}
        containers:
        - name: app
          image: nginx:1.27
          ports: [{name: http, containerPort: 80}, {name: dns, containerPort: 53, protocol: UDP}]
          env:
          - {name: A, value: a}
          - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
          - {name: LABEL, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
          - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
          volumeMounts: [{name: settings, mountPath: /etc/settings}]
          resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}
          readinessProbe: {httpGet: {port: http}}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false}
        affinity:
          podAntiAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
            - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}
        topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
    ";
    assert_eq!(created(good), "[]");
}

#[test]
fn mistakes_are_told_as_upstream_tells_them() {
    let cases = [
        ("containers: []", "spec.containers: Required value"),
        ("containers: [{name: app}]", "spec.containers[0].image: Required value"),
        (
            "containers: [{name: App, image: a}]",
            "spec.containers[0].name: Invalid value: \"App\": a lowercase RFC 1123 label must consist of lower case \
             alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        ("containers: [{name: a, image: a}, {name: a, image: a}]", "spec.containers[1].name: Duplicate value: \"a\""),
        (
            "containers: [{name: a, image: ' a'}]",
            "spec.containers[0].image: Invalid value: \" a\": must not have leading or trailing whitespace",
        ),
        (
            "restartPolicy: Sometimes",
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \
             \"Never\"",
        ),
        (
            "containers: [{name: a, image: a, ports: [{containerPort: 70000}]}]",
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "containers: [{name: a, image: a, volumeMounts: [{name: v, mountPath: /v}]}]",
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            "volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]",
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            "containers: [{name: a, image: a, env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: \
             metadata.name}}}]}]",
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            "containers: [{name: a, image: a, livenessProbe: {httpGet: {port: 80}, successThreshold: 2}}]",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "containers: [{name: a, image: a, readinessProbe: {}}]",
            "spec.containers[0].readinessProbe: Required value: must specify a handler type",
        ),
        (
            "initContainers: [{name: i, image: a, readinessProbe: {exec: {command: ['true']}}}]",
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without \
             restartPolicy=Always",
        ),
        (
            "tolerations: [{key: a, operator: Exists, value: b}]",
            "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
        ),
        (
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required \
             value: must have at least one node selector term",
        ),
        ("dnsPolicy: None", "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        (
            "{nodeName: n, schedulingGates: [{name: g}]}",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
        (
            "{hostNetwork: true, containers: [{name: a, image: a, ports: [{containerPort: 80, hostPort: 81}]}]}",
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is \
             true",
        ),
        (
            "{resources: {limits: {cpu: 1}}, containers: [{name: a, image: a, resources: {limits: {cpu: 2}}}]}",
            "[spec.resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1, \
             spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of \
             1]",
        ),
        (
            "activeDeadlineSeconds: 0",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        ("ephemeralContainers: [{name: e, image: a}]", "spec.ephemeralContainers: Forbidden: cannot be set on create"),
    ];
    for (spec, expected) in cases {
        assert_eq!(created(spec), expected, "{spec}");
    }
}

#[test]
fn of_a_pod_little_may_change() {
    let base = "nodeName: n";
    assert_eq!(
        updated(base, "{nodeName: n, containers: [{name: app, image: 'nginx:2', imagePullPolicy: Always}]}"),
        "[]"
    );
    assert_eq!(updated(base, "{nodeName: n, tolerations: [{operator: Exists}]}"), "[]");
    assert_eq!(updated(base, "{nodeName: n, activeDeadlineSeconds: 5}"), "[]");
    assert_eq!(
        updated(base, "{nodeName: n, hostname: other}"),
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
         tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n\
         + spec.hostname: \"other\""
    );
    assert_eq!(
        updated(base, "{nodeName: n, containers: [{name: app, image: nginx}, {name: b, image: b}]}"),
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    );
    assert_eq!(
        updated("{activeDeadlineSeconds: 5}", "{activeDeadlineSeconds: 6}"),
        "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"
    );
    assert_eq!(
        updated("tolerations: [{key: a, operator: Exists}]", "{}"),
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    );
}

#[test]
fn gates_go_and_do_not_come() {
    assert_eq!(updated("schedulingGates: [{name: a}, {name: b}]", "schedulingGates: [{name: b}]"), "[]");
    assert_eq!(updated("schedulingGates: [{name: a}]", "{nodeSelector: {a: b}, schedulingGates: [{name: a}]}"), "[]");
    assert_eq!(
        updated("schedulingGates: [{name: a}]", "schedulingGates: [{name: b}]"),
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"
    );
}

#[test]
fn resizing_touches_cpu_and_memory_only() {
    let sized = |resources: &str| format!("containers: [{{name: app, image: a, resources: {resources}}}]");
    let resize = |old: &str, new: &str| {
        let kind = Kind::of::<Pod>();
        let (mut old, mut new) = (pod(&sized(old)), pod(&sized(new)));
        kind.strategy().prepare_create(&mut old, &Surroundings::default());
        kind.strategy().prepare_subresource("resize", &mut new, &old, &Surroundings::default());
        let mut errors = FieldErrors::new();
        kind.strategy().validate_subresource("resize", &new, &old, &Surroundings::default(), &mut errors);
        errors.to_string()
    };
    assert_eq!(resize("{requests: {cpu: 1}}", "{requests: {cpu: 2}}"), "[]");
    assert_eq!(
        resize("{requests: {cpu: 1}}", "{requests: {cpu: 1, ephemeral-storage: 1Gi}}"),
        "spec: Forbidden: only cpu and memory resources are mutable"
    );
    assert!(
        resize("{requests: {cpu: 1}}", "{requests: {cpu: 1}, limits: {cpu: 1, memory: 1Gi}}")
            .contains("memory limits cannot be added unless resizePolicy is RestartContainer")
    );
}
