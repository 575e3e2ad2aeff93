//! Event: something that happened to an object. Both groups that serve events store this form.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::api::field::Path;
use crate::api::rules::{self, label, name};
use crate::api::{Cell, Column, FieldErrors, Kind, Propagation, Strategy, Surroundings};

const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// What an Event does.
#[derive(Debug)]
struct EventStrategy;

impl Strategy for EventStrategy {
    type Object = Event;

    fn propagation(&self) -> Option<Propagation> {
        None
    }

    fn validate(&self, event: &Event, _: &Surroundings, errors: &mut FieldErrors) {
        check(event, "reportingComponent", errors);
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn field<'a>(&self, event: &'a Event, field: &str) -> Cow<'a, str> {
        field_of(event, field).into()
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn cells(&self, event: &Event, now: Timestamp) -> Vec<Cell> {
        cells(event, now)
    }
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// The checks that both groups share; `component` is what the group calls the reporting component.
pub(crate) fn check(event: &Event, component: &str, errors: &mut FieldErrors) {
    let (own, involved) = (text(&event.metadata.namespace), text(&event.involved_object.namespace));
    let agrees = match (event.event_time.is_some(), involved.is_empty()) {
        (true, true) => matches!(own, "default" | "kube-system"),
        (true, false) => true,
        (false, true) => matches!(own, "" | "default"),
        (false, false) => own == involved,
    };
    if !agrees {
        let path = Path::new("involvedObject");
        errors.invalid(&path.child("namespace"), involved, "does not match event.namespace");
    }
    if event.event_time.is_some() {
        check_new_fields(event, component, errors);
    }
    rules::complain(errors, &Path::new("namespace"), own, name::dns_subdomain(own));
}

/// What an event that says when it happened must say besides.
fn check_new_fields(event: &Event, component: &str, errors: &mut FieldErrors) {
    let path = Path::new(component);
    match text(&event.reporting_component) {
        "" => errors.required(&path, ""),
        name => rules::complain(errors, &path, name, label::qualified_name(name)),
    }
    for (field, value) in
        [("reportingInstance", &event.reporting_instance), ("action", &event.action), ("reason", &event.reason)]
    {
        match text(value) {
            "" => errors.required(&Path::new(field), ""),
            text if text.len() > MAX_REASON => {
                errors.invalid(&Path::new(field), "", format!("can have at most {MAX_REASON} characters"));
            }
            _ => {}
        }
    }
    if text(&event.message).len() > MAX_NOTE {
        errors.invalid(&Path::new("message"), "", format!("can have at most {MAX_NOTE} characters"));
    }
}

/// The value of a selectable field, by its core name.
pub(crate) fn field_of<'a>(event: &'a Event, field: &str) -> &'a str {
    let object = &event.involved_object;
    match field {
        "involvedObject.kind" => text(&object.kind),
        "involvedObject.namespace" => text(&object.namespace),
        "involvedObject.name" => text(&object.name),
        "involvedObject.uid" => text(&object.uid),
        "involvedObject.apiVersion" => text(&object.api_version),
        "involvedObject.resourceVersion" => text(&object.resource_version),
        "involvedObject.fieldPath" => text(&object.field_path),
        "reason" => text(&event.reason),
        "reportingComponent" => text(&event.reporting_component),
        "source" => match event.source.as_ref().map(|source| text(&source.component)) {
            None | Some("") => text(&event.reporting_component),
            Some(component) => component,
        },
        "type" => text(&event.type_),
        _ => "",
    }
}

pub(crate) fn columns() -> Vec<Column> {
    vec![
        Column::text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
        Column::text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
        Column::text("Reason", "This should be a short, machine understandable string that gives the reason."),
        Column::text("Object", "The object that this event is about."),
        Column::text("Subobject", "The part of the object that this event is about.").wide(),
        Column::text("Source", "The component reporting this event.").wide(),
        Column::text("Message", "A human-readable description of the status of this operation."),
        Column::text("First Seen", "The time at which the event was first recorded.").wide(),
        Column::text("Count", "The number of times this event has occurred.").wide(),
        Column::name().wide(),
    ]
}

pub(crate) fn cells(event: &Event, now: Timestamp) -> Vec<Cell> {
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    let micro = |time: &Option<MicroTime>| time.as_ref().map(|time| time.0);
    let first = time(&event.first_timestamp).or_else(|| micro(&event.event_time));
    let (last, count) = match &event.series {
        Some(series) => (micro(&series.last_observed_time), series.count.unwrap_or_default()),
        None => (time(&event.last_timestamp).or(first), event.count.unwrap_or_default().max(1)),
    };
    let object = &event.involved_object;
    let kind = text(&object.kind).to_lowercase();
    let object_text = if text(&object.name).is_empty() { kind } else { format!("{kind}/{}", text(&object.name)) };
    vec![
        Cell::since(last, now),
        text(&event.type_).into(),
        text(&event.reason).into(),
        object_text.into(),
        text(&object.field_path).into(),
        source(event).into(),
        text(&event.message).trim().into(),
        Cell::since(first, now),
        count.into(),
        Cell::name(&event.metadata),
    ]
}

fn source(event: &Event) -> String {
    let either = |old: Option<&str>, new| match old {
        None | Some("") => text(new).to_owned(),
        Some(old) => old.to_owned(),
    };
    let source = event.source.as_ref();
    let component = either(source.map(|source| text(&source.component)), &event.reporting_component);
    let instance = either(source.map(|source| text(&source.host)), &event.reporting_instance);
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(EventStrategy).short(&["ev"]).selectable(&[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ])
}
