//! Job: pods that run to their end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{Affinity, PodTemplateSpec};

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{self, container_cells, container_columns, default_template};
use crate::api::kinds::separate_status::{restore, spec_generation};
use crate::api::rules::{given, immutable, json, label, name, not_negative, present, same};
use crate::api::{Cell, Column, Kind, Propagation, Strategy, Subresource, Surroundings, human_duration};

use super::failure_policy;

/// Labels by which a job knows its pods: those of today, and their names before v1.27.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// What a Job does.
#[derive(Debug)]
struct JobStrategy;

impl Strategy for JobStrategy {
    type Object = Job;

    fn default(&self, job: &mut Job) {
        let spec = job.spec.get_or_insert_default();
        default_spec(spec);
        if spec.completions.is_none() && spec.parallelism.is_none() {
            spec.completions = Some(1);
        }
        spec.parallelism.get_or_insert(1);
        let retries = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
        spec.backoff_limit.get_or_insert(retries);
        spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
        spec.suspend.get_or_insert(false);
        let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
        spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
        spec.manual_selector.get_or_insert(false);
        let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
        if let Some(labels) = labels
            && job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty)
        {
            job.metadata.labels = Some(labels.clone());
        }
        job.status.get_or_insert_default();
    }

    fn prepare_create(&self, job: &mut Job, _: &Surroundings) {
        generate_selector(job);
        job.status = Some(JobStatus::default());
    }

    fn prepare_update(&self, new: &mut Job, old: &Job, _: &Surroundings) {
        restore(&mut new.status, &old.status);
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    fn prepare_status(&self, new: &mut Job, old: &Job, _: &Surroundings) {
        restore(&mut new.spec, &old.spec);
    }

    spec_generation!();

    /// Old clients count on it: their jobs' pods outlive the jobs.
    fn propagation(&self) -> Option<Propagation> {
        Some(Propagation::Orphan)
    }

    fn validate(&self, job: &Job, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let no_spec = JobSpec::default();
        let spec = job.spec.as_ref().unwrap_or(&no_spec);
        generated_selector(errors, job, spec);
        validate_job(errors, &path, spec);
        let name = given(&job.metadata.name);
        if spec.completion_mode.as_deref() == Some("Indexed")
            && let Some(completions) = spec.completions.filter(|completions| *completions > 0)
        {
            let last = format!("{name}-{}", completions - 1);
            if !name::dns_label(&last).is_empty() {
                let text = format!("will not able to create pod with invalid DNS label: {last}");
                errors.invalid(&Path::new("metadata").child("name"), name, text);
            }
        }
    }

    fn validate_update(&self, new: &Job, old: &Job, _: &Surroundings, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let (Some(spec), Some(before)) = (&new.spec, &old.spec) else { return };
        validate_job(errors, &path, spec);
        completions(errors, &path, spec, before);
        immutable(errors, &path.child("selector"), &spec.selector, &before.selector);
        let started = old.status.as_ref().is_some_and(|status| status.start_time.is_some());
        let allowed = if before.suspend == Some(true) && !started {
            redirected(&spec.template, &before.template)
        } else {
            before.template.clone()
        };
        immutable(errors, &path.child("template"), &spec.template, &allowed);
        immutable(errors, &path.child("completionMode"), &spec.completion_mode, &before.completion_mode);
        immutable(errors, &path.child("podFailurePolicy"), &spec.pod_failure_policy, &before.pod_failure_policy);
        let path_of_limit = path.child("backoffLimitPerIndex");
        immutable(errors, &path_of_limit, &spec.backoff_limit_per_index, &before.backoff_limit_per_index);
        immutable(errors, &path.child("managedBy"), &spec.managed_by, &before.managed_by);
        immutable(errors, &path.child("successPolicy"), &spec.success_policy, &before.success_policy);
    }

    fn validate_status(&self, new: &Job, old: &Job, _: &Surroundings, errors: &mut FieldErrors) {
        validate_status(new, old, errors);
    }

    fn warnings(&self, new: &Job, old: Option<&Job>) -> Vec<String> {
        let template = |job: &Job| job.spec.as_ref().map(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        pod_template::warnings(&new.metadata.name, template(new).as_ref())
    }

    fn field<'a>(&self, job: &'a Job, field: &str) -> Cow<'a, str> {
        match field {
            "status.successful" => {
                job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0).to_string().into()
            }
            _ => Cow::Borrowed(""),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::text("Status", "Status of the job."),
            Column::text("Completions", "The number of pods which reached phase Succeeded."),
            Column::text("Duration", "Time required to complete the job."),
            Column::age(),
            containers,
            images,
            Column::text(
                "Selector",
                "A label query over pods that should match the pod count. Normally, the system sets this field for you.",
            )
            .wide(),
        ]
    }

    fn cells(&self, job: &Job, now: Timestamp) -> Vec<Cell> {
        let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
        let spec = job.spec.as_ref().unwrap_or(&no_spec);
        let status = job.status.as_ref().unwrap_or(&no_status);
        let succeeded = status.succeeded.unwrap_or(0);
        let completions = match (spec.completions, spec.parallelism.unwrap_or(0)) {
            (Some(completions), _) => format!("{succeeded}/{completions}"),
            (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            (None, _) => format!("{succeeded}/1"),
        };
        let duration = status.start_time.as_ref().map_or_else(String::new, |start| {
            let end = status.completion_time.as_ref().map_or(now, |time| time.0);
            human_duration(end.as_second() - start.0.as_second())
        });
        let [containers, images] = container_cells(Some(&spec.template));
        vec![
            Cell::name(&job.metadata),
            state(job, status).into(),
            completions.into(),
            duration.into(),
            Cell::age(&job.metadata, now),
            containers,
            images,
            label::selector_text(spec.selector.as_ref()).into(),
        ]
    }
}

