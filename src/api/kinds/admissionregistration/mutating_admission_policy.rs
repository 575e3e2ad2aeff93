//! MutatingAdmissionPolicy: changes made to objects on their way in.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;

use super::matching;
use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a MutatingAdmissionPolicy does.
#[derive(Debug)]
struct MutatingAdmissionPolicyStrategy;

impl Strategy for MutatingAdmissionPolicyStrategy {
    type Object = MutatingAdmissionPolicy;

    spec_generation!();

    fn default(&self, policy: &mut MutatingAdmissionPolicy) {
        let spec = policy.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".into());
        if let Some(resources) = &mut spec.match_constraints {
            matching::default_match(resources);
        }
    }

    fn validate(&self, policy: &MutatingAdmissionPolicy, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &policy.spec else { return };
        let path = Path::new("spec");
        matching::check_failure_policy(spec.failure_policy.as_deref(), &path.child("failurePolicy"), errors);
        matching::check_match(spec.match_constraints.as_ref(), true, &path.child("matchConstraints"), errors);
        let at = path.child("mutations");
        if spec.mutations.as_ref().is_none_or(Vec::is_empty) {
            errors.required(&at, "mutations must contain at least one item");
        }
        for (index, mutation) in spec.mutations.iter().flatten().enumerate() {
            let at = at.index(index);
            match mutation.patch_type.as_str() {
                "ApplyConfiguration" if mutation.apply_configuration.is_none() => {
                    errors.required(
                        &at.child("applyConfiguration"),
                        "must be specified when patchType is ApplyConfiguration",
                    );
                }
                "JSONPatch" if mutation.json_patch.is_none() => {
                    errors.required(&at.child("jsonPatch"), "must be specified when patchType is JSONPatch");
                }
                "ApplyConfiguration" | "JSONPatch" => {}
                "" => errors.required(&at.child("patchType"), ""),
                other => errors.not_supported(&at.child("patchType"), other, &["ApplyConfiguration", "JSONPatch"]),
            }
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::integer(
                "Mutations",
                "Mutations indicates the number of mutations rules defined in this configuration",
            ),
            Column::text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
            Column::age(),
        ]
    }

    fn cells(&self, policy: &MutatingAdmissionPolicy, now: Timestamp) -> Vec<Cell> {
        let spec = policy.spec.as_ref();
        vec![
            Cell::name(&policy.metadata),
            spec.and_then(|spec| spec.mutations.as_ref()).map_or(0, Vec::len).into(),
            matching::param_kind(spec.and_then(|spec| spec.param_kind.as_ref())).into(),
            Cell::age(&policy.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(MutatingAdmissionPolicyStrategy).categories(&["api-extensions"])
}
