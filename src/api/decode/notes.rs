//! What decoding finds on the way, in upstream's words.

use std::cell::RefCell;
use std::fmt::Display;

use super::place::{Place, go_type};
use super::scalar::base64_mistake;

/// Upstream reports no more mistakes than this.
const STRICT_LIMIT: usize = 100;

/// Unknown and duplicate fields, and the first thing that does not fit.
#[derive(Debug, Default)]
pub(super) struct Notes {
    strict: RefCell<Vec<String>>,
    failure: RefCell<Option<String>>,
}

impl Notes {
    pub(super) fn strict(&self, what: &str, place: &Place<'_>) {
        let mut strict = self.strict.borrow_mut();
        let note = format!("{what} field \"{place}\"");
        if strict.len() < STRICT_LIMIT && !strict.contains(&note) {
            strict.push(note);
        }
    }

    /// Unknown and duplicate fields, in the order found.
    pub(super) fn into_strict(self) -> Vec<String> {
        self.strict.into_inner()
    }

    /// What to say of a document whose values do not fit.
    pub(super) fn into_failure(self, error: &dyn Display) -> String {
        self.failure.into_inner().unwrap_or_else(|| error.to_string())
    }

    /// Notes a failure in words of its own; the first one counts.
    pub(super) fn fail(&self, place: &Place<'_>, words: &str) {
        self.failure.borrow_mut().get_or_insert_with(|| format!("{words} (at {place})"));
    }

    /// Notes why a value at `place` is no `rust` type. Called on each level that an error passes; the first is the
    /// innermost.
    #[cold]
    pub(super) fn explain(&self, place: &Place<'_>, rust: &str, error: &dyn Display) {
        if self.failure.borrow().is_some() {
            return;
        }
        let message = error.to_string();
        if let Some(words) = base64_mistake(&message) {
            return self.fail(place, &words);
        }
        let wanted = go_type(rust);
        let is_number = ["int", "float"].iter().any(|start| wanted.starts_with(start)) && !wanted.contains(' ');
        if let Some(value) = go_value(&message, is_number) {
            let place = place.in_go();
            *self.failure.borrow_mut() = Some(format!("json: cannot unmarshal {value} into {place} of type {wanted}"));
        }
    }
}

/// What Go calls the value that serde's `invalid type` message complains of; a number with its digits where a number
/// was wanted (and this one did not fit).
pub(super) fn go_value(message: &str, with_digits: bool) -> Option<String> {
    let found = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (kind, rest) = found.split_once(['`', '"', ',']).unwrap_or((found, ""));
    Some(match kind.trim() {
        "string" => "string".to_owned(),
        "boolean" => "bool".to_owned(),
        "integer" | "floating point" | "number" if with_digits => {
            format!("number {}", rest.split('`').next().unwrap_or_default())
        }
        "integer" | "floating point" | "number" => "number".to_owned(),
        "sequence" => "array".to_owned(),
        "map" => "object".to_owned(),
        other => other.to_owned(),
    })
}
