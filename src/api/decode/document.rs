//! A JSON document that has been read and not yet been made into anything.

use bumpalo::Bump;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::notes::Notes;
use super::place::Place;
use super::reader::Reader;
use super::tree::Node;
use super::{Decoded, syntax};
use crate::api::status::ApiError;

/// Where documents lie that are read, for as long as somebody needs them: room that is given back as a whole.
#[derive(Debug)]
pub struct Arena(Bump);

/// Room for the tree of a usual object, so that most are read with one allocation.
const ROOM: usize = 16 * 1024;

impl Default for Arena {
    fn default() -> Self {
        Self(Bump::with_capacity(ROOM))
    }
}

/// A JSON document: what typed values are decoded from. It borrows the texts of what it was read from.
///
/// ```
/// use orchestrion::api::decode::{Arena, Document};
/// use serde_json::json;
/// let (arena, patch) = (Arena::default(), json!({"paused": null}));
/// let mut document = Document::read(&arena, br#"{"replicas": 3, "paused": true}"#)?;
/// document.merge(&patch);
/// assert_eq!(document.to_value(), json!({"replicas": 3}));
/// # Ok::<(), orchestrion::api::ApiError>(())
/// ```
#[derive(Debug)]
pub struct Document<'a> {
    arena: &'a Bump,
    tree: Node<'a>,
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// A bad request that tells where it is no JSON.
    pub fn read(Arena(arena): &'a Arena, json: &'a [u8]) -> Result<Self, ApiError> {
        let tree = Node::read(arena, json).map_err(|error| ApiError::bad_request(syntax::mistake(&error, json)))?;
        Ok(Self { arena, tree })
    }

    /// The document that a value is.
    pub fn of(Arena(arena): &'a Arena, value: &'a Value) -> Self {
        Self { arena, tree: Node::of(arena, value) }
    }

    /// Applies a merge patch (RFC 7386).
    pub fn merge(&mut self, patch: &'a Value) {
        self.tree.merge(self.arena, patch);
    }

    /// A text among its fields.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.tree.field(field) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The document as a value.
    pub fn to_value(&self) -> Value {
        self.tree.to_value()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// A bad request that names the field and what was expected.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Decoded<T>, ApiError> {
        let notes = Notes::default();
        match T::deserialize(Reader::new(&self.tree, &Place::ROOT, &notes)) {
            Ok(object) => Ok(Decoded { object, strict: notes.into_strict() }),
            Err(error) => Err(ApiError::bad_request(notes.into_failure(&error))),
        }
    }
}
