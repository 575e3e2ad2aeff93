//! What the author of a pod may leave out.
//!
//! Source: `pkg/apis/core/v1/defaults.go`. What stands in [`default_pod`] alone happens to pods but not to the
//! templates of workloads, so that a template keeps what its author wrote.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, ObjectFieldSelector, Pod, PodSpec,
    Probe, ResourceRequirements,
};

use crate::api::rules::image::default_pull_policy;
use crate::api::rules::resources::{canonical, canonical_requirements};

use super::requests;
use super::volume::default_volume;

/// Where a container leaves its last words.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

/// Fills in a pod.
pub(crate) fn default_pod(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    default_pod_spec(spec);
    spec.enable_service_links.get_or_insert(true);
    let host_network = spec.host_network == Some(true);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if let Some(resources) = &mut container.resources {
            request_what_is_limited(resources);
        }
        if host_network {
            for port in container.ports.iter_mut().flatten() {
                if port.host_port.unwrap_or(0) == 0 {
                    port.host_port = Some(port.container_port);
                }
            }
        }
    }
    requests::default_whole(spec);
}

/// Fills in the spec of a pod or of a template.
pub(crate) fn default_pod_spec(spec: &mut PodSpec) {
    text(&mut spec.dns_policy, "ClusterFirst");
    text(&mut spec.restart_policy, "Always");
    text(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.security_context.get_or_insert_default();
    if spec.service_account_name.as_deref().is_none_or(str::is_empty) {
        spec.service_account_name = spec.service_account.take();
    }
    spec.service_account.clone_from(&spec.service_account_name);
    for flag in [&mut spec.host_network, &mut spec.host_pid, &mut spec.host_ipc] {
        flag.take_if(|flag| !*flag);
    }
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        default_container(container);
    }
    for container in spec.ephemeral_containers.iter_mut().flatten() {
        default_ephemeral_container(container);
    }
    for volume in spec.volumes.iter_mut().flatten() {
        default_volume(volume);
    }
    if let Some(resources) = &mut spec.resources {
        canonical_requirements(resources);
    }
    if let Some(overhead) = &mut spec.overhead {
        canonical(overhead);
    }
}

/// The fields that containers and ephemeral containers share and that have defaults.
struct Parts<'a> {
    image: &'a str,
    image_pull_policy: &'a mut Option<String>,
    termination_message_path: &'a mut Option<String>,
    termination_message_policy: &'a mut Option<String>,
    ports: &'a mut Option<Vec<ContainerPort>>,
    env: &'a mut Option<Vec<EnvVar>>,
    probes: [&'a mut Option<Probe>; 3],
    lifecycle: &'a mut Option<Lifecycle>,
    resources: &'a mut Option<ResourceRequirements>,
    flags: [&'a mut Option<bool>; 3],
}

macro_rules! parts {
    ($container:ident) => {
        Parts {
            image: $container.image.as_deref().unwrap_or_default(),
            image_pull_policy: &mut $container.image_pull_policy,
            termination_message_path: &mut $container.termination_message_path,
            termination_message_policy: &mut $container.termination_message_policy,
            ports: &mut $container.ports,
            env: &mut $container.env,
            probes: [&mut $container.liveness_probe, &mut $container.readiness_probe, &mut $container.startup_probe],
            lifecycle: &mut $container.lifecycle,
            resources: &mut $container.resources,
            flags: [&mut $container.stdin, &mut $container.stdin_once, &mut $container.tty],
        }
    };
}

fn default_container(container: &mut Container) {
    default_parts(parts!(container));
    // The field is no pointer upstream: an answer always shows it.
    container.resources.get_or_insert_default();
}

fn default_ephemeral_container(container: &mut EphemeralContainer) {
    default_parts(parts!(container));
    container.resources.get_or_insert_default();
}

fn default_parts(parts: Parts<'_>) {
    text(parts.image_pull_policy, default_pull_policy(parts.image));
    text(parts.termination_message_path, TERMINATION_MESSAGE_PATH);
    text(parts.termination_message_policy, "File");
    for port in parts.ports.iter_mut().flatten() {
        text(&mut port.protocol, "TCP");
        port.host_port.take_if(|port| *port == 0);
        port.name.take_if(|name| name.is_empty());
    }
    for variable in parts.env.iter_mut().flatten() {
        if let Some(field) = variable.value_from.as_mut().and_then(|from| from.field_ref.as_mut()) {
            default_field_ref(field);
        }
        if let Some(resource) = variable.value_from.as_mut().and_then(|from| from.resource_field_ref.as_mut()) {
            resource.divisor.get_or_insert_with(zero);
        }
        variable.value.take_if(|value| value.is_empty());
    }
    for probe in parts.probes.into_iter().flatten() {
        default_probe(probe);
    }
    if let Some(lifecycle) = parts.lifecycle {
        for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
            if let Some(get) = &mut handler.http_get {
                default_http_get(get);
            }
        }
    }
    if let Some(resources) = parts.resources {
        canonical_requirements(resources);
    }
    for flag in parts.flags {
        flag.take_if(|flag| !*flag);
    }
}

/// Zero as `divisor` shows it.
pub(super) fn zero() -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    k8s_openapi::apimachinery::pkg::api::resource::Quantity("0".to_owned())
}

/// The version of a field reference.
pub(super) fn default_field_ref(field: &mut ObjectFieldSelector) {
    text(&mut field.api_version, "v1");
}

fn default_probe(probe: &mut Probe) {
    number(&mut probe.timeout_seconds, 1);
    number(&mut probe.period_seconds, 10);
    number(&mut probe.success_threshold, 1);
    number(&mut probe.failure_threshold, 3);
    probe.initial_delay_seconds.take_if(|seconds| *seconds == 0);
    if let Some(get) = &mut probe.http_get {
        default_http_get(get);
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn default_http_get(get: &mut HTTPGetAction) {
    text(&mut get.path, "/");
    text(&mut get.scheme, "HTTP");
}

/// A limit without a request requests what it limits.
fn request_what_is_limited(resources: &mut ResourceRequirements) {
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// Sets a text that is missing or empty.
pub(crate) fn text(slot: &mut Option<String>, value: &str) {
    if slot.as_deref().is_none_or(str::is_empty) {
        *slot = Some(value.to_owned());
    }
}

/// Sets a number that is missing or zero.
fn number(slot: &mut Option<i32>, value: i32) {
    if slot.unwrap_or(0) == 0 {
        *slot = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_pod_is_filled_in_as_upstream_does() {
        let mut pod: Pod = serde_yaml::from_str(
            "{spec: {containers: [{name: a, image: nginx, ports: [{containerPort: 80}], \
             resources: {limits: {cpu: 0.5}}, livenessProbe: {httpGet: {port: 80}}}], volumes: [{name: v}]}}",
        )
        .unwrap();
        default_pod(&mut pod);
        let expected = json!({
            "containers": [{
                "name": "a", "image": "nginx", "imagePullPolicy": "Always",
                "livenessProbe": {
                    "failureThreshold": 3, "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                },
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "v", "emptyDir": {}}],
        });
        assert_eq!(serde_json::to_value(pod.spec).unwrap(), expected);
        assert_eq!(super::super::qos_class(&Default::default()), "BestEffort");
    }
}
