//! PodDisruptionBudget: how many pods must stay up while others are evicted.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{self, label};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

const EVICTION_POLICIES: &[&str] = &["AlwaysAllow", "IfHealthyBudget"];

/// What a PodDisruptionBudget does.
#[derive(Debug)]
struct BudgetStrategy;

impl Strategy for BudgetStrategy {
    type Object = PodDisruptionBudget;

    separate_status!();
    spec_generation!();

    fn default(&self, budget: &mut PodDisruptionBudget) {
        budget.spec.get_or_insert_default();
        let status = budget.status.get_or_insert_default();
        for count in [
            &mut status.current_healthy,
            &mut status.desired_healthy,
            &mut status.disruptions_allowed,
            &mut status.expected_pods,
        ] {
            count.get_or_insert_default();
        }
    }

    fn validate(&self, budget: &PodDisruptionBudget, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &budget.spec else { return };
        let path = Path::new("spec");
        if spec.min_available.is_some() && spec.max_unavailable.is_some() {
            let shown = serde_json::to_value(spec).unwrap_or_default();
            errors.invalid(&path, shown, "minAvailable and maxUnavailable cannot be both set");
        }
        for (field, amount) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
            match amount {
                Some(IntOrString::Int(count)) => rules::not_negative(errors, &path.child(field), *count),
                Some(IntOrString::String(text)) => check_percent(text, &path.child(field), errors),
                None => {}
            }
        }
        if let Some(selector) = &spec.selector {
            label::selector(errors, &path.child("selector"), selector);
        }
        if let Some(policy) = spec.unhealthy_pod_eviction_policy.as_deref()
            && !EVICTION_POLICIES.contains(&policy)
        {
            errors.not_supported(&path.child("unhealthyPodEvictionPolicy"), policy, EVICTION_POLICIES);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Min Available", "The minimum number of pods that must be available."),
            Column::text("Max Unavailable", "The maximum number of pods that may be unavailable."),
            Column::integer("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
            Column::age(),
        ]
    }

    fn cells(&self, budget: &PodDisruptionBudget, now: Timestamp) -> Vec<Cell> {
        let amount = |amount: Option<&IntOrString>| -> Cell {
            match amount {
                Some(IntOrString::Int(count)) => count.to_string().into(),
                Some(IntOrString::String(text)) => text.as_str().into(),
                None => "N/A".into(),
            }
        };
        let spec = budget.spec.as_ref();
        let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed);
        vec![
            Cell::name(&budget.metadata),
            amount(spec.and_then(|spec| spec.min_available.as_ref())),
            amount(spec.and_then(|spec| spec.max_unavailable.as_ref())),
            allowed.unwrap_or_default().into(),
            Cell::age(&budget.metadata, now),
        ]
    }
}

/// A percentage from 0 to 100.
fn check_percent(text: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty());
    match digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        None => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' \
                          (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            errors.invalid(path, text, detail);
        }
        Some(digits) if digits.parse::<u32>().is_ok_and(|percent| percent <= 100) => {}
        Some(_) => errors.invalid(path, text, "must not be greater than 100%"),
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(BudgetStrategy).short(&["pdb"]).sub(Subresource::STATUS)
}