fn is_true(status: &JobStatus, condition: &str) -> bool {
    status.conditions.iter().flatten().any(|found| found.type_ == condition && found.status == "True")
}

/// The column `Status`.
fn state(job: &Job, status: &JobStatus) -> &'static str {
    let is = |condition| is_true(status, condition);
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if job.metadata.deletion_timestamp.is_some() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// What a job and the template of a cron job's jobs leave out alike.
pub(super) fn default_spec(spec: &mut JobSpec) {
    default_template(&mut spec.template);
    for rule in spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules) {
        for pattern in rule.on_pod_conditions.iter_mut().flatten() {
            text(&mut pattern.status, "True");
        }
    }
}

/// Gives the pods labels that no other job's have, and selects by them.
fn generate_selector(job: &mut Job) {
    let (uid, name) = (job.metadata.uid.clone().unwrap_or_default(), job.metadata.name.clone().unwrap_or_default());
    let spec = job.spec.get_or_insert_default();
    if spec.manual_selector == Some(true) {
        return;
    }
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
        for key in keys {
            labels.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let selected = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
    selected.entry(UID_LABELS[0].to_owned()).or_insert(uid);
}

fn generated_selector(errors: &mut FieldErrors, job: &Job, spec: &JobSpec) {
    let Some(selector) = spec.selector.as_ref().filter(|_| spec.manual_selector != Some(true)) else { return };
    let (uid, name) = (given(&job.metadata.uid), given(&job.metadata.name));
    present(errors, &Path::new("metadata").child("uid"), uid);
    let path = Path::new("spec").child("template.metadata.labels").to_string();
    let path = Path::new(&path);
    let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    let expected = [(UID_LABELS[1], uid), (NAME_LABELS[1], name), (UID_LABELS[0], uid), (NAME_LABELS[0], name)];
    for (key, value) in expected {
        match labels.get(key) {
            None => errors.required(&path.key(key), format!("must be '{value}'")),
            Some(found) if found != value => {
                errors.invalid(&path.key(key), json(&labels), format!("must be '{value}'"));
            }
            Some(_) => {}
        }
    }
    let expected: BTreeMap<_, _> = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    if !label::selector_matches(selector, Some(&expected)) {
        errors.invalid(&Path::new("spec").child("selector"), json(selector), "`selector` not auto-generated");
    }
}

fn validate_job(errors: &mut FieldErrors, path: &Path<'_>, spec: &JobSpec) {
    validate_spec(errors, path, spec);
    let Some(selector) = &spec.selector else {
        return errors.required(&path.child("selector"), "");
    };
    label::selector(errors, &path.child("selector"), selector);
    let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    if !label::selector_matches(selector, labels) {
        let text = "`selector` does not match template `labels`";
        errors.invalid(&path.child("template.metadata.labels"), json(&labels), text);
    }
}

/// Checks what a job and the template of a cron job's jobs have in common.
pub(super) fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &JobSpec) {
    for (field, value) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        not_negative(errors, &path.child(field), value.unwrap_or(0));
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    match spec.completion_mode.as_deref() {
        None | Some("NonIndexed") => {
            for (field, value) in
                [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)]
            {
                if let Some(value) = value {
                    errors.invalid(&path.child(field), value, "requires indexed completion mode");
                }
            }
        }
        Some("Indexed") => indexed(errors, path, spec),
        Some(other) => {
            errors.not_supported(&path.child("completionMode"), other, &["NonIndexed", "Indexed"]);
        }
    }
    failure_policy::validate(errors, path, spec);
    pod_template::validate_template(errors, &path.child("template"), &spec.template);
    let policy = spec.template.spec.as_ref().map_or("", |spec| given(&spec.restart_policy));
    let policy_path = path.child("template.spec.restartPolicy");
    match policy {
        "" | "Always" => errors.required(&policy_path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            let text = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(&policy_path, policy, text);
        }
        "OnFailure" | "Never" => {}
        other => errors.not_supported(&policy_path, other, &["OnFailure", "Never"]),
    }
}

