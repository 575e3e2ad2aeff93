//! What may change in a pod, and through which door.

use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodSpec, PodStatus, ResourceRequirements, Toleration,
};
use serde::Serialize;
use serde_json::Value;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::label::qualified_name;
use crate::api::rules::resources::amount_of;
use crate::api::rules::{complain, given, immutable, inclusive, ip, json, name, pruned, same};

use super::container::is_sidecar;
use super::validate::{MIRROR, own_annotations, pod_and_spec};
use super::{affinity, qos_class};

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

const SPEC: Path<'static> = Path::new("spec");

fn specs(new: &Pod, old: &Pod) -> (PodSpec, PodSpec) {
    (new.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default())
}

/// Checks an update of the pod itself: images, a deadline, more tolerations, fewer scheduling gates, and (while it is
/// gated) where it may be scheduled.
pub(super) fn validate(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let nothing = PodSpec::default();
    let (new_spec, old_spec) = (new.spec.as_ref().unwrap_or(&nothing), old.spec.as_ref().unwrap_or(&nothing));
    if new_spec == old_spec {
        // It was found valid when it was written.
        own_annotations(new, new_spec, errors);
        return mirror_stays(new, old, errors);
    }
    pod_and_spec(new, new_spec, errors);
    mirror_stays(new, old, errors);
    fn init(spec: &PodSpec) -> &[Container] {
        spec.init_containers.as_deref().unwrap_or_default()
    }
    let lists = [
        ("containers", new_spec.containers.as_slice(), old_spec.containers.as_slice()),
        ("initContainers", init(new_spec), init(old_spec)),
    ];
    for (field, new, old) in lists {
        if new.len() != old.len() {
            return errors.forbidden(&SPEC.child(field), "pod updates may not add or remove containers");
        }
        for (index, container) in new.iter().enumerate() {
            if given(&container.image).is_empty() {
                errors.required(&SPEC.child(field).index(index).child("image"), "");
            }
        }
    }
    if !deadline(new_spec, old_spec, errors) {
        return;
    }
    only_added_tolerations(new_spec, old_spec, errors);
    only_removed_gates(new_spec, old_spec, errors);
    if same(new_spec, old_spec) {
        return;
    }
    let mut rest = new_spec.clone();
    keep_images(&mut rest.containers, &old_spec.containers);
    if let (Some(new), Some(old)) = (&mut rest.init_containers, &old_spec.init_containers) {
        keep_images(new, old);
    }
    rest.active_deadline_seconds = old_spec.active_deadline_seconds;
    rest.scheduling_gates.clone_from(&old_spec.scheduling_gates);
    rest.tolerations.clone_from(&old_spec.tolerations);
    let period = &mut rest.termination_grace_period_seconds;
    if *period == Some(1) && old_spec.termination_grace_period_seconds.is_some_and(|period| period < 0) {
        *period = old_spec.termination_grace_period_seconds;
    }
    if old_spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        gated(&mut rest, old_spec, errors);
    }
    if !same(&rest, old_spec) {
        let text = format!("pod updates may not change fields other than {CHANGEABLE}\n{}", diff(old_spec, &rest));
        errors.forbidden(&SPEC, text);
    }
}

fn mirror_stays(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let value_of =
        |pod: &Pod| pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MIRROR).cloned());
    let path = Path::new("metadata");
    let path = path.child("annotations");
    match (value_of(new), value_of(old)) {
        (new, Some(old)) if new.as_ref() != Some(&old) => {
            errors.forbidden(&path.key(MIRROR), "may not remove or update mirror pod annotation");
        }
        (Some(_), None) => errors.forbidden(&path.key(MIRROR), "may not add mirror pod annotation"),
        _ => {}
    }
}

