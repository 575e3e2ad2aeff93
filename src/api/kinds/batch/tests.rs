//! What users are told of jobs that break rules.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use crate::api::{ApiType, FieldErrors, Kind, Surroundings};

fn merged<K: ApiType>(mut value: Value, patch: &str) -> K {
    let patch: Value = serde_yaml::from_str(patch).unwrap();
    json_patch::merge(&mut value["spec"], &patch);
    let mut object: K = serde_json::from_value(value).unwrap();
    Kind::of::<K>().strategy().default(&mut object);
    object
}

fn job(spec: &str) -> Job {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "a"}]}});
    let value = json!({"metadata": {"name": "count", "uid": "u"}, "spec": {"template": template}});
    let mut job = merged(value, spec);
    Kind::of::<Job>().strategy().prepare_create(&mut job, &Surroundings::default());
    job
}

fn created(spec: &str) -> String {
    let mut errors = FieldErrors::new();
    Kind::of::<Job>().strategy().validate(&job(spec), &Surroundings::default(), &mut errors);
    errors.to_string()
}

#[test]
fn a_job_gets_defaults_and_a_selector_of_its_own() {
    let spec = serde_json::to_value(job("{}").spec).unwrap();
    assert_eq!(spec["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
    assert_eq!(
        spec["template"]["metadata"]["labels"],
        json!({
            "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "count",
            "controller-uid": "u", "job-name": "count",
        })
    );
    for (field, value) in [
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("completions", json!(1)),
        ("manualSelector", json!(false)),
        ("parallelism", json!(1)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ("suspend", json!(false)),
    ] {
        assert_eq!(spec[field], value, "{field}");
    }
}

#[test]
fn mistakes_are_told_as_upstream_tells_them() {
    for (spec, expected) in [
        ("{}", "[]"),
        (
            "template: {spec: {restartPolicy: Always}}",
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        ("backoffLimit: -1", "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        (
            "{completionMode: Indexed, parallelism: 2}",
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        (
            "selector: {matchLabels: {a: b}}",
            "[spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u\"}}: \
             `selector` not auto-generated, spec.template.metadata.labels: Invalid value: \
             {\"batch.kubernetes.io/controller-uid\":\"u\",\"batch.kubernetes.io/job-name\":\"count\",\"controller-uid\":\"u\",\
             \"job-name\":\"count\"}: `selector` does not match template `labels`]",
        ),
        (
            "podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [0]}}]}",
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        ),
        (
            "{completionMode: Indexed, completions: 3, successPolicy: {rules: [{succeededIndexes: '0,2-5'}]}}",
            "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,2-5\": error parsing succeededIndexes: too \
             large index: \"5\"",
        ),
    ] {
        assert_eq!(created(spec), expected, "{spec}");
    }
}

#[test]
fn the_template_of_a_job_stays() {
    let update = |old: &str, new: &str| {
        let (old, mut new) = (job(old), job(new));
        new.metadata = old.metadata.clone();
        let mut errors = FieldErrors::new();
        Kind::of::<Job>().strategy().validate_update(&new, &old, &Surroundings::default(), &mut errors);
        errors.to_string()
    };
    assert_eq!(update("{}", "parallelism: 3\ncompletions: 1"), "[]");
    assert!(update("{}", "template: {spec: {hostname: a}}").ends_with(": field is immutable"));
    assert_eq!(update("completions: 1", "completions: 2"), "spec.completions: Invalid value: 2: field is immutable");
    assert_eq!(update("suspend: true", "{suspend: true, template: {spec: {nodeSelector: {a: b}}}}"), "[]");
}

#[test]
fn schedules_are_checked() {
    let created = |spec: &str| {
        let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "a"}]}});
        let spec_of = json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}});
        let cron: CronJob = merged(json!({"metadata": {"name": "a"}, "spec": spec_of}), spec);
        let mut errors = FieldErrors::new();
        Kind::of::<CronJob>().strategy().validate(&cron, &Surroundings::default(), &mut errors);
        errors.to_string()
    };
    for (spec, expected) in [
        ("timeZone: Europe/Berlin", "[]"),
        ("schedule: '* * *'", "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"),
        (
            "schedule: TZ=UTC * * * * *",
            "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field \
             instead",
        ),
        (
            "concurrencyPolicy: Never",
            "spec.concurrencyPolicy: Unsupported value: \"Never\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
        ),
    ] {
        assert_eq!(created(spec), expected, "{spec}");
    }
}
