//! Parameters of the operations.

use serde_json::{Value, json};

use super::Dialect;

/// A parameter of the path or the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    name: &'static str,
    kind: &'static str,
    description: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "string", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "integer", description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "boolean", description }
}

const DRY_RUN: Parameter = text("dryRun", "\"All\": go through every step, but keep nothing.");
const FIELD_MANAGER: Parameter = text("fieldManager", "The name of who makes the change.");
const FIELD_VALIDATION: Parameter =
    text("fieldValidation", "What to do about unknown and duplicate fields: Ignore, Warn or Strict.");

pub(super) const PRETTY: Parameter = text("pretty", "\"true\": the answer is indented.");
pub(super) const NAMESPACE: Parameter = text("namespace", "The namespace of the object.");
pub(super) const NAME: Parameter = text("name", "The name of the object.");

const LIST: [Parameter; 10] = [
    flag("allowWatchBookmarks", "Whether a watch sends bookmarks."),
    text("continue", "The token of the page before."),
    text("fieldSelector", "Only objects with these field values."),
    text("labelSelector", "Only objects with these labels."),
    number("limit", "At most so many; the answer then has a token for the next page."),
    text("resourceVersion", "From which version the answer is."),
    text("resourceVersionMatch", "Exact or NotOlderThan: how resourceVersion is meant."),
    flag("sendInitialEvents", "Whether a watch begins with the objects that exist, ended by a bookmark."),
    number("timeoutSeconds", "Ends the call after so long."),
    flag("watch", "Streams changes instead of answering a list."),
];

const DELETE: [Parameter; 5] = [
    DRY_RUN,
    number("gracePeriodSeconds", "How long the object may take to end; zero means at once."),
    flag("ignoreStoreReadErrorWithClusterBreakingPotential", "Deletes even an object that cannot be read."),
    flag("orphanDependents", "Deprecated: use propagationPolicy."),
    text("propagationPolicy", "What happens to dependents: Orphan, Background or Foreground."),
];

/// The query parameters of an action.
pub(super) fn of_action(action: &str) -> Vec<Parameter> {
    match action {
        "list" => LIST.to_vec(),
        "post" | "put" => vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
        "patch" => vec![
            DRY_RUN,
            FIELD_MANAGER,
            FIELD_VALIDATION,
            flag("force", "Server-side apply: take over fields that others manage."),
        ],
        "delete" => DELETE.to_vec(),
        "deletecollection" => LIST.into_iter().filter(is_of_deletion).chain(DELETE).collect(),
        _ => Vec::new(),
    }
}

/// Whether a list's parameter also says what a deletion of a collection deletes.
fn is_of_deletion(parameter: &Parameter) -> bool {
    !["allowWatchBookmarks", "watch"].contains(&parameter.name)
}

impl Parameter {
    pub(super) fn in_query(self, dialect: Dialect) -> Value {
        self.render("query", dialect)
    }

    pub(super) fn in_path(self, dialect: Dialect) -> Value {
        let mut value = self.render("path", dialect);
        value["required"] = true.into();
        value
    }

    fn render(self, place: &str, dialect: Dialect) -> Value {
        let Self { name, kind, description } = self;
        match dialect {
            Dialect::V2 => {
                json!({ "name": name, "in": place, "description": description, "type": kind, "uniqueItems": true })
            }
            Dialect::V3 => {
                let schema = json!({ "type": kind, "uniqueItems": true });
                json!({ "name": name, "in": place, "description": description, "schema": schema })
            }
        }
    }
}
