//! Event of `events.k8s.io`: another form of the core group's, which is the one stored.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1::{Event, EventSeries};

use crate::api::field::Path;
use crate::api::kinds::core::event::{cells, check, columns, field_of};
use crate::api::{
    ApiError, Body, Cell, Column, Conversion, FieldErrors, Kind, Object, Propagation, Strategy, Surroundings, WrongKind,
};

/// What an Event does.
#[derive(Debug)]
struct EventStrategy;

impl Strategy for EventStrategy {
    type Object = Event;

    fn propagation(&self) -> Option<Propagation> {
        None
    }

    fn validate(&self, event: &Event, _: &Surroundings, errors: &mut FieldErrors) {
        check(&stored(event), "reportingController", errors);
        if event.event_time.is_none() {
            errors.required(&Path::new("eventTime"), "");
        }
        let r#type = event.type_.as_deref().unwrap_or_default();
        if !matches!(r#type, "Normal" | "Warning") {
            errors.invalid(&Path::new("type"), "", format!("has invalid value: {type}"));
        }
        for (field, set) in [
            ("firstTimestamp", event.deprecated_first_timestamp.is_some()),
            ("lastTimestamp", event.deprecated_last_timestamp.is_some()),
            ("count", event.deprecated_count.unwrap_or_default() != 0),
            ("source", event.deprecated_source.as_ref().is_some_and(|source| *source != Default::default())),
        ] {
            if set {
                errors.invalid(&Path::new(field), "", "needs to be unset");
            }
        }
        if event.series.as_ref().is_some_and(|series| series.count < 2) {
            errors.invalid(&Path::new("series.count"), "", "should be at least 2");
        }
    }

    fn validate_update(&self, new: &Event, old: &Event, _: &Surroundings, errors: &mut FieldErrors) {
        for (field, same) in [
            ("involvedObject", new.regarding == old.regarding),
            ("reason", new.reason == old.reason),
            ("message", new.note == old.note),
            ("type", new.type_ == old.type_),
            ("eventTime", new.event_time == old.event_time),
            ("action", new.action == old.action),
            ("related", new.related == old.related),
            ("reportingController", new.reporting_controller == old.reporting_controller),
            ("reportingInstance", new.reporting_instance == old.reporting_instance),
        ] {
            if !same {
                errors.invalid(&Path::new(field), "", crate::api::rules::IMMUTABLE);
            }
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn field<'a>(&self, event: &'a Event, field: &str) -> Cow<'a, str> {
        let name = match field.strip_prefix("regarding.") {
            Some(rest) => format!("involvedObject.{rest}"),
            None if field == "reportingController" => "reportingComponent".into(),
            None => field.to_owned(),
        };
        field_of(&stored(event), &name).to_owned().into()
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn cells(&self, event: &Event, now: Timestamp) -> Vec<Cell> {
        cells(&stored(event), now)
    }
}

fn stored(event: &Event) -> core::Event {
    let event = event.clone();
    core::Event {
        metadata: event.metadata,
        involved_object: event.regarding.unwrap_or_default(),
        related: event.related,
        reason: event.reason,
        message: event.note,
        action: event.action,
        type_: event.type_,
        event_time: event.event_time,
        series: event.series.map(|series| core::EventSeries {
            count: Some(series.count),
            last_observed_time: Some(series.last_observed_time),
        }),
        reporting_component: event.reporting_controller,
        reporting_instance: event.reporting_instance,
        source: event.deprecated_source,
        first_timestamp: event.deprecated_first_timestamp,
        last_timestamp: event.deprecated_last_timestamp,
        count: event.deprecated_count,
    }
}

fn served(event: &core::Event) -> Event {
    let event = event.clone();
    Event {
        metadata: event.metadata,
        regarding: Some(event.involved_object),
        related: event.related,
        reason: event.reason,
        note: event.message,
        action: event.action,
        type_: event.type_,
        event_time: event.event_time,
        series: event.series.and_then(|series| {
            let last_observed_time = series.last_observed_time?;
            Some(EventSeries { count: series.count.unwrap_or_default(), last_observed_time })
        }),
        reporting_controller: event.reporting_component,
        reporting_instance: event.reporting_instance,
        deprecated_source: event.source,
        deprecated_first_timestamp: event.first_timestamp,
        deprecated_last_timestamp: event.last_timestamp,
        deprecated_count: event.count,
    }
}

fn to_stored(body: &dyn Body) -> Result<Arc<dyn Body>, ApiError> {
    let event: &Event = body.as_any().downcast_ref().ok_or(WrongKind { wanted: "Event", found: "another".into() })?;
    Ok(Arc::new(stored(event)))
}

fn from_stored(object: &Object) -> Result<Arc<dyn Body>, ApiError> {
    Ok(Arc::new(served(&*object.typed::<core::Event>()?)))
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(EventStrategy)
        .short(&["ev"])
        .selectable(&[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ])
        .converted(Conversion { stored: ("", "v1", "Event"), to_stored, from_stored }, "events")
}
