//! OpenAPI documents of the served kinds: one of version 3 per API group and version, and one of version 2 for all.
//!
//! They are made from `k8s-openapi`'s schemas and the kinds table, and hold what clients look for: `kubectl explain`
//! reads types and paths, `kubectl apply` the merge keys and which patches a path takes, and validation and dry runs
//! are asked of the server only where its paths name the parameters.

mod definitions;
mod parameters;
mod paths;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use self::definitions::Definitions;
use super::super::{Kind, KindRef, Kinds};

/// Adds a type's schema to those of a generator, and tells the name it has there.
pub(crate) type AddSchema = fn(&mut SchemaGenerator) -> Cow<'static, str>;

/// Adds the schema of `T`.
pub(crate) fn add<T: JsonSchema>(generator: &mut SchemaGenerator) -> Cow<'static, str> {
    generator.subschema_for::<T>();
    T::schema_name()
}

/// The version of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// The documents made so far of one state of the kinds table, by path; `/openapi/v2` is the empty one.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<BTreeMap<String, Bytes>>);

impl Documents {
    /// The document of that path, made on first use.
    fn get(&self, path: &str, make: impl FnOnce() -> Value) -> Bytes {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = known().get(path) {
            return document.clone();
        }
        // Made outside the lock: two at once make the same.
        let document = Bytes::from(make().to_string());
        known().entry(path.to_owned()).or_insert(document).clone()
    }
}

/// `/openapi/v3`: where the documents of the groups and versions are.
pub fn v3_index(kinds: &Kinds) -> Value {
    let mut paths: BTreeMap<String, DefaultHasher> = BTreeMap::new();
    for kind in kinds.all() {
        let hasher = paths.entry(path_of(&kind)).or_default();
        (env!("CARGO_PKG_VERSION"), &kind.kind, &kind.plural, kind.namespaced, kind.verbs).hash(hasher);
        for subresource in &kind.subresources {
            (subresource.name, subresource.verbs).hash(hasher);
        }
    }
    let link = |(path, hasher): (String, DefaultHasher)| {
        let url = format!("/openapi/v3/{path}?hash={:016X}", hasher.finish());
        (path, json!({ "serverRelativeURL": url }))
    };
    json!({ "paths": paths.into_iter().map(link).collect::<Map<_, _>>() })
}

/// `/openapi/v3/apis/GROUP/VERSION` (`/openapi/v3/api/VERSION` for the core group); none where nothing is served there.
pub fn v3(kinds: &Kinds, group: &str, version: &str) -> Option<Bytes> {
    let of_version = |kind: &KindRef| kind.group == group && kind.version == version;
    let rows: Vec<_> = kinds.all().into_iter().filter(of_version).collect();
    let path = path_of(rows.first()?);
    Some(kinds.documents(|documents| documents.get(&path, || document(kinds, &rows, Dialect::V3))))
}

/// `/openapi/v2`
pub fn v2(kinds: &Kinds) -> Bytes {
    kinds.documents(|documents| documents.get("", || document(kinds, &kinds.all(), Dialect::V2)))
}

/// `api/v1`, `apis/apps/v1`
fn path_of(kind: &Kind) -> String {
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", kind.api_version())
}

fn document(kinds: &Kinds, rows: &[KindRef], dialect: Dialect) -> Value {
    let mut definitions = Definitions::new(dialect, kinds);
    for kind in rows {
        definitions.add_kind(kind);
    }
    let paths: BTreeMap<String, Value> =
        rows.iter().flat_map(|kind| paths::of_kind(kind, &mut definitions, dialect)).collect();
    let definitions = definitions.into_map();
    let info = json!({ "title": "Kubernetes", "version": "v1.36.0" });
    let bearer = json!({ "type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token" });
    match dialect {
        Dialect::V2 => json!({
            "swagger": "2.0",
            "info": info,
            "paths": paths,
            "definitions": definitions,
            "securityDefinitions": { "BearerToken": bearer },
            "security": [{ "BearerToken": [] }],
        }),
        Dialect::V3 => json!({
            "openapi": "3.0.0",
            "info": info,
            "paths": paths,
            "components": { "schemas": definitions, "securitySchemes": { "BearerToken": bearer } },
        }),
    }
}
