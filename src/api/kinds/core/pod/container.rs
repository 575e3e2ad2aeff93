//! Containers of every sort: rules.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, EphemeralContainer, PodSpec, Volume, VolumeDevice, VolumeMount,
};

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::{complain, given, name, one_of, path as paths, port, present, resources};

use super::{environment, probe, security};

const RESIZE_POLICIES: &[&str] = &["NotRequired", "RestartContainer"];
const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];

/// What rules about a container need to know of its pod.
pub(super) struct Surrounding<'a> {
    pub(super) spec: &'a PodSpec,
    /// The good volumes by name.
    pub(super) volumes: BTreeMap<&'a str, &'a Volume>,
    /// Names of resource claims.
    pub(super) claims: Vec<&'a str>,
}

impl Surrounding<'_> {
    fn grace(&self) -> Option<i64> {
        self.spec.termination_grace_period_seconds
    }
}

/// Calls `visit` for every container of whatever sort, with its path.
pub(super) fn each_container(spec: &PodSpec, path: &Path<'_>, mut visit: impl FnMut(&Container, &Path<'_>)) {
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        visit(container, &path.child("initContainers").index(index));
    }
    for (index, container) in spec.containers.iter().enumerate() {
        visit(container, &path.child("containers").index(index));
    }
    for (index, container) in spec.ephemeral_containers.iter().flatten().enumerate() {
        visit(&as_container(container), &path.child("ephemeralContainers").index(index));
    }
}

/// Whether an init container runs on beside the containers.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Checks the containers proper.
pub(super) fn containers(errors: &mut FieldErrors, path: &Path<'_>, around: &Surrounding<'_>) {
    let containers = &around.spec.containers;
    if containers.is_empty() {
        return errors.required(path, "");
    }
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(errors, &path, container, around);
        if containers[..index].iter().any(|other| other.name == container.name) {
            errors.duplicate(&path.child("name"), &container.name);
        }
        running(errors, &path, container, around);
        restart_policy(errors, &path, container);
    }
    host_ports(errors, path, containers);
}

/// Checks the init containers.
pub(super) fn init_containers(errors: &mut FieldErrors, path: &Path<'_>, around: &Surrounding<'_>) {
    let containers = around.spec.init_containers.as_deref().unwrap_or_default();
    for (index, container) in containers.iter().enumerate() {
        let item = path.index(index);
        common(errors, &item, container, around);
        restart_policy(errors, &item, container);
        let mut others = around.spec.containers.iter().chain(&containers[..index]);
        if !container.name.is_empty() && others.any(|other| other.name == container.name) {
            errors.duplicate(&item.child("name"), &container.name);
        }
        host_ports(errors, path, std::slice::from_ref(container));
        if is_sidecar(container) {
            running(errors, &item, container, around);
            continue;
        }
        for (field, set) in [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ] {
            if set {
                let text = "may not be set for init containers without restartPolicy=Always";
                errors.forbidden(&item.child(field), text);
            }
        }
    }
}

/// An ephemeral container as a container, for the rules that both share.
pub(super) fn as_container(container: &EphemeralContainer) -> Container {
    let container = container.clone();
    Container {
        args: container.args,
        command: container.command,
        env: container.env,
        env_from: container.env_from,
        image: container.image,
        image_pull_policy: container.image_pull_policy,
        lifecycle: container.lifecycle,
        liveness_probe: container.liveness_probe,
        name: container.name,
        ports: container.ports,
        readiness_probe: container.readiness_probe,
        resize_policy: container.resize_policy,
        resources: container.resources,
        restart_policy: container.restart_policy,
        restart_policy_rules: container.restart_policy_rules,
        security_context: container.security_context,
        startup_probe: container.startup_probe,
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        termination_message_path: container.termination_message_path,
        termination_message_policy: container.termination_message_policy,
        tty: container.tty,
        volume_devices: container.volume_devices,
        volume_mounts: container.volume_mounts,
        working_dir: container.working_dir,
    }
}

/// Checks the ephemeral containers, which may have little beyond an image and a command.
pub(super) fn ephemeral_containers(errors: &mut FieldErrors, path: &Path<'_>, around: &Surrounding<'_>) {
    const TEXT: &str = "cannot be set for an Ephemeral Container";
    let spec = around.spec;
    let mut names: Vec<&str> =
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|other| other.name.as_str()).collect();
    let targets = names.clone();
    for (index, ephemeral) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let path = path.index(index);
        let container = as_container(ephemeral);
        common(errors, &path, &container, around);
        trimmed_image(errors, &path, &container);
        if names.contains(&ephemeral.name.as_str()) {
            errors.duplicate(&path.child("name"), &ephemeral.name);
        }
        names.push(&ephemeral.name);
        let target = given(&ephemeral.target_container_name);
        if !target.is_empty() && !targets.contains(&target) {
            errors.not_found(&path.child("targetContainerName"), target);
        }
        let no_resources = container.resources.clone().unwrap_or_default() == Default::default();
        for (field, set) in [
            ("ports", container.ports.is_some()),
            ("resources", !no_resources),
            ("resizePolicy", container.resize_policy.is_some()),
            ("restartPolicy", container.restart_policy.is_some()),
            ("restartPolicyRules", container.restart_policy_rules.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
        ] {
            if set {
                errors.forbidden(&path.child(field), TEXT);
            }
        }
        for (index, mount) in ephemeral.volume_mounts.iter().flatten().enumerate() {
            for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
                if !given(value).is_empty() {
                    errors.forbidden(&path.child("volumeMounts").index(index).child(field), TEXT);
                }
            }
        }
    }
}

