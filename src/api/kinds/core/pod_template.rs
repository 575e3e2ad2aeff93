//! PodTemplate, and what every workload does with the pod template that it embeds.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodTemplate, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::field::{FieldErrors, Path};
use crate::api::rules::{given, json, label};
use crate::api::{Cell, Column, Kind, Strategy, Surroundings};

use super::pod;

/// Fills in a template.
pub(crate) fn default_template(template: &mut PodTemplateSpec) {
    pod::default_pod_spec(template.spec.get_or_insert_default());
}

/// Checks a template.
pub(crate) fn validate_template(errors: &mut FieldErrors, path: &Path<'_>, template: &PodTemplateSpec) {
    let meta = template.metadata.clone().unwrap_or_default();
    let spec = template.spec.clone().unwrap_or_default();
    // Upstream leaves the step `metadata` out of these.
    label::labels(errors, &path.child("labels"), meta.labels.as_ref());
    label::annotations(errors, &path.child("annotations"), meta.annotations.as_ref());
    pod::pod_annotations(errors, &path.child("annotations"), meta.annotations.as_ref(), &spec);
    pod::pod_spec(errors, &path.child("spec"), &spec, None, false);
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let path = path.child("spec");
        errors.forbidden(&path.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// Checks the template and the selector of a workload of that `kind` which keeps its pods running. Both paths
/// are the spec's.
pub(crate) fn validate_running(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    template: &PodTemplateSpec,
    selector: &LabelSelector,
    kind: &str,
) {
    let template_path = path.child("template");
    selects(errors, &template_path, template, selector);
    validate_template(errors, &template_path, template);
    runs_on(errors, &template_path.child("spec"), template, kind);
}

/// Complains about a template whose labels its own selector does not match.
pub(crate) fn selects(errors: &mut FieldErrors, path: &Path<'_>, template: &PodTemplateSpec, selector: &LabelSelector) {
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    if !label::selects_everything(selector) && !label::selector_matches(selector, labels) {
        let text = "`selector` does not match template `labels`";
        errors.invalid(&path.child("metadata").child("labels"), json(&labels), text);
    }
}

/// Complains about pods that would end by themselves. `path` is that of the pod's spec.
pub(crate) fn runs_on(errors: &mut FieldErrors, path: &Path<'_>, template: &PodTemplateSpec, kind: &str) {
    let Some(spec) = &template.spec else { return };
    let policy = given(&spec.restart_policy);
    if policy != "Always" {
        errors.not_supported(&path.child("restartPolicy"), policy, &["Always"]);
    }
    if spec.active_deadline_seconds.is_some() {
        let text = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), text);
    }
}

/// Checks a workload's selector, which may not be empty.
pub(crate) fn validate_selector(errors: &mut FieldErrors, path: &Path<'_>, selector: &LabelSelector, workload: &str) {
    label::selector(errors, path, selector);
    if label::selects_everything(selector) {
        errors.invalid(path, json(selector), format!("empty selector is invalid for {workload}"));
    }
}

/// Advice on a workload with that name and template.
pub(crate) fn warnings(name: &Option<String>, template: Option<&PodTemplateSpec>) -> Vec<String> {
    let spec = template.and_then(|template| template.spec.as_ref());
    let path = Path::new("spec");
    let of_template = spec.map(|spec| pod::warnings::of_spec(&path.child("template").child("spec"), spec));
    pod::warnings::of_workload_name(name).into_iter().chain(of_template.into_iter().flatten()).collect()
}

/// The columns `Containers` and `Images` of a workload.
pub(crate) fn container_columns() -> [Column; 2] {
    [
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text("Images", "Images referenced by each container in the template.").wide(),
    ]
}

/// The cells of [`container_columns`].
pub(crate) fn container_cells(template: Option<&PodTemplateSpec>) -> [Cell; 2] {
    let containers = template.and_then(|template| template.spec.as_ref()).map_or(&[][..], |spec| &spec.containers);
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<_> = containers.iter().map(|container| container.image.as_deref().unwrap_or_default()).collect();
    [names.join(",").into(), images.join(",").into()]
}

/// What a PodTemplate does.
#[derive(Debug)]
struct PodTemplateStrategy;

impl Strategy for PodTemplateStrategy {
    type Object = PodTemplate;

    fn default(&self, object: &mut PodTemplate) {
        default_template(object.template.get_or_insert_default());
    }

    fn validate(&self, object: &PodTemplate, _: &Surroundings, errors: &mut FieldErrors) {
        validate_template(errors, &Path::new("template"), &object.template.clone().unwrap_or_default());
    }

    fn generation_changes(&self, new: &PodTemplate, old: &PodTemplate) -> Option<bool> {
        Some(new.template != old.template)
    }

    fn columns(&self) -> Vec<Column> {
        let [containers, images] = container_columns().map(|column| Column { priority: 0, ..column });
        vec![Column::name(), containers, images, Column::text("Pod Labels", "The labels for the pod template.")]
    }

    fn cells(&self, object: &PodTemplate, _: Timestamp) -> Vec<Cell> {
        let [containers, images] = container_cells(object.template.as_ref());
        let labels = object.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
        vec![Cell::name(&object.metadata), containers, images, label::map_text(labels).into()]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(PodTemplateStrategy)
}
