//! APIService: which server serves a group and version.

use jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use crate::api::field::Path;
use crate::api::kinds::separate_status::separate_status;
use crate::api::{Cell, Column, FieldErrors, Kind, NameRule, Strategy, Subresource, Surroundings};

/// What an APIService does.
#[derive(Debug)]
struct ApiServiceStrategy;

impl Strategy for ApiServiceStrategy {
    type Object = APIService;

    separate_status!();

    fn default(&self, service: &mut APIService) {
        if let Some(backend) = &mut service.spec.get_or_insert_default().service {
            backend.port.get_or_insert(443);
        }
        service.status.get_or_insert_default();
    }

    fn validate(&self, service: &APIService, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &service.spec else { return };
        let (group, version) = (spec.group.as_deref().unwrap_or_default(), spec.version.as_deref().unwrap_or_default());
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let wanted = format!("{version}.{group}");
        if name != wanted {
            let path = Path::new("metadata");
            errors.invalid(&path.child("name"), name, format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\""));
        }
        let path = Path::new("spec");
        for (field, priority, highest) in [
            ("groupPriorityMinimum", spec.group_priority_minimum, 20000),
            ("versionPriority", spec.version_priority, 1000),
        ] {
            if !(1..=highest).contains(&priority) {
                errors.invalid(&path.child(field), priority, format!("must be positive and less than {highest}"));
            }
        }
        if version.is_empty() {
            errors.required(&path.child("version"), "");
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("Service", "The reference to the service that hosts this API endpoint."),
            Column::text("Available", "Whether this service is available."),
            Column::age(),
        ]
    }

    fn cells(&self, service: &APIService, now: Timestamp) -> Vec<Cell> {
        let backend = service.spec.as_ref().and_then(|spec| spec.service.as_ref()).map(|backend| {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{}/{}", part(&backend.namespace), part(&backend.name))
        });
        let mut conditions = service.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let available = conditions.rfind(|condition| condition.type_ == "Available");
        let available = available.map_or_else(
            || "Unknown".to_owned(),
            |condition| match condition.reason.as_deref() {
                Some(reason) if condition.status != "True" => format!("{} ({reason})", condition.status),
                _ => condition.status.clone(),
            },
        );
        vec![
            Cell::name(&service.metadata),
            Cell::or(backend.as_deref(), "Local"),
            available.into(),
            Cell::age(&service.metadata, now),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(ApiServiceStrategy).categories(&["api-extensions"]).sub(Subresource::STATUS)
}
