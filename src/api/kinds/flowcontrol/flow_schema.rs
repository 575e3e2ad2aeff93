//! FlowSchema: which requests belong together.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;

use crate::api::field::Path;
use crate::api::kinds::separate_status::{separate_status, spec_generation};
use crate::api::{Cell, Column, FieldErrors, Kind, Strategy, Subresource, Surroundings};

const HIGHEST: i32 = 10000;

/// What a FlowSchema does.
#[derive(Debug)]
struct FlowSchemaStrategy;

impl Strategy for FlowSchemaStrategy {
    type Object = FlowSchema;

    separate_status!();
    spec_generation!();

    fn default(&self, schema: &mut FlowSchema) {
        let spec = schema.spec.get_or_insert_default();
        if spec.matching_precedence.unwrap_or_default() == 0 {
            spec.matching_precedence = Some(1000);
        }
        schema.status.get_or_insert_default();
    }

    fn validate(&self, schema: &FlowSchema, _: &Surroundings, errors: &mut FieldErrors) {
        let Some(spec) = &schema.spec else { return };
        let path = Path::new("spec");
        if let Some(precedence) = spec.matching_precedence.filter(|precedence| !(1..=HIGHEST).contains(precedence)) {
            let detail = format!("must be a value between 1 and {HIGHEST}, inclusive");
            errors.invalid(&path.child("matchingPrecedence"), precedence, detail);
        }
        let at = path.child("priorityLevelConfiguration");
        if spec.priority_level_configuration.name.is_empty() {
            errors.required(&at.child("name"), "must reference a priority level");
        }
        let at = path.child("rules");
        for (index, rule) in spec.rules.iter().flatten().enumerate() {
            let at = at.index(index);
            if rule.subjects.is_empty() {
                errors.required(&at.child("subjects"), "subjects must contain at least one value");
            }
            let empty = |len: Option<usize>| len.unwrap_or_default() == 0;
            if empty(rule.resource_rules.as_ref().map(Vec::len))
                && empty(rule.non_resource_rules.as_ref().map(Vec::len))
            {
                errors.required(&at, "at least one of resourceRules and nonResourceRules has to be non-empty");
            }
        }
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            Column::name(),
            Column::text("PriorityLevel", "`name` is the name of the priority level configuration being referenced."),
            Column::text("MatchingPrecedence", "Used to choose among the FlowSchemas that match a given request."),
            Column::text("DistinguisherMethod", "How to compute the flow distinguisher for requests that match."),
            Column::age(),
            Column::text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
        ]
    }

    fn cells(&self, schema: &FlowSchema, now: Timestamp) -> Vec<Cell> {
        let spec = schema.spec.as_ref();
        let conditions = schema.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let dangling = { conditions }.find(|condition| condition.type_.as_deref() == Some("Dangling"));
        let method = spec.and_then(|spec| spec.distinguisher_method.as_ref()).map(|method| method.type_.as_str());
        vec![
            Cell::name(&schema.metadata),
            spec.map_or("", |spec| &spec.priority_level_configuration.name).into(),
            spec.and_then(|spec| spec.matching_precedence).unwrap_or_default().to_string().into(),
            Cell::or_none(method),
            Cell::age(&schema.metadata, now),
            Cell::or(dangling.and_then(|condition| condition.status.as_deref()), "?"),
        ]
    }
}

pub(crate) fn kind() -> Kind {
    Kind::builtin(FlowSchemaStrategy).sub(Subresource::STATUS)
}
