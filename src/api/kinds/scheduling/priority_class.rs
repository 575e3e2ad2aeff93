//! PriorityClass: a name for a priority.

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use crate::api::field::Path;
use crate::api::rules;
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Surroundings};

/// The highest priority of a class that is not the system's.
const HIGHEST: i32 = 1_000_000_000;
/// The classes of the system, which may stand above it.
const SYSTEM: &[(&str, i32)] = &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
const POLICIES: &[&str] = &["Never", "PreemptLowerPriority"];

/// What a PriorityClass does.
#[derive(Debug)]
struct PriorityClassStrategy;

impl Strategy for PriorityClassStrategy {
    type Object = PriorityClass;

    fn default(&self, class: &mut PriorityClass) {
        class.value.get_or_insert_default();
        class.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
    }

    fn generation_changes(&self, _: &PriorityClass, _: &PriorityClass) -> Option<bool> {
        Some(false)
    }

    fn validate(&self, class: &PriorityClass, _: &Surroundings, errors: &mut FieldErrors) {
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let value = class.value.unwrap_or_default();
        if name.starts_with("system-") {
            if !SYSTEM.contains(&(name, value)) {
                let detail = "priority class names with 'system-' prefix are reserved for system use only";
                let path = Path::new("metadata");
                errors.forbidden(&path.child("name"), detail);
            }
        } else if value > HIGHEST {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
            errors.forbidden(&Path::new("value"), detail);
        }
        if let Some(policy) = class.preemption_policy.as_deref().filter(|policy| !POLICIES.contains(policy)) {
            errors.not_supported(&Path::new("preemptionPolicy"), policy, POLICIES);
        }
    }

    fn validate_update(&self, new: &PriorityClass, old: &PriorityClass, _: &Surroundings, errors: &mut FieldErrors) {
        if new.value != old.value {
            errors.forbidden(&Path::new("value"), "may not be changed in an update.");
        }
        if new.preemption_policy != old.preemption_policy {
            let policy = new.preemption_policy.as_deref().unwrap_or_default();
            errors.invalid(&Path::new("preemptionPolicy"), policy, rules::IMMUTABLE);
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::integer("Value", "value represents the integer value of this priority class."),
            Column::boolean("Global-Default", "Whether this class is the default of pods without a priority class."),
            Column::age(),
            Column::text("PreemptionPolicy", "The policy for preempting pods with lower priority."),
        ]
    }

    fn cells(&self, class: &PriorityClass, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::name(&class.metadata),
            class.value.unwrap_or_default().into(),
            class.global_default.unwrap_or_default().into(),
            Cell::age(&class.metadata, now),
            Cell::opt(class.preemption_policy.as_ref()),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(PriorityClassStrategy).short(&["pc"])
}