/// What containers that keep running may have.
fn running(errors: &mut FieldErrors, path: &Path<'_>, container: &Container, around: &Surrounding<'_>) {
    if let Some(lifecycle) = &container.lifecycle {
        probe::lifecycle(errors, &path.child("lifecycle"), lifecycle, around.grace());
    }
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    probe::probes(errors, path, probes.map(Option::as_ref));
}

/// Checks what all sorts of containers share.
fn common(errors: &mut FieldErrors, path: &Path<'_>, container: &Container, around: &Surrounding<'_>) {
    if container.name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        complain(errors, &path.child("name"), &container.name, name::dns_label(&container.name));
    }
    present(errors, &path.child("image"), given(&container.image));
    let policy = container.termination_message_policy.as_deref();
    one_of(errors, &path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(errors, &path.child("ports"), container.ports.as_deref().unwrap_or_default());
    environment::variables(errors, &path.child("env"), container.env.as_deref().unwrap_or_default());
    environment::sources(errors, &path.child("envFrom"), container.env_from.as_deref().unwrap_or_default());
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    volume_mounts(errors, &path.child("volumeMounts"), mounts, devices, container, around);
    volume_devices(errors, &path.child("volumeDevices"), devices, mounts, around);
    let pull_policy = container.image_pull_policy.as_deref();
    one_of(errors, &path.child("imagePullPolicy"), pull_policy, &["Always", "IfNotPresent", "Never"]);
    if let Some(resources) = &container.resources {
        resources::container_requirements(errors, &path.child("resources"), resources, &around.claims);
    }
    let resize = container.resize_policy.as_deref().unwrap_or_default();
    resize_policy(errors, &path.child("resizePolicy"), resize, around.spec);
    if let Some(context) = &container.security_context {
        let host_users = around.spec.host_users != Some(false);
        security::container_context(errors, &path.child("securityContext"), context, host_users);
    }
}

/// In a pod (not a template) an image has no space around it.
pub(super) fn trimmed_image(errors: &mut FieldErrors, path: &Path<'_>, container: &Container) {
    let image = given(&container.image);
    if image.trim() != image {
        errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn ports(errors: &mut FieldErrors, path: &Path<'_>, ports: &[ContainerPort]) {
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = given(&port.name);
        if !name.is_empty() {
            let complaints = port::name(name);
            if complaints.is_empty() && names.contains(&name) {
                errors.duplicate(&path.child("name"), name);
            }
            complain(errors, &path.child("name"), name, complaints);
            names.push(name);
        }
        match port.container_port {
            0 => errors.required(&path.child("containerPort"), ""),
            number => port::check_number(errors, &path.child("containerPort"), number),
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            port::check_number(errors, &path.child("hostPort"), number);
        }
        port::check_protocol(errors, &path.child("protocol"), port.protocol.as_deref());
    }
}

fn host_ports(errors: &mut FieldErrors, path: &Path<'_>, containers: &[Container]) {
    let mut taken: Vec<String> = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let key = format!("{}/{}/{number}", given(&port.protocol), given(&port.host_ip));
            if taken.contains(&key) {
                errors.duplicate(&path.child("ports").index(index).child("hostPort"), &key);
            }
            taken.push(key);
        }
    }
}

fn volume_mounts(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    mounts: &[VolumeMount],
    devices: &[VolumeDevice],
    container: &Container,
    around: &Surrounding<'_>,
) {
    for (index, mount) in mounts.iter().enumerate() {
        let item = path.index(index);
        present(errors, &item.child("name"), &mount.name);
        let volume = around.volumes.get(mount.name.as_str());
        if volume.is_none() {
            errors.not_found(&item.child("name"), &mount.name);
        }
        present(errors, &item.child("mountPath"), &mount.mount_path);
        if mounts[..index].iter().any(|other| other.mount_path == mount.mount_path) {
            errors.invalid(&item.child("mountPath"), &mount.mount_path, "must be unique");
        }
        if devices.iter().any(|device| device.name == mount.name) {
            errors.invalid(&item.child("name"), &mount.name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let text = "must not already exist as a path in volumeDevices";
            errors.invalid(&item.child("mountPath"), &mount.mount_path, text);
        }
        let (sub_path, expression) = (given(&mount.sub_path), given(&mount.sub_path_expr));
        if volume.is_some_and(|volume| volume.image.is_some()) {
            for (field, value) in [("subPath", sub_path), ("subPathExpr", expression)] {
                if !value.is_empty() {
                    errors.invalid(&item.child(field), value, "not allowed in image volume sources");
                }
            }
        }
        paths::descending(errors, &path.child("subPath"), sub_path);
        if !expression.is_empty() && !sub_path.is_empty() {
            let text = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&item.child("subPathExpr"), expression, text);
        }
        paths::descending(errors, &path.child("subPathExpr"), expression);
        mount_modes(errors, path, mount, container);
    }
}

