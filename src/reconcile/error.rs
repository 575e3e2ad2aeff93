//! Why a reconciliation failed.

use crate::api::ApiError;

/// Why a reconciliation failed. It is tried again, except where the error is [`Error::Permanent`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Anything else that may go better next time.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Trying again would not help until something changes.
    #[error("{0}")]
    Permanent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A failure that may go better next time.
    pub fn failed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(why.into())
    }

    /// A failure that stays until something changes.
    pub fn permanent(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Permanent(why.into())
    }

    /// The API's error, where it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            Self::Failed(_) | Self::Permanent(_) => None,
        }
    }
}
