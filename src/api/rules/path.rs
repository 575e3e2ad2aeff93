//! Rules for file paths.

use crate::api::field::{FieldErrors, Path};

/// Complains about `..` as a step of the path.
pub fn no_backsteps(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if text.split('/').any(|step| step == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}

/// Complains about an absolute path, and about `..` as a step.
pub fn descending(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    no_backsteps(errors, path, text);
}

/// As [`descending`], and about a path that begins with `..` in any form.
pub fn descending_not_dotted(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    descending(errors, path, text);
    if text.starts_with("..") && !text.starts_with("../") {
        errors.invalid(path, text, "must not start with '..'");
    }
}
