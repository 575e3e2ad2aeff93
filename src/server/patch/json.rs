//! JSON patches (RFC 6902), within the bounds that the API server sets.

use json_patch::PatchOperation;
use json_patch::jsonptr::Pointer;
use serde_json::Value;

use super::{type_of, unprocessable};
use crate::api::{ApiError, Reason};

/// A patch has no more operations than this.
const OPERATIONS: usize = 10_000;

/// The copies of a patch make an object no larger than by so many bytes.
const COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Objects nest no deeper.
const DEPTH: usize = 128;

/// What the operations of a patch make of an object.
pub(super) fn apply(operations: &Value, current: &Value) -> Result<Value, ApiError> {
    let Value::Array(operations) = operations else {
        let found = type_of(operations);
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > OPERATIONS {
        return Err(ApiError::new(
            Reason::RequestEntityTooLarge,
            format!("The allowed maximum operations in a JSON patch is {OPERATIONS}, got {}", operations.len()),
        ));
    }
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        let found = type_of(other);
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type handlers.jsonPatchOp"
        )));
    }
    let mut value = current.clone();
    let mut copied = 0;
    for operation in operations {
        let operation = serde_json::from_value::<PatchOperation>(operation.clone()).map_err(|_| unprocessable())?;
        check_growth(&operation, &value, &mut copied)?;
        json_patch::patch(&mut value, &[operation]).map_err(|_| unprocessable())?;
    }
    Ok(value)
}

/// Refuses what would make the object too large or too deep.
fn check_growth(operation: &PatchOperation, value: &Value, copied: &mut usize) -> Result<(), ApiError> {
    let (source, target): (Option<&Pointer>, &Pointer) = match operation {
        PatchOperation::Copy(copy) => (Some(&copy.from), &copy.path),
        PatchOperation::Move(change) => (Some(&change.from), &change.path),
        other => (None, other.path()),
    };
    let source = source.and_then(|from| value.pointer(from.as_str()));
    if target.count() + source.map_or(0, depth) > DEPTH {
        return Err(unprocessable());
    }
    if let (PatchOperation::Copy(_), Some(source)) = (operation, source) {
        *copied += source.to_string().len();
        if *copied > COPIED_BYTES {
            return Err(unprocessable());
        }
    }
    Ok(())
}

/// How deep a value nests.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
