//! PriorityLevelConfiguration: how many requests of a kind run at once.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;

use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

/// What a PriorityLevelConfiguration does.
#[derive(Debug)]
struct PriorityLevelStrategy;

impl Strategy for PriorityLevelStrategy {
    type Object = PriorityLevelConfiguration;

    separate_status!();
    spec_generation!();

    fn default(&self, level: &mut PriorityLevelConfiguration) {
        let spec = level.spec.get_or_insert_default();
        if let Some(limited) = &mut spec.limited {
            limited.nominal_concurrency_shares.get_or_insert(30);
            limited.lendable_percent.get_or_insert(0);
            if let Some(queuing) = limited.limit_response.as_mut().and_then(|response| response.queuing.as_mut()) {
                queuing.hand_size.get_or_insert(8);
                queuing.queues.get_or_insert(64);
                queuing.queue_length_limit.get_or_insert(50);
            }
        }
        if let Some(exempt) = &mut spec.exempt {
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        level.status.get_or_insert_default();
    }

    fn validate(&self, level: &PriorityLevelConfiguration, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &level.spec else { return };
        let path = Path::new("spec");
        match (spec.type_.as_str(), &spec.limited, &spec.exempt) {
            ("Limited", None, _) => errors.required(&path.child("limited"), "must not be empty when type is Limited"),
            ("Limited", _, Some(_)) => errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited"),
            ("Exempt", Some(_), _) => {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited")
            }
            ("Limited" | "Exempt", ..) => {}
            (other, ..) => errors.not_supported(&path.child("type"), other, &["Exempt", "Limited"]),
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Type", "Whether this priority level is subject to limitation on request execution."),
            Column::text("NominalConcurrencyShares", "Contributes to the number of seats available at this level."),
            Column::text("Queues", "The number of queues for this priority level."),
            Column::text("HandSize", "How many queues a request may be put into."),
            Column::text("QueueLengthLimit", "How many requests may wait in a queue."),
            Column::age(),
        ]
    }

    fn cells(&self, level: &PriorityLevelConfiguration, now: Timestamp) -> Vec<Cell> {
        let spec = level.spec.as_ref();
        let limited = spec.and_then(|spec| spec.limited.as_ref());
        let exempt = spec.and_then(|spec| spec.exempt.as_ref()).and_then(|exempt| exempt.nominal_concurrency_shares);
        let queuing = limited.and_then(|limited| limited.limit_response.as_ref()?.queuing.as_ref());
        let number = |number: Option<i32>| -> Cell { number.map_or_else(|| "<none>".into(), |n| n.to_string().into()) };
        vec![
            Cell::name(&level.metadata),
            spec.map_or("", |spec| &spec.type_).into(),
            number(limited.and_then(|limited| limited.nominal_concurrency_shares).or(exempt)),
            number(queuing.and_then(|queuing| queuing.queues)),
            number(queuing.and_then(|queuing| queuing.hand_size)),
            number(queuing.and_then(|queuing| queuing.queue_length_limit)),
            Cell::age(&level.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(PriorityLevelStrategy).sub(Subresource::STATUS)
}