fn indexed(errors: &mut FieldErrors, path: &Path<'_>, spec: &JobSpec) {
    const INDEXES_MAX: i32 = 100_000;
    const WIDE_MAX: i32 = 10_000;
    let parallelism = spec.parallelism.unwrap_or(0);
    if spec.completions.is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    if parallelism > INDEXES_MAX {
        let text = format!("must be less than or equal to {INDEXES_MAX} when completion mode is Indexed");
        errors.invalid(&path.child("parallelism"), parallelism, text);
    }
    if let (Some(failed), Some(completions)) = (spec.max_failed_indexes, spec.completions)
        && failed > completions
    {
        errors.invalid(&path.child("maxFailedIndexes"), failed, "must be less than or equal to completions");
    }
    if let Some(failed) = spec.max_failed_indexes.filter(|failed| *failed > INDEXES_MAX) {
        let text = format!("must be less than or equal to {INDEXES_MAX}");
        errors.invalid(&path.child("maxFailedIndexes"), failed, text);
    }
    if spec.completions.is_some_and(|completions| completions > INDEXES_MAX) && spec.backoff_limit_per_index.is_some() {
        let above = format!("when completions are above {INDEXES_MAX} and used with backoff limit per index");
        if spec.max_failed_indexes.is_none() {
            let text = format!("must be specified when completions is above {INDEXES_MAX}");
            errors.required(&path.child("maxFailedIndexes"), text);
        }
        for (field, value) in [("parallelism", parallelism), ("maxFailedIndexes", spec.max_failed_indexes.unwrap_or(0))]
        {
            if value > WIDE_MAX {
                errors.invalid(&path.child(field), value, format!("must be less than or equal to {WIDE_MAX} {above}"));
            }
        }
    }
}

/// Completions may change with the parallelism of an indexed job, and not otherwise.
fn completions(errors: &mut FieldErrors, path: &Path<'_>, new: &JobSpec, old: &JobSpec) {
    let path = path.child("completions");
    if new.completion_mode.as_deref() != Some("Indexed") {
        return immutable(errors, &path, &new.completions, &old.completions);
    }
    if let Some(completions) = new.completions
        && new.completions != old.completions
        && new.completions != new.parallelism
    {
        errors.invalid(&path, completions, "can only be modified in tandem with spec.parallelism");
    }
}

