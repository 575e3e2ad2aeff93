//! Pod: containers that run together on one node.

mod affinity;
mod columns;
mod container;
mod defaults;
mod environment;
mod match_label_keys;
mod phase;
mod probe;
mod qos;
pub(crate) mod requests;
mod security;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod volume;
pub(crate) mod warnings;

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::separate_status::{restore, spec_generation};
use crate::api::{Cell, Column, Kind, Strategy, Subresource, Surroundings};

pub(crate) use self::defaults::{default_pod_spec, text};
pub(crate) use self::phase::is_final;
pub use self::phase::{condition, is_ready, is_terminal, phase};
pub(crate) use self::qos::qos_class;
pub(crate) use self::validate::{pod_annotations, pod_spec};

/// What a Pod does.
#[derive(Debug)]
struct PodStrategy;

impl Strategy for PodStrategy {
    type Object = Pod;

    fn default(&self, pod: &mut Pod) {
        defaults::default_pod(pod);
    }

    fn prepare_create(&self, pod: &mut Pod, _: &Surroundings) {
        let spec = pod.spec.get_or_insert_default();
        match_label_keys::merge(spec, pod.metadata.labels.as_ref());
        pod.status = Some(PodStatus {
            phase: Some("Pending".to_owned()),
            qos_class: Some(qos_class(spec).to_owned()),
            conditions: gated(spec).map(|condition| vec![condition]),
            ..PodStatus::default()
        });
    }

    fn prepare_update(&self, new: &mut Pod, old: &Pod, _: &Surroundings) {
        restore(&mut new.status, &old.status);
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    fn prepare_status(&self, new: &mut Pod, old: &Pod, _: &Surroundings) {
        restore(&mut new.spec, &old.spec);
        restore(&mut new.metadata.owner_references, &old.metadata.owner_references);
        let status = new.status.get_or_insert_default();
        let Some(kept) = &old.status else { return };
        if status.qos_class.as_deref().is_none_or(str::is_empty) {
            status.qos_class.clone_from(&kept.qos_class);
        }
        if status.observed_generation.unwrap_or(0) == 0 {
            status.observed_generation = kept.observed_generation;
        }
        keep_observed_generations(status, kept.conditions.as_deref().unwrap_or_default());
    }

    fn status_changes(&self, new: &Pod, old: &Pod) -> bool {
        new.status != old.status
    }

    fn prepare_subresource(&self, name: &str, new: &mut Pod, old: &Pod, _: &Surroundings) {
        match name {
            "ephemeralcontainers" => update::prepare_ephemeral_containers(new, old),
            "resize" => update::prepare_resize(new, old),
            _ => {}
        }
    }

    spec_generation!();

    fn validate(&self, pod: &Pod, _: &Surroundings, errors: &mut FieldErrors) {
        validate::created(pod, errors);
    }

    fn validate_update(&self, new: &Pod, old: &Pod, _: &Surroundings, errors: &mut FieldErrors) {
        update::validate(new, old, errors);
    }

    fn validate_status(&self, new: &Pod, old: &Pod, _: &Surroundings, errors: &mut FieldErrors) {
        update::validate_status(new, old, errors);
    }

    fn validate_subresource(&self, name: &str, new: &Pod, old: &Pod, around: &Surroundings, errors: &mut FieldErrors) {
        match name {
            "ephemeralcontainers" => update::validate_ephemeral_containers(new, old, errors),
            "resize" => update::validate_resize(new, old, errors),
            _ => self.validate_update(new, old, around, errors),
        }
    }

    /// Upstream says nothing on updates: few people write pods directly, and often.
    fn warnings(&self, new: &Pod, old: Option<&Pod>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        let spec = new.spec.iter().flat_map(|spec| warnings::of_spec(&Path::new("spec"), spec));
        warnings::of_pod_name(&new.metadata.name).into_iter().chain(spec).collect()
    }

    fn grace_period(&self, pod: &Pod, asked: Option<i64>) -> Option<i64> {
        let spec = pod.spec.as_ref();
        let scheduled = spec.and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
        if !scheduled || is_terminal(pod) {
            return Some(0);
        }
        let period = asked.or_else(|| spec.and_then(|spec| spec.termination_grace_period_seconds)).unwrap_or(0);
        Some(if period < 0 { 1 } else { period })
    }

    fn field<'a>(&self, pod: &'a Pod, field: &str) -> Cow<'a, str> {
        let text = |text: Option<&'a String>| Cow::Borrowed(text.map_or("", String::as_str));
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        match field {
            "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
            "spec.restartPolicy" => text(spec.and_then(|spec| spec.restart_policy.as_ref())),
            "spec.schedulerName" => text(spec.and_then(|spec| spec.scheduler_name.as_ref())),
            "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
            "spec.hostNetwork" => {
                Cow::Borrowed(if spec.and_then(|spec| spec.host_network) == Some(true) { "true" } else { "false" })
            }
            "status.phase" => text(status.and_then(|status| status.phase.as_ref())),
            "status.podIP" => text(status.and_then(|status| status.pod_ips.iter().flatten().next()).map(|ip| &ip.ip)),
            "status.nominatedNodeName" => text(status.and_then(|status| status.nominated_node_name.as_ref())),
            _ => Cow::Borrowed(""),
        }
    }

    fn columns(&self) -> Vec<Column> {
        columns::columns()
    }

    fn cells(&self, pod: &Pod, now: Timestamp) -> Vec<Cell> {
        columns::cells(pod, now)
    }
}

/// The condition of a pod that waits for its scheduling gates to go.
fn gated(spec: &PodSpec) -> Option<PodCondition> {
    spec.scheduling_gates.as_ref().filter(|gates| !gates.is_empty()).map(|_| PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        ..PodCondition::default()
    })
}

/// A writer that does not know `observedGeneration` does not clear it.
fn keep_observed_generations(status: &mut PodStatus, old: &[PodCondition]) {
    for condition in status.conditions.iter_mut().flatten() {
        if condition.observed_generation.unwrap_or(0) == 0
            && let Some(old) = old.iter().find(|old| old.type_ == condition.type_)
        {
            condition.observed_generation = old.observed_generation;
        }
    }
}

const fn sub(
    name: &'static str,
    body: Option<(&'static str, &'static str, &'static str)>,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, body, verbs }
}

const WRITE: &[&str] = &["get", "patch", "update"];

/// As discovery lists them.
const SUBRESOURCES: &[Subresource] = &[
    sub("attach", Some(("", "v1", "PodAttachOptions")), &["create", "get"]),
    sub("binding", Some(("", "v1", "Binding")), &["create"]),
    sub("ephemeralcontainers", None, WRITE),
    sub("eviction", Some(("policy", "v1", "Eviction")), &["create"]),
    sub("exec", Some(("", "v1", "PodExecOptions")), &["create", "get"]),
    sub("log", None, &["get"]),
    sub("portforward", Some(("", "v1", "PodPortForwardOptions")), &["create", "get"]),
    sub("proxy", Some(("", "v1", "PodProxyOptions")), &["create", "delete", "get", "patch", "update"]),
    sub("resize", None, WRITE),
    Subresource::STATUS,
];

pub(crate) fn kind() -> Kind {
    let kind = Kind::builtin(PodStrategy).short(&["po"]).categories(&["all"]).selectable(&[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ]);
    SUBRESOURCES.iter().fold(kind, |kind, subresource| kind.sub(*subresource))
}
