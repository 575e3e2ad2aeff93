//! `/openapi/…`: where the documents of the schema module meet the wire.

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::body::{self, Body};
use crate::api::{ApiError, Kinds};

/// `/openapi/v3`: the documents there are, one per group and version.
pub(crate) fn v3_index(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    for kind in kinds.all().iter().filter(|kind| !kind.verbs.is_empty()) {
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        let path = format!("{root}/{}", kind.api_version());
        let url = format!("/openapi/v3/{path}");
        paths.entry(path).or_insert_with(|| json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

/// `/openapi/v3/apis/G/V`
pub(crate) fn v3(_kinds: &Kinds, _document: &str) -> Option<Response<Body>> {
    None
}

/// `/openapi/v2`
pub(crate) fn v2(_kinds: &Kinds, _headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    Ok(body::json(StatusCode::OK, &json!({ "swagger": "2.0" })))
}
