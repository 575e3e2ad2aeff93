//! Patches: what a patch makes of an object's JSON.

mod json;
mod strategic;
#[cfg(test)]
mod tests;

use std::any::TypeId;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails;
use serde_json::{Map, Value};

use crate::api::{ApiError, Dynamic, Kind, Patch, Reason};

/// What `patch` makes of `current`.
///
/// # Errors
/// Where the patch does not fit the object, or its form is not known.
pub fn apply(patch: &Patch, current: &Value, kind: &Kind) -> Result<Value, ApiError> {
    match patch {
        Patch::Json(operations) => json::apply(operations, current),
        Patch::Merge(changes) => {
            check_merge(changes)?;
            let mut value = current.clone();
            json_patch::merge(&mut value, changes);
            Ok(value)
        }
        Patch::Strategic(_) if kind.body_type() == TypeId::of::<Dynamic>() => Err(unsupported(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        Patch::Strategic(changes) => {
            let changes = fields_of(changes).map_err(ApiError::bad_request)?;
            let original = current.as_object().cloned().unwrap_or_default();
            Ok(Value::Object(strategic::merge(original, changes.clone(), &kind.kind)?))
        }
        Patch::Apply { .. } => Err(unsupported(
            "server-side apply is not supported yet - accepted media types include: application/json-patch+json, \
             application/merge-patch+json, application/strategic-merge-patch+json",
        )),
    }
}

/// A merge patch of an object is an object.
pub(super) fn check_merge(changes: &Value) -> Result<(), ApiError> {
    let fields = fields_of(changes).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")));
    fields.map(drop)
}

fn unsupported(message: &str) -> ApiError {
    ApiError::new(Reason::UnsupportedMediaType, message)
}

/// A patch that cannot be applied to this object.
fn unprocessable() -> ApiError {
    ApiError::new(Reason::Invalid, "the server rejected our request due to an error in our request")
        .with_details(StatusDetails::default())
}

/// What Go calls the type of a value.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fields_of(patch: &Value) -> Result<&Map<String, Value>, String> {
    patch.as_object().ok_or_else(|| {
        format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", type_of(patch))
    })
}