/// A deadline may be set or brought nearer. Answers whether to go on.
fn deadline(new: &PodSpec, old: &PodSpec, errors: &mut FieldErrors) -> bool {
    let path = SPEC.child("activeDeadlineSeconds");
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.invalid(&path, new, inclusive(0, i32::MAX.into()));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.invalid(&path, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            errors.invalid(&path, Value::Null, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn only_added_tolerations(new: &PodSpec, old: &PodSpec, errors: &mut FieldErrors) {
    let path = SPEC.child("tolerations");
    let new = new.tolerations.as_deref().unwrap_or_default();
    let kept = |old: &Toleration| {
        new.iter().any(|new| {
            (&new.key, &new.operator, &new.value, &new.effect) == (&old.key, &old.operator, &old.value, &old.effect)
        })
    };
    if !old.tolerations.iter().flatten().all(kept) {
        return errors.forbidden(&path, "existing toleration can not be modified except its tolerationSeconds");
    }
    affinity::tolerations(errors, &path, new);
}

fn only_removed_gates(new: &PodSpec, old: &PodSpec, errors: &mut FieldErrors) {
    let old = old.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate().filter(|(_, gate)| !old.contains(gate)) {
        let text = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
        errors.forbidden(&SPEC.child("schedulingGates").index(index).child("name"), text);
    }
}

fn keep_images(new: &mut [Container], old: &[Container]) {
    for (new, old) in new.iter_mut().zip(old) {
        new.image.clone_from(&old.image);
    }
}

/// A gated pod may be narrowed to fewer nodes: more node labels, more requirements in each term.
fn gated(rest: &mut PodSpec, old: &PodSpec, errors: &mut FieldErrors) {
    let labels = rest.node_selector.clone().unwrap_or_default();
    let kept = old.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !kept {
        let text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(&SPEC.child("nodeSelector"), json(&labels), text);
    }
    rest.node_selector.clone_from(&old.node_selector);
    let node_affinity = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (new_affinity, old_affinity) = (node_affinity(rest), node_affinity(old));
    if same(&new_affinity, &old_affinity) {
        return;
    }
    let required = |affinity: &Option<k8s_openapi::api::core::v1::NodeAffinity>| {
        affinity.as_ref().and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone())
    };
    let path = SPEC.child("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    if let Some(old_terms) = required(&old_affinity).map(|selector| selector.node_selector_terms) {
        let new_terms = required(&new_affinity).map(|selector| selector.node_selector_terms).unwrap_or_default();
        if new_terms.len() != old_terms.len() {
            let text = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
            errors.invalid(&path, json(&new_terms), text);
        }
        for (index, (new, old)) in new_terms.iter().zip(&old_terms).enumerate() {
            let begins = |new: &Option<Vec<_>>, old: &Option<Vec<_>>| {
                new.as_deref().unwrap_or_default().starts_with(old.as_deref().unwrap_or_default())
            };
            let narrowed =
                begins(&new.match_expressions, &old.match_expressions) && begins(&new.match_fields, &old.match_fields);
            if !narrowed {
                let text = "only additions are allowed (no mutations or deletions)";
                errors.invalid(&path.index(index), json(new), text);
            }
        }
    }
    let others = rest.affinity.clone().unwrap_or_default();
    rest.affinity = match (&old.affinity, others.pod_affinity.is_none() && others.pod_anti_affinity.is_none()) {
        (None, true) => None,
        _ => Some(k8s_openapi::api::core::v1::Affinity { node_affinity: old_affinity, ..others }),
    };
}

/// The fields that differ, each as it was and as it would be.
fn diff<T: Serialize>(old: &T, new: &T) -> String {
    fn walk(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
        match (old, new) {
            _ if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                for (key, value) in old {
                    walk(&format!("{path}.{key}"), value, new.get(key).unwrap_or(&Value::Null), lines);
                }
                for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                    walk(&format!("{path}.{key}"), &Value::Null, value, lines);
                }
            }
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                for (index, (old, new)) in old.iter().zip(new).enumerate() {
                    walk(&format!("{path}[{index}]"), old, new, lines);
                }
            }
            _ => {
                lines.extend((!old.is_null()).then(|| format!("- {path}: {old}")));
                lines.extend((!new.is_null()).then(|| format!("+ {path}: {new}")));
            }
        }
    }
    let mut lines = Vec::new();
    if let (Ok(old), Ok(new)) = (pruned(old), pruned(new)) {
        walk("spec", &old, &new, &mut lines);
    }
    lines.join("\n")
}

/// Keeps everything but the ephemeral containers.
pub(super) fn prepare_ephemeral_containers(new: &mut Pod, old: &Pod) {
    let containers = new.spec.take().and_then(|spec| spec.ephemeral_containers);
    new.spec.clone_from(&old.spec);
    new.status.clone_from(&old.status);
    new.spec.get_or_insert_default().ephemeral_containers = containers;
}

/// Checks an update of the ephemeral containers: more of them.
pub(super) fn validate_ephemeral_containers(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    if is_mirror(old) {
        return errors.forbidden(&Path::new(""), "static pods do not support ephemeral containers");
    }
    let (new_spec, old_spec) = specs(new, old);
    pod_and_spec(new, &new_spec, errors);
    let path = SPEC.child("ephemeralContainers");
    for old in old_spec.ephemeral_containers.iter().flatten() {
        let name = &old.name;
        match new_spec.ephemeral_containers.iter().flatten().find(|new| new.name == *name) {
            None => errors.forbidden(&path, format!("existing ephemeral containers {name:?} may not be removed\n")),
            Some(new) if !same(new, old) => {
                let text = format!("existing ephemeral containers {name:?} may not be changed\n{}", diff(old, new));
                errors.forbidden(&path, text);
            }
            Some(_) => {}
        }
    }
}

fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR))
}

/// Keeps everything but resources and resize policies; leaves it to validation where containers do not pair.
pub(super) fn prepare_resize(new: &mut Pod, old: &Pod) {
    fn resized(new: &[Container], old: &[Container]) -> Option<Vec<Container>> {
        let paired = new.len() == old.len() && new.iter().zip(old).all(|(new, old)| new.name == old.name);
        paired.then(|| {
            let resize = |(new, old): (&Container, &Container)| Container {
                resources: new.resources.clone(),
                resize_policy: new.resize_policy.clone(),
                ..old.clone()
            };
            new.iter().zip(old).map(resize).collect()
        })
    }
    let (new_spec, old_spec) = specs(new, old);
    let init = resized(
        new_spec.init_containers.as_deref().unwrap_or_default(),
        old_spec.init_containers.as_deref().unwrap_or_default(),
    );
    if let (Some(containers), Some(init)) = (resized(&new_spec.containers, &old_spec.containers), init) {
        let init_containers = old_spec.init_containers.is_some().then_some(init);
        new.spec = Some(PodSpec { containers, init_containers, resources: new_spec.resources, ..old_spec });
        new.status.clone_from(&old.status);
    }
}

/// Checks an update of resources: CPU and memory of containers and sidecars.
pub(super) fn validate_resize(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let (new_spec, old_spec) = specs(new, old);
    let windows = old_spec.os.as_ref().is_some_and(|os| os.name == "windows");
    for (refused, text) in
        [(is_mirror(old), "static pods cannot be resized"), (windows, "windows pods cannot be resized")]
    {
        if refused {
            return errors.forbidden(&Path::new(""), text);
        }
    }
    pod_and_spec(new, &new_spec, errors);
    let class = old.status.as_ref().map_or("", |status| given(&status.qos_class));
    if class != qos_class(&new_spec) {
        errors.invalid(&SPEC, class, "Pod QOS Class may not change as a result of resizing");
    }
    let mut rest = new_spec.clone();
    let lists = [
        ("containers", Some(&mut rest.containers), Some(&old_spec.containers)),
        ("initContainers", rest.init_containers.as_mut(), old_spec.init_containers.as_ref()),
    ];
    for (field, new, old) in lists {
        let (Some(new), Some(old)) = (new, old) else { continue };
        for (index, (new, old)) in new.iter_mut().zip(old).enumerate() {
            if field == "initContainers" && !is_sidecar(old) {
                if !same(new, old) {
                    errors.forbidden(&SPEC, "resources for non-sidecar init containers are immutable");
                }
                continue;
            }
            resize(&SPEC.child(field).index(index).child("resources"), new, old, errors);
            keep_cpu_and_memory(new, old);
        }
    }
    rest.resources.clone_from(&old_spec.resources);
    if !same(&rest, &old_spec) {
        errors.forbidden(&SPEC, "only cpu and memory resources are mutable");
    }
}

fn resize(path: &Path<'_>, new: &Container, old: &Container, errors: &mut FieldErrors) {
    let none = ResourceRequirements::default();
    let (wanted, had) = (new.resources.as_ref().unwrap_or(&none), old.resources.as_ref().unwrap_or(&none));
    for (field, wanted, had) in [("requests", &wanted.requests, &had.requests), ("limits", &wanted.limits, &had.limits)]
    {
        let kept = |name: &String| wanted.as_ref().is_some_and(|wanted| wanted.contains_key(name));
        if !had.iter().flatten().all(|(name, _)| kept(name)) {
            errors.forbidden(&path.child(field), format!("resource {field} cannot be removed"));
        }
    }
    let policies = new.resize_policy.as_deref().unwrap_or_default();
    let restarts =
        policies.iter().any(|policy| policy.resource_name == "memory" && policy.restart_policy == "RestartContainer");
    let (limit, before) = (amount_of(wanted.limits.as_ref(), "memory"), amount_of(had.limits.as_ref(), "memory"));
    if limit.is_some() && before.is_none() && !restarts {
        let text = "memory limits cannot be added unless resizePolicy is RestartContainer";
        errors.forbidden(&path.child("limits").key("memory"), text);
    }
}

