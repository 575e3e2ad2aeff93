//! MutatingAdmissionPolicyBinding: where a policy applies, and with which parameters.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;

use super::matching;
use crate::api::field::Path;
use crate::api::kinds::separate_status::spec_generation;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// What a MutatingAdmissionPolicyBinding does.
#[derive(Debug)]
struct MutatingAdmissionPolicyBindingStrategy;

impl Strategy for MutatingAdmissionPolicyBindingStrategy {
    type Object = MutatingAdmissionPolicyBinding;

    spec_generation!();

    fn default(&self, binding: &mut MutatingAdmissionPolicyBinding) {
        let spec = binding.spec.get_or_insert_default();
        spec.match_resources.iter_mut().for_each(matching::default_match);
        if let Some(param) = &mut spec.param_ref {
            param.parameter_not_found_action.get_or_insert_with(|| "Deny".into());
        }
    }

    fn validate(&self, binding: &MutatingAdmissionPolicyBinding, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &binding.spec else { return };
        matching::check_binding(spec.policy_name.as_deref(), spec.param_ref.as_ref(), errors);
        let path = Path::new("spec");
        matching::check_match(spec.match_resources.as_ref(), false, &path.child("matchResources"), errors);
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

    fn cells(&self, binding: &MutatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Cell> {
        let spec = binding.spec.as_ref();
        vec![
            Cell::name(&binding.metadata),
            spec.and_then(|spec| spec.policy_name.clone()).unwrap_or_default().into(),
            matching::param_ref(spec.and_then(|spec| spec.param_ref.as_ref())).into(),
            Cell::age(&binding.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(MutatingAdmissionPolicyBindingStrategy).categories(&["api-extensions"])
}
