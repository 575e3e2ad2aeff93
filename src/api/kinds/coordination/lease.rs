//! Lease: who leads, or who is alive.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// How coordinated leader election chooses.
const STRATEGIES: &[&str] = &["OldestEmulationVersion"];

/// What a Lease does.
#[derive(Debug)]
struct LeaseStrategy;

impl Strategy for LeaseStrategy {
    type Object = Lease;

    fn default(&self, lease: &mut Lease) {
        lease.spec.get_or_insert_default();
    }

    fn validate(&self, lease: &Lease, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &lease.spec else { return };
        let at = Path::new("spec");
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.invalid(&at.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        if let Some(count) = spec.lease_transitions.filter(|count| *count < 0) {
            errors.invalid(&at.child("leaseTransitions"), count, "must be greater than or equal to 0");
        }
        if let Some(strategy) = &spec.strategy {
            // The doubled name is upstream's.
            let at = at.child("strategy.strategy");
            if strategy.contains('/') {
                rules::complain(errors, &at, strategy, rules::label::qualified_name(strategy));
            } else if !STRATEGIES.contains(&strategy.as_str()) {
                errors.not_supported(&at, strategy, STRATEGIES);
            }
        }
        if spec.strategy.is_none() && spec.preferred_holder.as_deref().is_some_and(|holder| !holder.is_empty()) {
            errors.forbidden(&at.child("preferredHolder"), "may only be specified if `strategy` is defined");
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        let holder = "holderIdentity contains the identity of the holder of a current lease.";
        vec![Column::name(), Column::text("Holder", holder), Column::age()]
    }

    fn cells(&self, lease: &Lease, now: Timestamp) -> Vec<Cell> {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
        vec![Cell::name(&lease.metadata), Cell::opt(holder), Cell::age(&lease.metadata, now)]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(LeaseStrategy)
}
