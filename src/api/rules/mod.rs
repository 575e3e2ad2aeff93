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
pub mod port;
pub mod resources;

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
