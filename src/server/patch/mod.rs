//! Patches: what a patch makes of an object's JSON.

use serde_json::Value;

use crate::api::{ApiError, Kind, Patch, Reason};

/// What `patch` makes of `current`.
///
/// # Errors
/// Where the patch does not fit the object, or its form is not known.
pub fn apply(patch: &Patch, current: &Value, _kind: &Kind) -> Result<Value, ApiError> {
    match patch {
        Patch::Merge(changes) => {
            let mut value = current.clone();
            json_patch::merge(&mut value, changes);
            Ok(value)
        }
        _ => Err(ApiError::new(
            Reason::UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: \
             application/merge-patch+json",
        )),
    }
}
