//! Bodies of requests: from JSON to a draft.

use std::sync::Arc;

use serde::Deserialize;

use crate::api::{ApiError, Call, Draft, FieldValidation, Kind};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// Decodes a body that is to be a `kind`, as the wire's edge does: what the body says of its version and kind must
/// fit, and unknown and duplicate fields are refused, warned of or ignored.
///
/// # Errors
/// A bad request that names the field and what was expected.
pub fn decode(kind: &Arc<Kind>, json: &[u8], validation: FieldValidation, call: &Call) -> Result<Draft, ApiError> {
    let types: TypeMeta = serde_json::from_slice(json).map_err(|error| unrecognized(kind, json, &error))?;
    let expected = kind.api_version();
    let (given_version, given_kind) = (
        if types.api_version.is_empty() { &expected } else { &types.api_version },
        if types.kind.is_empty() { &kind.kind } else { &types.kind },
    );
    let unhandled = |why: &dyn std::fmt::Display| {
        let version = given_version.rsplit('/').next().unwrap_or_default();
        ApiError::bad_request(format!(
            "{given_kind} in version \"{version}\" cannot be handled as a {}: {why}",
            kind.kind
        ))
    };
    if *given_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({expected})"
        )));
    }
    if *given_kind != kind.kind {
        let group = if kind.group.is_empty() { "core" } else { &kind.group };
        let (version, wanted) = (&kind.version, &kind.kind);
        return Err(unhandled(&format!(
            "converting ({version}.{given_kind}) to ({group}.{wanted}): unknown conversion"
        )));
    }
    let decoded = kind.strategy().decode(json).map_err(|error| unhandled(&error))?;
    strict(&decoded.strict, validation, call, |text| unhandled(&text))?;
    Ok(Draft::of(Arc::clone(kind), decoded.object))
}

/// What is done about unknown and duplicate fields.
pub(super) fn strict(
    complaints: &[String],
    validation: FieldValidation,
    call: &Call,
    refuse: impl FnOnce(String) -> ApiError,
) -> Result<(), ApiError> {
    match validation {
        _ if complaints.is_empty() => {}
        FieldValidation::Ignore => {}
        FieldValidation::Warn => complaints.iter().for_each(|complaint| call.warn(complaint.as_str())),
        FieldValidation::Strict => {
            return Err(refuse(format!("strict decoding error: {}", complaints.join(", "))));
        }
    }
    Ok(())
}

/// What is no JSON object at all.
fn unrecognized(kind: &Kind, json: &[u8], error: &serde_json::Error) -> ApiError {
    let start: String = json.iter().take(30).map(|byte| format!("{byte:02x}")).collect();
    let more = if json.len() > 30 { " ..." } else { "" };
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
         {error} ({start}{more})",
        kind.kind
    ))
}
