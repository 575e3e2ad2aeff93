//! Label and field selectors.
//!
//! ```
//! use orchestrion::api::{FieldSelector, LabelSelector};
//! let labels: LabelSelector = "tier in (a,b), app==web,!legacy".parse()?;
//! assert_eq!(labels.to_string(), "app=web,!legacy,tier in (a,b)");
//! let fields: FieldSelector = "status.phase!=Running".parse()?;
//! assert!(fields.matches(|_| "Pending".into()));
//! # Ok::<(), orchestrion::api::selector::SelectorError>(())
//! ```

mod field;
mod label;
mod parse;
#[cfg(test)]
mod tests;

use super::status::ApiError;

pub use self::field::{FieldRequirement, FieldSelector};
pub use self::label::{LabelOperator, LabelRequirement, LabelSelector};

/// Why a selector was refused, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        Self::bad_request(error.0)
    }
}
