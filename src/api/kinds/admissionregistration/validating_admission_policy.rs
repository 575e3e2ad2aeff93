//! ValidatingAdmissionPolicy: rules that objects must keep.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;

use super::matching;
use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a ValidatingAdmissionPolicy does.
#[derive(Debug)]
struct ValidatingAdmissionPolicyStrategy;

impl Strategy for ValidatingAdmissionPolicyStrategy {
    type Object = ValidatingAdmissionPolicy;

    separate_status!();
    spec_generation!();

    fn default(&self, policy: &mut ValidatingAdmissionPolicy) {
        let spec = policy.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".into());
        if let Some(resources) = &mut spec.match_constraints {
            matching::default_match(resources);
        }
        policy.status.get_or_insert_default();
    }

    fn validate(&self, policy: &ValidatingAdmissionPolicy, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &policy.spec else { return };
        let path = Path::new("spec");
        matching::check_failure_policy(spec.failure_policy.as_deref(), &path.child("failurePolicy"), errors);
        matching::check_match(spec.match_constraints.as_ref(), true, &path.child("matchConstraints"), errors);
        let empty = |len: Option<usize>| len.unwrap_or_default() == 0;
        if empty(spec.validations.as_ref().map(Vec::len)) && empty(spec.audit_annotations.as_ref().map(Vec::len)) {
            for field in ["validations", "auditAnnotations"] {
                errors.required(&path.child(field), "validations or auditAnnotations must contain at least one item");
            }
        }
        let at = path.child("validations");
        for (index, validation) in spec.validations.iter().flatten().enumerate() {
            if validation.expression.trim().is_empty() {
                errors.required(&at.index(index).child("expression"), "expression is not specified");
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
                "Validations",
                "Validations indicates the number of validations rules defined in this configuration",
            ),
            Column::text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
            Column::age(),
        ]
    }

    fn cells(&self, policy: &ValidatingAdmissionPolicy, now: Timestamp) -> Vec<Cell> {
        let spec = policy.spec.as_ref();
        vec![
            Cell::name(&policy.metadata),
            spec.and_then(|spec| spec.validations.as_ref()).map_or(0, Vec::len).into(),
            matching::param_kind(spec.and_then(|spec| spec.param_kind.as_ref())).into(),
            Cell::age(&policy.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ValidatingAdmissionPolicyStrategy).categories(&["api-extensions"]).sub(Subresource::STATUS)
}
