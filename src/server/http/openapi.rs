//! `/openapi/…`: where the documents of the schema module meet the wire.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::Value;

use super::body::{self, JSON, Pieced};
use super::openapi_protobuf;
use crate::api::schema::openapi;
use crate::api::{ApiError, Kinds, Reason};

/// `/openapi/v3`: the documents there are, one per group and version.
pub(crate) fn v3_index(kinds: &Kinds) -> Value {
    openapi::v3_index(kinds)
}

/// `/openapi/v3/apis/G/V`
pub(crate) fn v3(kinds: &Kinds, document: &str) -> Option<Response<Pieced>> {
    let (group, version) = match document.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    openapi::v3(kinds, group, version).map(answer)
}

/// `/openapi/v2`
pub(crate) fn v2(kinds: &Kinds, headers: &HeaderMap) -> Result<Response<Pieced>, ApiError> {
    let accepted: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let any = |of: &[&str]| accepted.iter().any(|accept| of.iter().any(|name| accept.contains(name)));
    if accepted.is_empty() || any(&["json", "*/*"]) {
        return Ok(answer(openapi::v2(kinds)));
    }
    if any(&["proto-openapi.spec.v2"]) {
        let document = serde_json::from_slice(&openapi::v2(kinds)).map_err(ApiError::internal)?;
        let document = openapi_protobuf::encode(&document);
        return Ok(body::answer(StatusCode::OK, openapi_protobuf::MEDIA_TYPE, body::whole(document)));
    }
    let message =
        format!("only the following media types are accepted: application/json, {}", openapi_protobuf::MEDIA_TYPE);
    Err(ApiError::new(Reason::NotAcceptable, message))
}

fn answer(document: Bytes) -> Response<Pieced> {
    body::answer(StatusCode::OK, JSON, body::whole(document))
}
