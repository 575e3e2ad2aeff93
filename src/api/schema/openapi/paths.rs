//! The paths of a kind and what can be done at them.

use std::any::TypeId;

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, identity};
use super::parameters::{self, NAME, NAMESPACE, PRETTY, Parameter};
use super::{Dialect, path_of};
use crate::api::{Dynamic, Kind, Subresource};

/// The types that a patch may have.
const PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// The verb of the API, the method, what the documents call it, and the word in operation ids.
const ON_COLLECTION: [(&str, &str, &str, &str); 3] = [
    ("list", "get", "list", "list"),
    ("create", "post", "post", "create"),
    ("deletecollection", "delete", "deletecollection", "delete"),
];
const ON_OBJECT: [(&str, &str, &str, &str); 4] = [
    ("get", "get", "get", "read"),
    ("update", "put", "put", "replace"),
    ("patch", "patch", "patch", "patch"),
    ("delete", "delete", "delete", "delete"),
];

/// What is common to the operations of a kind.
struct Writer<'k, 'd, 'x> {
    kind: &'k Kind,
    definitions: &'d mut Definitions<'x>,
    dialect: Dialect,
}

/// The paths of a kind.
pub(super) fn of_kind(kind: &Kind, definitions: &mut Definitions<'_>, dialect: Dialect) -> Vec<(String, Value)> {
    let mut writer = Writer { kind, definitions, dialect };
    let mut paths = Vec::new();
    let root = format!("/{}", path_of(kind));
    let plural = &kind.plural;
    let (collection, scope) = if kind.namespaced {
        (format!("{root}/namespaces/{{namespace}}/{plural}"), vec![NAMESPACE])
    } else {
        (format!("{root}/{plural}"), Vec::new())
    };
    let item = format!("{collection}/{{name}}");
    let of_item: Vec<_> = [NAME].into_iter().chain(scope.iter().copied()).collect();
    paths.extend(writer.path(collection, &scope, &ON_COLLECTION, None));
    paths.extend(writer.path(item.clone(), &of_item, &ON_OBJECT, None));
    if kind.namespaced && kind.verbs.contains(&"list") {
        let list = writer.operation(ON_COLLECTION[0], None, "ForAllNamespaces");
        paths.push((format!("{root}/{plural}"), writer.item(&[], [("get", list)])));
    }
    for subresource in &kind.subresources {
        let path = format!("{item}/{}", subresource.name);
        let verbs = ON_OBJECT.into_iter().chain([("create", "post", "post", "create")]).collect::<Vec<_>>();
        paths.extend(writer.path(path, &of_item, &verbs, Some(subresource)));
    }
    paths
}