fn mount_modes(errors: &mut FieldErrors, path: &Path<'_>, mount: &VolumeMount, container: &Container) {
    if let Some(propagation) = mount.mount_propagation.as_deref() {
        const MODES: &[&str] = &["Bidirectional", "HostToContainer", "None"];
        let path = path.child("mountPropagation");
        if !MODES.contains(&propagation) {
            errors.not_supported(&path, propagation, MODES);
        }
        let privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
        if propagation == "Bidirectional" && !privileged {
            errors.forbidden(&path, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    if let Some(recursive) = mount.recursive_read_only.as_deref() {
        const MODES: &[&str] = &["Disabled", "Enabled", "IfPossible"];
        let path = path.child("recursiveReadOnly");
        if !MODES.contains(&recursive) {
            errors.not_supported(&path, recursive, MODES);
        } else if recursive != "Disabled" {
            if mount.read_only != Some(true) {
                errors.forbidden(&path, "may only be specified when readOnly is true");
            }
            if !matches!(mount.mount_propagation.as_deref(), None | Some("None")) {
                errors.forbidden(&path, "may only be specified when mountPropagation is None or not specified");
            }
        }
    }
}

fn volume_devices(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    devices: &[VolumeDevice],
    mounts: &[VolumeMount],
    around: &Surrounding<'_>,
) {
    for (index, device) in devices.iter().enumerate() {
        let path = path.index(index);
        let (name_path, device_path) = (path.child("name"), path.child("devicePath"));
        present(errors, &name_path, &device.name);
        if devices[..index].iter().any(|other| other.name == device.name) {
            errors.invalid(&name_path, &device.name, "must be unique");
        }
        match around.volumes.get(device.name.as_str()) {
            None => errors.not_found(&name_path, &device.name),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name_path, &device.name, text);
            }
            Some(_) => {}
        }
        present(errors, &device_path, &device.device_path);
        if devices[..index].iter().any(|other| other.device_path == device.device_path) {
            errors.invalid(&device_path, &device.device_path, "must be unique");
        }
        if device.device_path.split('/').any(|step| step == "..") {
            errors.invalid(&device_path, &device.device_path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|mount| mount.name == device.name) {
            errors.invalid(&name_path, &device.name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let text = "must not already exist as a path in volumeMounts";
            errors.invalid(&device_path, &device.device_path, text);
        }
    }
}

fn resize_policy(errors: &mut FieldErrors, path: &Path<'_>, policies: &[ContainerResizePolicy], spec: &PodSpec) {
    for (index, policy) in policies.iter().enumerate() {
        if policies[..index].iter().any(|other| other.resource_name == policy.resource_name) {
            errors.duplicate(&path.index(index), &policy.resource_name);
        }
        one_of(errors, path, Some(&policy.resource_name), &["cpu", "memory"]);
        one_of(errors, path, Some(&policy.restart_policy), RESIZE_POLICIES);
        if spec.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired" {
            let text = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.invalid(path, &policy.restart_policy, text);
        }
    }
}

/// A container's own restart policy and its rules.
fn restart_policy(errors: &mut FieldErrors, path: &Path<'_>, container: &Container) {
    let policy = container.restart_policy.as_deref();
    if let Some(policy) = policy.filter(|policy| !RESTART_POLICIES.contains(policy)) {
        errors.not_supported(&path.child("restartPolicy"), policy, RESTART_POLICIES);
    }
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let path_of_rules = path.child("restartPolicyRules");
    if !rules.is_empty() && policy.is_none() {
        errors.required(&path.child("restartPolicy"), "must specify restartPolicy when restart rules are used");
    }
    if rules.len() > 20 {
        errors.too_long(&path_of_rules, 20);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path_of_rules.index(index);
        one_of(errors, &path.child("action"), Some(&rule.action), &["Restart", "RestartAllContainers"]);
        match &rule.exit_codes {
            None => errors.required(&path.child("exitCodes"), "must be specified"),
            Some(codes) => {
                one_of(errors, &path.child("exitCodes").child("operator"), Some(&codes.operator), &["In", "NotIn"]);
                if codes.values.as_ref().is_none_or(|values| values.is_empty() || values.len() > 255) {
                    errors.invalid(&path.child("exitCodes").child("values"), "", "must have 1 to 255 values");
                }
            }
        }
    }
}
