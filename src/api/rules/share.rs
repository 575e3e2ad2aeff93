//! Rules for shares: a number, or a percentage of another one.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::field::{FieldErrors, Path};

use super::{json, not_negative, pattern};

fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().unwrap_or(i64::MAX))
}

/// Complains about a negative number and a text that is no percentage.
pub fn check(errors: &mut FieldErrors, path: &Path<'_>, share: &IntOrString) {
    match share {
        IntOrString::Int(number) => not_negative(errors, path, *number),
        IntOrString::String(text) if percent(text).is_some() => {}
        IntOrString::String(text) => {
            let what = "a valid percent string must be a numeric string followed by an ending '%'";
            errors.invalid(path, text, pattern(what, "[0-9]+%", &["1%", "93%"]));
        }
    }
}

/// Complains about a percentage above 100.
pub fn at_most_all(errors: &mut FieldErrors, path: &Path<'_>, share: &IntOrString) {
    if matches!(share, IntOrString::String(text) if percent(text).is_some_and(|percent| percent > 100)) {
        errors.invalid(path, json(share), "must not be greater than 100%");
    }
}

/// Whether the share is nothing, of whatever it is a share.
pub fn is_zero(share: &IntOrString) -> bool {
    match share {
        IntOrString::Int(number) => *number == 0,
        IntOrString::String(text) => percent(text).unwrap_or(0) == 0,
    }
}
