//! ValidatingAdmissionPolicyBinding: where a policy applies, and with which parameters.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;

use super::matching;
use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a ValidatingAdmissionPolicyBinding does.
#[derive(Debug)]
struct ValidatingAdmissionPolicyBindingStrategy;

impl Strategy for ValidatingAdmissionPolicyBindingStrategy {
    type Object = ValidatingAdmissionPolicyBinding;

    spec_generation!();

    fn default(&self, binding: &mut ValidatingAdmissionPolicyBinding) {
        let spec = &mut binding.spec;
        spec.match_resources.iter_mut().for_each(matching::default_match);
        if let Some(param) = &mut spec.param_ref {
            param.parameter_not_found_action.get_or_insert_with(|| "Deny".into());
        }
    }

    fn validate(&self, binding: &ValidatingAdmissionPolicyBinding, _: &Surroundings, errors: &mut FieldErrors) {
        let spec = &binding.spec;
        matching::check_binding(Some(&spec.policy_name), spec.param_ref.as_ref(), errors);
        let path = Path::new("spec");
        matching::check_match(spec.match_resources.as_ref(), false, &path.child("matchResources"), errors);
        let at = path.child("validationActions");
        if spec.validation_actions.is_empty() {
            errors.required(&at, "at least one validation action is required");
        }
        for (index, action) in spec.validation_actions.iter().enumerate() {
            if !["Audit", "Deny", "Warn"].contains(&action.as_str()) {
                errors.not_supported(&at.index(index), action, &["Audit", "Deny", "Warn"]);
            } else if spec.validation_actions[..index].contains(action) {
                errors.duplicate(&at.index(index), action);
            }
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
            Column::text("ParamRef", "ParamRef indicates the param resource which sets the configration param"),
            Column::age(),
        ]
    }

    fn cells(&self, binding: &ValidatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Cell> {
        let spec = Some(&binding.spec);
        vec![
            Cell::name(&binding.metadata),
            binding.spec.policy_name.as_str().into(),
            matching::param_ref(spec.and_then(|spec| spec.param_ref.as_ref())).into(),
            Cell::age(&binding.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ValidatingAdmissionPolicyBindingStrategy).categories(&["api-extensions"])
}
