//! What is known of the types of objects beyond their fields: how lists are merged, and their published schemas.

pub mod merge_keys;
#[cfg(feature = "http")]
pub mod openapi;

/// A type whose schema is published, where the build publishes schemas at all (feature `http`).
#[cfg(feature = "http")]
pub trait Published: schemars::JsonSchema {}

#[cfg(feature = "http")]
impl<T: schemars::JsonSchema> Published for T {}

/// A type whose schema is published, where the build publishes schemas at all (feature `http`).
#[cfg(not(feature = "http"))]
pub trait Published {}

#[cfg(not(feature = "http"))]
impl<T> Published for T {}