fn keep_cpu_and_memory(new: &mut Container, old: &Container) {
    let none = ResourceRequirements::default();
    let had = old.resources.as_ref().unwrap_or(&none);
    let resources = new.resources.get_or_insert_default();
    for (amounts, had) in [(&mut resources.requests, &had.requests), (&mut resources.limits, &had.limits)] {
        let amounts = amounts.get_or_insert_default();
        for name in ["cpu", "memory"] {
            match had.as_ref().and_then(|had| had.get(name)) {
                Some(amount) => amounts.insert(name.to_owned(), amount.clone()),
                None => amounts.remove(name),
            };
        }
    }
    new.resize_policy.clone_from(&old.resize_policy);
}

/// Checks an update of the status.
pub(super) fn validate_status(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let none = PodStatus::default();
    let (status, before) = (new.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
    let no_spec = PodSpec::default();
    let spec = old.spec.as_ref().unwrap_or(&no_spec);
    let path = Path::new("status");
    mirror_stays(new, old, errors);
    // Types that were there have been checked.
    let known = |wanted: &str| before.conditions.iter().flatten().any(|condition| condition.type_ == wanted);
    let conditions = status.conditions.iter().flatten().enumerate();
    for (index, condition) in conditions.filter(|(_, condition)| !known(&condition.type_)) {
        let path = Path::new("metadata");
        let path = path.child("conditions");
        complain(errors, &path.index(index).child("Type"), &condition.type_, qualified_name(&condition.type_));
    }
    let nominated = given(&status.nominated_node_name);
    if !nominated.is_empty() && nominated != given(&before.nominated_node_name) {
        complain(errors, &path.child("nominatedNodeName"), nominated, name::dns_subdomain(nominated));
    }
    immutable(errors, &path.child("qosClass"), &status.qos_class, &before.qos_class);
    let policy = given(&spec.restart_policy);
    let sidecar =
        |name: &str| spec.init_containers.iter().flatten().any(|other| other.name == name && is_sidecar(other));
    let own = |name: &str| {
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        containers.filter(|container| container.name == name).any(|container| container.restart_policy.is_some())
    };
    for (field, new, old, policy) in [
        ("containerStatuses", &status.container_statuses, &before.container_statuses, policy),
        ("initContainerStatuses", &status.init_container_statuses, &before.init_container_statuses, policy),
        (
            "ephemeralContainerStatuses",
            &status.ephemeral_container_statuses,
            &before.ephemeral_container_statuses,
            "Never",
        ),
    ] {
        let may_restart = |name: &str| sidecar(name) || own(name);
        transitions(errors, &path.child(field), (new.as_deref(), old.as_deref()), policy, may_restart);
    }
    addresses(errors, &path, status);
}

/// A container that ended for good does not come back.
fn transitions(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    (new, old): (Option<&[ContainerStatus]>, Option<&[ContainerStatus]>),
    policy: &str,
    may_restart: impl Fn(&str) -> bool,
) {
    let terminated = |status: &ContainerStatus| status.state.as_ref().and_then(|state| state.terminated.clone());
    if policy == "Always" {
        return;
    }
    for (index, old) in old.unwrap_or_default().iter().enumerate() {
        let Some(end) = terminated(old) else { continue };
        if (end.exit_code != 0 && policy == "OnFailure") || may_restart(&old.name) {
            continue;
        }
        if new.unwrap_or_default().iter().any(|new| new.name == old.name && terminated(new).is_none()) {
            errors.forbidden(&path.index(index).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn addresses(errors: &mut FieldErrors, path: &Path<'_>, status: &PodStatus) {
    let pod: Vec<&str> = status.pod_ips.iter().flatten().map(|address| address.ip.as_str()).collect();
    let host: Vec<&str> = status.host_ips.iter().flatten().map(|address| address.ip.as_str()).collect();
    if let Some(first) = host.first().filter(|first| **first != given(&status.host_ip)) {
        errors.invalid(&path.child("hostIPs").index(0).child("ip"), *first, "must be equal to `hostIP`");
    }
    for (field, addresses) in [("podIPs", pod), ("hostIPs", host)] {
        let path = path.child(field);
        for (index, address) in addresses.iter().enumerate() {
            complain(errors, &path.index(index), address, ip::valid(address));
            if addresses[..index].contains(address) {
                errors.duplicate(&path.index(index), *address);
            }
        }
        let v4 = addresses.iter().filter(|address| ip::is_v4(address)).count();
        if v4 > 1 || addresses.len() - v4 > 1 {
            errors.invalid(&path, json(&addresses), "may specify no more than one IP for each IP family");
        }
    }
}
