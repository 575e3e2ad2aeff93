//! A JSON document that has been read and not yet been made into anything.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::notes::Notes;
use super::place::Place;
use super::reader::Reader;
use super::tree::Node;
use super::{Decoded, syntax};
use crate::api::status::ApiError;

/// A JSON document: what typed values are decoded from. It borrows the texts of what it was read from.
///
/// ```
/// use orchestrion::api::decode::Document;
/// use serde_json::json;
/// let mut document = Document::read(br#"{"replicas": 3, "paused": true}"#)?;
/// let patch = json!({"paused": null});
/// document.merge(&patch);
/// assert_eq!(document.to_value(), json!({"replicas": 3}));
/// # Ok::<(), orchestrion::api::ApiError>(())
/// ```
#[derive(Debug)]
pub struct Document<'a>(Node<'a>);

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// A bad request that tells where it is no JSON.
    pub fn read(json: &'a [u8]) -> Result<Self, ApiError> {
        let tree = Node::read(json).map_err(|error| ApiError::bad_request(syntax::mistake(&error, json)))?;
        Ok(Self(tree))
    }

    /// The document that a value is.
    pub fn of(value: &'a Value) -> Self {
        Self(Node::of(value))
    }

    /// Applies a merge patch (RFC 7386).
    pub fn merge(&mut self, patch: &'a Value) {
        self.0.merge(patch);
    }

    /// A text among its fields.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.0.field(field) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The document as a value.
    pub fn to_value(&self) -> Value {
        self.0.to_value()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// A bad request that names the field and what was expected.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Decoded<T>, ApiError> {
        let notes = Notes::default();
        match T::deserialize(Reader::new(&self.0, &Place::ROOT, &notes)) {
            Ok(object) => Ok(Decoded { object, strict: notes.into_strict() }),
            Err(error) => Err(ApiError::bad_request(notes.into_failure(&error))),
        }
    }
}
