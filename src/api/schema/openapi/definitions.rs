//! The schemas of a document: those of `k8s-openapi`, with what Kubernetes' own have and they lack.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Status};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Dialect, add};
use crate::api::schema::merge_keys::{self, Merge};
use crate::api::{Kind, Kinds};

const GVK: &str = "x-kubernetes-group-version-kind";

/// Where schemars puts references; those of version 2 are rewritten.
const V3_ROOT: &str = "#/components/schemas/";
const V2_ROOT: &str = "#/definitions/";

/// Schemas under way.
pub(super) struct Definitions<'a> {
    dialect: Dialect,
    kinds: &'a Kinds,
    generator: SchemaGenerator,
    /// Those that stand for kinds, by their names, with group, version and kind.
    roots: BTreeMap<String, Vec<Value>>,
    /// Those that no type stands for.
    extra: BTreeMap<String, Value>,
}

/// Group, version and kind as the extension has them.
pub(super) fn identity(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "kind": kind, "version": version })
}

impl<'a> Definitions<'a> {
    pub(super) fn new(dialect: Dialect, kinds: &'a Kinds) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.transforms.clear();
        });
        Self { dialect, kinds, generator: settings.into_generator(), roots: BTreeMap::new(), extra: BTreeMap::new() }
    }

    /// A reference to the definition of that name.
    pub(super) fn reference(&self, name: &str) -> Value {
        let root = if self.dialect == Dialect::V3 { V3_ROOT } else { V2_ROOT };
        json!({ "$ref": format!("{root}{name}") })
    }

    fn root(&mut self, name: &str, kind: &Kind, name_of_kind: &str) {
        let identity = identity(&kind.group, &kind.version, name_of_kind);
        let identities = self.roots.entry(name.to_owned()).or_default();
        if !identities.contains(&identity) {
            identities.push(identity);
        }
    }

    /// Adds a kind; gives the name of its definition.
    pub(super) fn add_kind(&mut self, kind: &Kind) -> String {
        let name = match kind.schema {
            Some(add) => add(&mut self.generator).into_owned(),
            None => {
                let name = custom_name(kind);
                let meta = add::<ObjectMeta>(&mut self.generator);
                let meta = self.reference(&meta);
                self.extra.entry(name.clone()).or_insert_with(|| {
                    json!({
                        "type": "object",
                        "properties": { "apiVersion": text(), "kind": text(), "metadata": meta },
                        "x-kubernetes-preserve-unknown-fields": true,
                    })
                });
                name
            }
        };
        self.root(&name, kind, &kind.kind);
        name
    }

    /// Adds the list of a kind; gives the name of its definition.
    pub(super) fn add_list(&mut self, kind: &Kind) -> String {
        let item = self.add_kind(kind);
        let name = format!("{item}List");
        let meta = add::<ListMeta>(&mut self.generator);
        let (item, meta) = (self.reference(&item), self.reference(&meta));
        self.extra.entry(name.clone()).or_insert_with(|| {
            json!({
                "description": format!("{} is a list of {}.", kind.list_kind, kind.kind),
                "type": "object",
                "required": ["items"],
                "properties": {
                    "apiVersion": text(),
                    "items": { "description": "The objects of the list.", "type": "array", "items": item },
                    "kind": text(),
                    "metadata": meta,
                },
            })
        });
        self.root(&name, kind, &kind.list_kind);
        name
    }

    /// Adds the kind of a subresource's body, where a kind of that name is served.
    pub(super) fn add_body(&mut self, (group, version, kind): (&str, &str, &str)) -> Option<String> {
        let kind = self.kinds.by_kind(group, version, kind)?;
        Some(self.add_kind(&kind))
    }

    pub(super) fn add_status(&mut self) -> String {
        add::<Status>(&mut self.generator).into_owned()
    }

    pub(super) fn add_delete_options(&mut self) -> String {
        add::<DeleteOptions>(&mut self.generator).into_owned()
    }

    /// The definitions, by name.
    pub(super) fn into_map(mut self) -> BTreeMap<String, Value> {
        let of_types = self.generator.take_definitions(false);
        let mut all: BTreeMap<String, Value> = of_types.into_iter().chain(self.extra).collect();
        for (name, definition) in &mut all {
            let plain = name.rsplit('.').next().unwrap_or_default();
            match simple(plain, self.dialect) {
                Some(simple) => {
                    if let Some(fields) = definition.as_object_mut() {
                        fields.retain(|key, _| key == "description");
                        fields.extend(simple);
                    }
                }
                None => {
                    merging(definition, plain);
                    *definition = in_dialect(definition.take(), self.dialect);
                }
            }
            if let (Some(identities), Some(fields)) = (self.roots.remove(name), definition.as_object_mut()) {
                // Upstream takes objects without metadata, and lets validation say what is wrong.
                if fields.get("required").is_some_and(|required| *required == json!(["metadata"])) {
                    fields.shift_remove("required");
                }
                fields.insert(GVK.to_owned(), identities.into());
            }
        }
        all
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// `com.example.v1.Widget` for a kind that no type stands for.
fn custom_name(kind: &Kind) -> String {
    let group: Vec<_> = kind.group.split('.').rev().chain([kind.version.as_str(), &kind.kind]).collect();
    group.join(".")
}

/// What takes the place of the schema of types that are a text or a number.
fn simple(name: &str, dialect: Dialect) -> Option<Map<String, Value>> {
    let schema = match (name, dialect) {
        ("Quantity", Dialect::V2) => text(),
        ("Quantity", Dialect::V3) => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
        ("IntOrString", Dialect::V2) => json!({ "type": "string", "format": "int-or-string" }),
        ("IntOrString", Dialect::V3) => {
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        _ => return None,
    };
    schema.as_object().cloned()
}

/// Adds how the fields of a type merge.
fn merging(definition: &mut Value, of: &str) {
    let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties {
        let (_, merge) = merge_keys::field(of, name);
        let Some(property) = property.as_object_mut().filter(|_| merge != Merge::Plain) else { continue };
        if let Some(strategy) = merge.strategy() {
            property.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
        }
        if let Some(key) = merge.key() {
            property.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
            property.insert("x-kubernetes-list-type".to_owned(), "map".into());
            property.insert("x-kubernetes-list-map-keys".to_owned(), merge_keys::list_keys(of, name).into());
        } else if merge == Merge::Set {
            property.insert("x-kubernetes-list-type".to_owned(), "set".into());
        }
    }
}

/// A schema as the dialect writes it: where references stand, and what may stand beside one.
fn in_dialect(schema: Value, dialect: Dialect) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        Value::Array(items) => items.into_iter().map(|item| in_dialect(item, dialect)).collect(),
        Value::Object(fields) => {
            let is_alone = fields.len() == 1;
            let mut result = Map::new();
            for (key, value) in fields {
                match (key.as_str(), value, dialect) {
                    ("$ref", Value::String(target), Dialect::V2) => {
                        result.insert(key, target.replacen(V3_ROOT, V2_ROOT, 1).into());
                    }
                    ("$ref", target, Dialect::V3) if !is_alone => {
                        result.insert("allOf".to_owned(), json!([{ "$ref": target }]));
                    }
                    ("oneOf" | "anyOf", _, Dialect::V2) => {}
                    // Names of properties are not keywords; their schemas are.
                    ("properties", Value::Object(properties), _) => {
                        let properties = properties.into_iter().map(|(name, value)| (name, in_dialect(value, dialect)));
                        result.insert(key, Value::Object(properties.collect()));
                    }
                    ("default" | "enum" | "required" | "description", value, _) => {
                        result.insert(key, value);
                    }
                    (_, value @ (Value::Object(_) | Value::Array(_)), _) => {
                        result.insert(key, in_dialect(value, dialect));
                    }
                    (_, value, _) => {
                        result.insert(key, value);
                    }
                }
            }
            Value::Object(result)
        }
        other => other,
    }
}
