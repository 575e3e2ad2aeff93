//! Label and field selectors.

mod field;
mod label;

pub use self::field::{FieldRequirement, FieldSelector};
pub use self::label::{LabelOperator, LabelRequirement, LabelSelector};
