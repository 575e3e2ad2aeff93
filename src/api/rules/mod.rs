//! Rules for fields that many kinds share, in upstream's words.
//!
//! A rule about one text answers a list of complaints (empty: the text is good); a rule about a structure takes its
//! [`Path`] and adds to [`FieldErrors`].
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation` and `k8s.io/apimachinery/pkg/api/validation`.

pub mod image;
pub mod ip;
pub mod label;
pub mod meta;
pub mod name;
pub mod path;
pub mod placement;
pub mod port;
pub mod resources;
pub mod schedule;
pub mod share;

use serde::Serialize;
use serde_json::Value;

use super::field::{FieldErrors, Path};

/// What a changed field that may not change is told.
pub const IMMUTABLE: &str = "field is immutable";

/// What a negative number is told where none may stand.
pub const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Adds each complaint about `value`.
pub fn complain(errors: &mut FieldErrors, path: &Path<'_>, value: &str, complaints: Vec<String>) {
    for complaint in complaints {
        errors.invalid(path, value, complaint);
    }
}

/// Complains about a number below zero.
pub fn not_negative(errors: &mut FieldErrors, path: &Path<'_>, value: impl Into<i64>) {
    let value = value.into();
    if value < 0 {
        errors.invalid(path, value, NOT_NEGATIVE);
    }
}

/// Complains about a text that is missing or none of `allowed`.
pub fn one_of(errors: &mut FieldErrors, path: &Path<'_>, value: Option<&str>, allowed: &[&str]) {
    match value.unwrap_or_default() {
        "" => errors.required(path, ""),
        value if allowed.contains(&value) => {}
        value => errors.not_supported(path, value, allowed),
    }
}

/// Complains about a text that is missing.
pub fn present(errors: &mut FieldErrors, path: &Path<'_>, value: &str) {
    if value.is_empty() {
        errors.required(path, "");
    }
}

/// A text that may be missing, as upstream keeps it: empty where it is.
pub fn given(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Whether two values say the same: as upstream compares them, where what is empty equals what is missing.
pub fn same<T: PartialEq + Serialize>(a: &T, b: &T) -> bool {
    a == b || matches!((pruned(a), pruned(b)), (Ok(a), Ok(b)) if a == b)
}

/// The JSON form without what is empty.
pub fn pruned<T: Serialize>(value: &T) -> Result<Value, serde_json::Error> {
    fn prune(value: &mut Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => {
                items.iter_mut().for_each(|item| {
                    prune(item);
                });
                !items.is_empty()
            }
            Value::Object(fields) => {
                fields.retain(|_, field| prune(field));
                !fields.is_empty()
            }
            Value::String(text) => !text.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        }
    }
    let mut value = serde_json::to_value(value)?;
    prune(&mut value);
    Ok(value)
}

/// A value as an error message shows it: its JSON form.
pub fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Complains about a field that changed but may not.
pub fn immutable<T: PartialEq + Serialize>(errors: &mut FieldErrors, path: &Path<'_>, new: &T, old: &T) {
    if !same(new, old) {
        errors.invalid(path, json(new), IMMUTABLE);
    }
}

/// `must be between low and high, inclusive`
pub fn inclusive(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// A complaint that shows the pattern that was not met, with examples.
fn pattern(what: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn longer_than(max: usize) -> String {
    format!("must be no more than {max} characters")
}