impl Writer<'_, '_, '_> {
    /// A path with those of `verbs` that are served there; nothing where none is.
    fn path(
        &mut self,
        path: String,
        parameters: &[Parameter],
        verbs: &[(&str, &str, &str, &str)],
        subresource: Option<&Subresource>,
    ) -> Option<(String, Value)> {
        let served = subresource.map_or(self.kind.verbs, |subresource| subresource.verbs);
        let served = verbs.iter().filter(|(verb, ..)| served.contains(verb));
        let operations: Vec<_> = served.map(|verb| (verb.1, self.operation(*verb, subresource, ""))).collect();
        (!operations.is_empty()).then(|| (path, self.item(parameters, operations)))
    }

    fn item<'m>(&self, parameters: &[Parameter], operations: impl IntoIterator<Item = (&'m str, Value)>) -> Value {
        let mut item: Map<_, _> = operations.into_iter().map(|(method, value)| (method.to_owned(), value)).collect();
        let parameters = parameters.iter().map(|parameter| parameter.in_path(self.dialect));
        let parameters = parameters.chain([PRETTY.in_query(self.dialect)]);
        item.insert("parameters".to_owned(), parameters.collect());
        Value::Object(item)
    }

    /// The schemas of what goes in and what comes out; none for streams.
    fn bodies(&mut self, action: &str, subresource: Option<&Subresource>) -> (Option<String>, Option<String>) {
        let object = match subresource {
            None => Some(self.definitions.add_kind(self.kind)),
            Some(Subresource { body: Some(body), .. }) => self.definitions.add_body(*body),
            Some(Subresource { name: "log" | "exec" | "attach" | "portforward" | "proxy", .. }) => None,
            Some(_) => Some(self.definitions.add_kind(self.kind)),
        };
        match action {
            "list" => (None, Some(self.definitions.add_list(self.kind))),
            "get" => (None, object),
            "delete" | "deletecollection" => {
                (Some(self.definitions.add_delete_options()), Some(self.definitions.add_status()))
            }
            "patch" => (None, object),
            _ => (object.clone(), object),
        }
    }

    fn operation(
        &mut self,
        (_, _, action, word): (&str, &str, &str, &str),
        subresource: Option<&Subresource>,
        suffix: &str,
    ) -> Value {
        let (input, output) = self.bodies(action, subresource);
        let Self { kind, dialect, .. } = *self;
        let (group, version, name) =
            subresource.and_then(|subresource| subresource.body).unwrap_or((&kind.group, &kind.version, &kind.kind));
        let is_stream = output.is_none();
        let mut parameters: Vec<_> = parameters::of_action(action)
            .into_iter()
            .filter(|_| !is_stream)
            .map(|parameter| parameter.in_query(dialect))
            .collect();
        let mut fields = json!({
            "description": describe(action, &kind.kind, subresource),
            "operationId": self.operation_id(action, word, subresource, suffix),
            "tags": [format!("{}_{}", snake(&short_group(&kind.group)), kind.version)],
            "x-kubernetes-action": if is_stream { "connect" } else { action },
            "x-kubernetes-group-version-kind": identity(group, version, name),
        });
        let input = input.map(|name| self.definitions.reference(&name));
        let output = output.map_or_else(|| json!({ "type": "string" }), |name| self.definitions.reference(&name));
        let takes_patch = action == "patch";
        let required = action != "delete" && action != "deletecollection";
        let input = if takes_patch { Some(json!({ "type": "object" })) } else { input };
        let patches: Vec<_> = PATCHES.into_iter().filter(|media| self.takes(media)).collect();
        let codes: &[&str] = match action {
            "post" => &["200", "201", "202"],
            "put" | "patch" => &["200", "201"],
            "delete" => &["200", "202"],
            _ => &["200"],
        };
        match dialect {
            Dialect::V2 => {
                fields["consumes"] = if takes_patch { json!(patches) } else { json!(["*/*"]) };
                fields["produces"] = json!(["application/json", "application/yaml"]);
                fields["schemes"] = json!(["https"]);
                let body = |schema| json!({ "name": "body", "in": "body", "required": required, "schema": schema });
                parameters.extend(input.map(body));
                fields["responses"] =
                    responses(codes, |code| json!({ "description": phrase(code), "schema": output.clone() }));
            }
            Dialect::V3 => {
                let medias = if takes_patch { patches } else { vec!["*/*"] };
                if let Some(schema) = input {
                    let content: Map<_, _> =
                        medias.into_iter().map(|media| (media.to_owned(), json!({ "schema": schema }))).collect();
                    fields["requestBody"] = json!({ "content": content, "required": required });
                }
                fields["responses"] = responses(codes, |code| {
                    let schema = json!({ "schema": output.clone() });
                    let content = json!({ "application/json": schema.clone(), "application/yaml": schema });
                    json!({ "description": phrase(code), "content": content })
                });
            }
        }
        if !parameters.is_empty() {
            fields["parameters"] = parameters.into();
        }
        fields
    }

    /// Whether objects of the kind take a patch of that type: strategic ones only where a type says how to merge.
    fn takes(&self, media: &str) -> bool {
        !media.contains("strategic") || self.kind.body_type() != TypeId::of::<Dynamic>()
    }

    /// `listCoreV1NamespacedPod`
    fn operation_id(&self, action: &str, word: &str, subresource: Option<&Subresource>, suffix: &str) -> String {
        let kind = self.kind;
        let group = camel(&short_group(&kind.group));
        let version = camel(&kind.version);
        let collection = if action == "deletecollection" { "Collection" } else { "" };
        let scope = if kind.namespaced && suffix.is_empty() { "Namespaced" } else { "" };
        let sub = subresource.map_or_else(String::new, |subresource| camel(subresource.name));
        format!("{word}{group}{version}{collection}{scope}{}{sub}{suffix}", kind.kind)
    }
}

fn responses(codes: &[&str], response: impl Fn(&str) -> Value) -> Value {
    let answers = codes.iter().map(|code| ((*code).to_owned(), response(code)));
    answers.chain([("401".to_owned(), json!({ "description": "Unauthorized" }))]).collect()
}

fn phrase(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "202" => "Accepted",
        _ => "OK",
    }
}

fn describe(action: &str, kind: &str, subresource: Option<&Subresource>) -> String {
    let what = subresource.map_or_else(String::new, |subresource| format!("{} of ", subresource.name));
    match action {
        "list" => format!("list or watch objects of kind {kind}"),
        "post" => format!("create {what}a {kind}"),
        "get" => format!("read {what}the specified {kind}"),
        "put" => format!("replace {what}the specified {kind}"),
        "patch" => format!("partially update {what}the specified {kind}"),
        "deletecollection" => format!("delete collection of {kind}"),
        _ => format!("{action} {what}a {kind}"),
    }
}

/// `core`, `apps`, `rbac.authorization`
fn short_group(group: &str) -> String {
    if group.is_empty() { "core".to_owned() } else { group.trim_end_matches(".k8s.io").to_owned() }
}

fn snake(group: &str) -> String {
    camel(group).chars().enumerate().fold(String::new(), |mut text, (index, c)| {
        if index > 0 && c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}

fn camel(text: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    text.split(['.', '-']).map(capital).collect()
}