/// The old template, as far as it may differ from the new in where pods run: what a job that has not begun may change.
fn redirected(new: &PodTemplateSpec, old: &PodTemplateSpec) -> PodTemplateSpec {
    let mut allowed = old.clone();
    let meta = allowed.metadata.get_or_insert_default();
    let new_meta = new.metadata.clone().unwrap_or_default();
    (meta.labels, meta.annotations) = (new_meta.labels, new_meta.annotations);
    let spec = allowed.spec.get_or_insert_default();
    let new_spec = new.spec.clone().unwrap_or_default();
    spec.node_selector = new_spec.node_selector;
    spec.tolerations = new_spec.tolerations;
    spec.scheduling_gates = new_spec.scheduling_gates;
    let node_affinity = new_spec.affinity.and_then(|affinity| affinity.node_affinity);
    let rest = spec.affinity.take().unwrap_or_default();
    spec.affinity = Some(Affinity { node_affinity, ..rest }).filter(|affinity| *affinity != Affinity::default());
    allowed
}

fn validate_status(new: &Job, old: &Job, errors: &mut FieldErrors) {
    let path = Path::new("status");
    let no_status = JobStatus::default();
    let status = new.status.as_ref().unwrap_or(&no_status);
    let before = old.status.as_ref().unwrap_or(&no_status);
    for (field, count) in [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ] {
        not_negative(errors, &path.child(field), count.unwrap_or(0));
    }
    let is = |condition| is_true(status, condition);
    let conditions = path.child("conditions");
    for (broken, text) in [
        (is("Complete") && is("Failed"), "cannot set Complete=True and Failed=true conditions"),
        (is("Complete") && is("FailureTarget"), "cannot set Complete=True and FailureTarget=true conditions"),
        (
            is("Failed") && !is("FailureTarget"),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            is("Complete") && !is("SuccessCriteriaMet"),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (is("SuccessCriteriaMet") && is("Failed"), "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ] {
        if broken {
            errors.invalid(&conditions, json(&status.conditions), text);
        }
    }
    let completion = path.child("completionTime");
    match &status.completion_time {
        Some(time) if !is("Complete") => {
            let text = "cannot set completionTime when there is no Complete=True condition";
            errors.invalid(&completion, json(time), text);
        }
        None if is("Complete") => errors.required(&completion, "completionTime is required for Complete jobs"),
        _ => {}
    }
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time)
        && end < start
    {
        errors.invalid(&completion, json(end), "completionTime cannot be set before startTime");
    }
    if is("Complete") || is("Failed") {
        for (field, count) in [("active", status.active), ("terminating", status.terminating)] {
            if let Some(count) = count.filter(|count| *count > 0) {
                errors.invalid(&path.child(field), count, format!("{field}>0 is invalid for finished job"));
            }
        }
        if status.start_time.is_none() {
            errors.required(&path.child("startTime"), "startTime is required for finished job");
        }
    }
    if status.ready.unwrap_or(0) > status.active.unwrap_or(0) {
        let ready = status.ready.unwrap_or(0);
        errors.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
    }
    for condition in ["Failed", "Complete", "FailureTarget", "SuccessCriteriaMet"] {
        if is_true(before, condition) && !is(condition) {
            let what = if condition == "SuccessCriteriaMet" { "" } else { "terminal " };
            let text = format!("cannot disable the {what}{condition}=True condition");
            errors.invalid(&conditions, json(&status.conditions), text);
        }
    }
    for (field, count, before) in
        [("failed", status.failed, before.failed), ("succeeded", status.succeeded, before.succeeded)]
    {
        let count = count.unwrap_or(0);
        if count < before.unwrap_or(0) {
            errors.invalid(&path.child(field), count, format!("cannot decrease the {field} counter"));
        }
    }
    if before.completion_time.is_some()
        && status.completion_time.is_some()
        && !same(&status.completion_time, &before.completion_time)
    {
        errors.invalid(&completion, json(&status.completion_time), "completionTime cannot be mutated");
    }
    let suspended = new.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
    if before.start_time.is_some() && status.start_time != before.start_time && !suspended {
        errors.required(&path.child("startTime"), "startTime cannot be removed for unsuspended job");
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(JobStrategy).categories(&["all"]).sub(Subresource::STATUS).selectable(&["status.successful"])
}
