//! CronJob: jobs on a schedule.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus};

use crate::api::field::{FieldErrors, Path};
use crate::api::kinds::core::pod::text;
use crate::api::kinds::core::pod_template::{container_cells, container_columns};
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::rules::{given, json, label, not_negative, one_of, schedule::schedule};
use crate::api::{Cell, Column, Kind, Strategy, Subresource, Surroundings};

use super::job;

/// A job's name is its cron job's with eleven characters more.
const NAME_MAX: usize = 52;

/// What a CronJob does.
#[derive(Debug)]
struct CronJobStrategy;

impl Strategy for CronJobStrategy {
    type Object = CronJob;

    fn default(&self, object: &mut CronJob) {
        let spec = &mut object.spec;
        text(&mut spec.concurrency_policy, "Allow");
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        job::default_spec(spec.job_template.spec.get_or_insert_default());
        object.status.get_or_insert_default();
    }

    fn status_carries_metadata(&self) -> bool {
        true
    }

    separate_status!();
    spec_generation!();

    fn validate(&self, object: &CronJob, _: &Surroundings, errors: &mut FieldErrors) {
        validate_spec(errors, &object.spec, None);
        let name = given(&object.metadata.name);
        if name.len() > NAME_MAX {
            let text = format!("must be no more than {NAME_MAX} characters");
            errors.invalid(&Path::new("metadata").child("name"), name, text);
        }
    }

    fn validate_update(&self, new: &CronJob, old: &CronJob, _: &Surroundings, errors: &mut FieldErrors) {
        validate_spec(errors, &new.spec, Some(&old.spec));
    }

    fn warnings(&self, new: &CronJob, old: Option<&CronJob>) -> Vec<String> {
        let template = |object: &CronJob| object.spec.job_template.spec.as_ref().map(|spec| spec.template.clone());
        if old.is_some_and(|old| template(old) == template(new)) {
            return Vec::new();
        }
        let pods = template(new).and_then(|template| template.spec);
        let path = Path::new("spec.jobTemplate.spec.template.spec");
        pods.iter().flat_map(|spec| crate::api::kinds::core::pod::warnings::of_spec(&path, spec)).collect()
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns();
        vec![
            Column::name(),
            Column::text("Schedule", "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron."),
            Column::text(
                "Timezone",
                "The time zone name for the given schedule, see https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to the time zone of the kube-controller-manager process.",
            ),
            Column::boolean(
                "Suspend",
                "This flag tells the controller to suspend subsequent executions, it does not apply to already started executions.",
            ),
            Column::integer("Active", "A list of pointers to currently running jobs."),
            Column::text("Last Schedule", "Information when was the last time the job was successfully scheduled."),
            Column::age(),
            containers,
            images,
            Column::text("Selector", "A label query over pods that should match the pod count.").wide(),
        ]
    }

    fn cells(&self, object: &CronJob, now: Timestamp) -> Vec<Cell> {
        let no_status = CronJobStatus::default();
        let spec = &object.spec;
        let status = object.status.as_ref().unwrap_or(&no_status);
        let job = spec.job_template.spec.as_ref();
        let [containers, images] = container_cells(job.map(|job| &job.template));
        let suspend = match spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = status.last_schedule_time.as_ref();
        vec![
            Cell::name(&object.metadata),
            spec.schedule.as_str().into(),
            Cell::or_none(spec.time_zone.as_deref()),
            suspend.into(),
            status.active.as_ref().map_or(0, Vec::len).into(),
            last.map_or_else(|| "<none>".into(), |time| Cell::since(Some(time.0), now)),
            Cell::age(&object.metadata, now),
            containers,
            images,
            label::selector_text(job.and_then(|job| job.selector.as_ref())).into(),
        ]
    }
}

fn validate_spec(errors: &mut FieldErrors, spec: &CronJobSpec, old: Option<&CronJobSpec>) {
    let path = Path::new("spec");
    validate_schedule(errors, &path.child("schedule"), spec, old);
    not_negative(errors, &path.child("startingDeadlineSeconds"), spec.starting_deadline_seconds.unwrap_or(0));
    if let Some(zone) = spec.time_zone.as_deref()
        && old.is_none_or(|old| old.time_zone != spec.time_zone)
    {
        validate_zone(errors, &path.child("timeZone"), zone);
    }
    let policy = spec.concurrency_policy.as_deref();
    one_of(errors, &path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    let template = path.child("jobTemplate");
    let template = template.child("spec");
    let jobs = spec.job_template.spec.clone().unwrap_or_default();
    job::validate_spec(errors, &template, &jobs);
    if let Some(selector) = &jobs.selector {
        errors.invalid(&template.child("selector"), json(selector), "`selector` will be auto-generated");
    }
    if jobs.manual_selector == Some(true) {
        errors.not_supported(&template.child("manualSelector"), true, &["nil", "false"]);
    }
    for (field, limit) in [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        not_negative(errors, &path.child(field), limit.unwrap_or(0));
    }
}

fn validate_schedule(errors: &mut FieldErrors, path: &Path<'_>, spec: &CronJobSpec, old: Option<&CronJobSpec>) {
    let text = spec.schedule.as_str();
    if text.is_empty() {
        return errors.required(path, "");
    }
    if let Some(complaint) = schedule(text) {
        errors.invalid(path, text, complaint);
    }
    let kept = old.is_some_and(|old| old.schedule.contains("TZ"));
    if text.contains("TZ") && !kept {
        errors.invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    } else if text.contains("TZ") && spec.time_zone.is_some() {
        errors.invalid(path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    }
}

/// The form of the name of a time zone; whether there is one of that name, the controller finds out.
fn validate_zone(errors: &mut FieldErrors, path: &Path<'_>, zone: &str) {
    if zone.is_empty() {
        return errors.invalid(path, zone, "timeZone must be nil or non-empty string");
    }
    let good = |part: &str| {
        (1..=14).contains(&part.len())
            && !matches!(part, "." | "..")
            && !part.starts_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    if !zone.split('/').all(good) {
        errors.invalid(path, zone, format!("unknown time zone {zone}"));
    } else if zone.eq_ignore_ascii_case("Local") {
        let text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, zone, text);
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(CronJobStrategy).short(&["cj"]).categories(&["all"]).sub(Subresource::STATUS)
}
