//! Why a store refuses.

use std::sync::Arc;

use crate::api::{ApiError, GroupResource, Key, Object, Reason, Revision};

/// Why a store refuses.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The key is taken.
    #[error("{0} already exists")]
    Exists(Key),
    /// There is no such object.
    #[error("{0} not found")]
    NotFound(Key),
    /// The object is of another version than expected: this one.
    #[error("{key} has changed")]
    Conflict {
        /// The key.
        key: Key,
        /// What is stored.
        current: Box<Object>,
    },
    /// The history asked for is no longer kept.
    #[error("The provided resource version is too old: {asked} ({oldest} is the oldest kept)")]
    Expired {
        /// What was asked for.
        asked: Revision,
        /// The oldest that is kept.
        oldest: Revision,
    },
    /// The revision asked for lies ahead.
    #[error("Too large resource version: {asked}, current: {current}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// The newest there is.
        current: Revision,
    },
    /// The scope names a field that the store does not index.
    #[error("{resource} are not indexed by {field}")]
    NotIndexed {
        /// The resource.
        resource: GroupResource,
        /// The field.
        field: &'static str,
    },
    /// The store cannot be reached, or its data cannot be read.
    #[error("the store failed to {operation}")]
    Failed {
        /// What it was doing.
        operation: &'static str,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Exists(key) => Self::already_exists(&key.resource, key.name()),
            StoreError::NotFound(key) => Self::not_found(&key.resource, key.name()),
            StoreError::Conflict { key, .. } => Self::modified(&key.resource, key.name()),
            StoreError::Expired { asked, oldest } => {
                Self::expired(format!("too old resource version: {asked} ({oldest})"))
            }
            StoreError::Future { .. } => Self::new(Reason::Timeout, error.to_string())
                .with_cause("ResourceVersionTooLarge", "", "Too large resource version")
                .retry_after(std::time::Duration::from_secs(1)),
            StoreError::NotIndexed { .. } | StoreError::Failed { .. } => Self::internal(&error),
        }
    }
}
