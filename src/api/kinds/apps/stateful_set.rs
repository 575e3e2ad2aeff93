//! StatefulSet: pods with stable names and volumes of their own.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{given, json, label, not_negative, one_of, same, share};
use crate::api::{Cell, Column, Kind, NameRule, ScaleView, Strategy, Subresource, Surroundings};

/// What a StatefulSet does.
#[derive(Debug)]
struct StatefulSetStrategy;

impl Strategy for StatefulSetStrategy {
    type Object = StatefulSet;

    fn default(&self, object: &mut StatefulSet) {
        let spec = object.spec.get_or_insert_default();
        default_template(&mut spec.template);
        text(&mut spec.pod_management_policy, "OrderedReady");
        let update = spec.update_strategy.get_or_insert_default();
        text(&mut update.type_, "RollingUpdate");
        if update.type_.as_deref() == Some("RollingUpdate") {
            let rolling = update.rolling_update.get_or_insert_default();
            rolling.partition.get_or_insert(0);
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        text(&mut retention.when_deleted, "Retain");
        text(&mut retention.when_scaled, "Retain");
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        for claim in spec.volume_claim_templates.iter_mut().flatten() {
            text(&mut claim.status.get_or_insert_default().phase, "Pending");
            claim.spec.get_or_insert_default().volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        }
        object.status.get_or_insert_default();
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    separate_status!();
    spec_generation!();

    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel
    }

    fn validate(&self, object: &StatefulSet, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let no_spec = StatefulSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let policy = given(&spec.pod_management_policy);
        let policy_path = path.child("podManagementPolicy");
        match policy {
            "" => errors.required(&policy_path, ""),
            "OrderedReady" | "Parallel" => {}
            _ => errors.invalid(&policy_path, policy, "must be 'OrderedReady' or 'Parallel'"),
        }
        validate_update_strategy(errors, &path.child("updateStrategy"), spec);
        let retention = spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
        for (field, policy) in [("whenDeleted", retention.when_deleted), ("whenScaled", retention.when_scaled)] {
            let path = path.child("persistentVolumeClaimRetentionPolicy");
            one_of(errors, &path.child(field), policy.as_deref(), &["Retain", "Delete"]);
        }
        not_negative(errors, &path.child("replicas"), spec.replicas.unwrap_or(0));
        not_negative(errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or(0));
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        not_negative(errors, &path.child("ordinals.start"), start);
        not_negative(errors, &path.child("revisionHistoryLimit"), spec.revision_history_limit.unwrap_or(0));
        pod_template::validate_selector(errors, &path.child("selector"), &spec.selector, "statefulset");
        pod_template::validate_running(errors, &path, &spec.template, &spec.selector, "StatefulSet");
    }

    fn validate_update(&self, new: &StatefulSet, old: &StatefulSet, around: &Surroundings, errors: &mut FieldErrors) {
        self.validate(new, around, errors);
        let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return };
        let kept = StatefulSetSpec {
            replicas: old.replicas,
            ordinals: old.ordinals.clone(),
            template: old.template.clone(),
            update_strategy: old.update_strategy.clone(),
            revision_history_limit: old.revision_history_limit,
            persistent_volume_claim_retention_policy: old.persistent_volume_claim_retention_policy.clone(),
            min_ready_seconds: old.min_ready_seconds,
            ..new.clone()
        };
        if !same(&kept, old) {
            errors.forbidden(
                &Path::new("spec"),
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            );
        }
    }

    fn warnings(&self, new: &StatefulSet, old: Option<&StatefulSet>) -> Vec<String> {
        let template = |object: &StatefulSet| object.spec.as_ref().map(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::text("Ready", "Number of the pod with ready state"),
            Column::age(),
            containers,
            images,
        ]
    }

    fn cells(&self, object: &StatefulSet, now: Timestamp) -> Vec<Cell> {
        let no_spec = StatefulSetSpec::default();
        let spec = object.spec.as_ref().unwrap_or(&no_spec);
        let ready = object.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let [containers, images] = container_cells(Some(&spec.template));
        vec![
            Cell::name(&object.metadata),
            format!("{ready}/{}", spec.replicas.unwrap_or(0)).into(),
            Cell::age(&object.metadata, now),
            containers,
            images,
        ]
    }

    fn scale(&self, object: &StatefulSet) -> Option<ScaleView> {
        let spec = object.spec.as_ref()?;
        Some(ScaleView {
            replicas: spec.replicas.unwrap_or(0),
            observed: object.status.as_ref().map_or(0, |status| status.replicas),
            selector: label::selector_query(&spec.selector),
        })
    }

    fn set_scale(&self, object: &mut StatefulSet, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}

fn validate_update_strategy(errors: &mut FieldErrors, path: &Path<'_>, spec: &StatefulSetSpec) {
    let update = spec.update_strategy.clone().unwrap_or_default();
    let rolling_path = path.child("rollingUpdate");
    match (given(&update.type_), &update.rolling_update) {
        ("", _) => errors.required(path, ""),
        ("OnDelete", Some(rolling)) => {
            errors.invalid(&rolling_path, json(rolling), "only allowed for updateStrategy 'RollingUpdate'");
        }
        ("OnDelete", None) | ("RollingUpdate", None) => {}
        ("RollingUpdate", Some(rolling)) => {
            not_negative(errors, &rolling_path.child("partition"), rolling.partition.unwrap_or(0));
            if let Some(unavailable) = &rolling.max_unavailable {
                let path = rolling_path.child("maxUnavailable");
                share::check(errors, &path, unavailable);
                if share::is_zero(unavailable) {
                    errors.invalid(&path, json(unavailable), "cannot be 0");
                }
                share::at_most_all(errors, &path, unavailable);
            }
        }
        _ => errors.invalid(path, json(&update), "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(StatefulSetStrategy)
        .short(&["sts"])
        .categories(&["all"])
        .sub(Subresource::SCALE)
        .sub(Subresource::STATUS)
}
