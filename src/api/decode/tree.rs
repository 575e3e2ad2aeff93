//! A JSON document as a tree that borrows its texts: duplicate keys and all, in their order.

use std::fmt;

use bumpalo::Bump;
use bumpalo::collections::Vec;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::de::Read;
use serde_json::{Number, Value};

/// A node of a tree. It lies in an arena with its texts that the document does not have as they are.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    List(Vec<'a, Node<'a>>),
    Map(Vec<'a, (&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a whole document.
    pub(super) fn read(arena: &'a Bump, json: &'a [u8]) -> Result<Self, serde_json::Error> {
        match std::str::from_utf8(json) {
            // Checked as a whole, no text in it need be.
            Ok(text) => Self::read_from(arena, serde_json::Deserializer::from_str(text)),
            Err(_) => Self::read_from(arena, serde_json::Deserializer::from_slice(json)),
        }
    }

    fn read_from<R: Read<'a>>(
        arena: &'a Bump,
        mut deserializer: serde_json::Deserializer<R>,
    ) -> Result<Self, serde_json::Error> {
        let tree = Any(arena).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(tree)
    }

    /// The tree that a value is.
    pub(super) fn of(arena: &'a Bump, value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(Vec::from_iter_in(items.iter().map(|item| Self::of(arena, item)), arena)),
            Value::Object(fields) => {
                let entries = fields.iter().map(|(key, value)| (key.as_str(), Self::of(arena, value)));
                Self::Map(Vec::from_iter_in(entries, arena))
            }
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String((*text).to_owned()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Map(entries) => entries.iter().map(|(key, node)| ((*key).to_owned(), node.to_value())).collect(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(key, _)| *key == name).map(|(_, node)| node)
    }

    /// Applies a merge patch (RFC 7386).
    pub(super) fn merge(&mut self, arena: &'a Bump, patch: &'a Value) {
        let Value::Object(changes) = patch else {
            *self = Self::of(arena, patch);
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new_in(arena));
        }
        let Self::Map(entries) = self else { return };
        for (name, change) in changes {
            let at = entries.iter().position(|(key, _)| *key == name.as_str());
            match (at, change) {
                (Some(at), Value::Null) => drop(entries.remove(at)),
                (None, Value::Null) => {}
                (Some(at), change) => entries[at].1.merge(arena, change),
                (None, change) => {
                    let mut node = Self::Null;
                    node.merge(arena, change);
                    entries.push((name.as_str(), node));
                }
            }
        }
    }

    /// What an error says was found.
    pub(super) fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (None, Some(number)) => Unexpected::Signed(number),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Self::Text(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Map(_) => Unexpected::Map,
        }
    }
}

/// What reads a text into an arena, or leaves it in the document where it has no escapes.
struct Text<'a>(&'a Bump);

impl<'de> DeserializeSeed<'de> for Text<'de> {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text<'de> {
    type Value = &'de str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<&'de str, E> {
        Ok(text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<&'de str, E> {
        Ok(self.0.alloc_str(text))
    }
}

/// What reads any value into an arena.
#[derive(Clone, Copy)]
struct Any<'a>(&'a Bump);

impl<'de> DeserializeSeed<'de> for Any<'de> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'de> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node<'de>, E> {
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(self.0.alloc_str(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new_in(self.0);
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut map = Vec::with_capacity_in(8, self.0);
        while let Some(key) = entries.next_key_seed(Text(self.0))? {
            map.push((key, entries.next_value_seed(self)?));
        }
        Ok(Node::Map(map))
    }
}
