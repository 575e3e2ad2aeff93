//! The messages: which field of which type stands under which number.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The messages, from the table beside this file.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(include_str!("messages.txt")));

/// Every message by its name in lower case: the languages that it was generated for spell some differently.
#[derive(Debug)]
pub(super) struct Schema(BTreeMap<String, Message>);

#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) name: &'static str,
    fields: BTreeMap<u64, Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Name {
    /// Under this key.
    Key(&'static str),
    /// Its fields stand among the parent's.
    Inline,
    /// It is the parent's whole value.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Integer,
    Boolean,
    Double,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON as such: `RawExtension`, `FieldsV1`.
    Json,
    Message(&'static str),
}

impl Schema {
    fn parse(table: &'static str) -> Self {
        let mut messages: BTreeMap<String, Message> = BTreeMap::new();
        let mut current = String::new();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            if let Some(field) = line.strip_prefix(' ') {
                let mut words = field.split(' ');
                let (Some(number), Some(name), Some(of)) = (words.next(), words.next(), words.next()) else {
                    continue;
                };
                if let (Ok(number), Some(message)) = (number.parse(), messages.get_mut(&current)) {
                    message.fields.insert(number, Field::parse(name, of));
                }
            } else {
                current = line.to_lowercase();
                messages.insert(current.clone(), Message { name: line, fields: BTreeMap::new() });
            }
        }
        Self(messages)
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message> {
        self.0.get(&name.to_lowercase())
    }

    /// The message of a kind: the table's names are the first label of the group (`core` for none), the version and
    /// the kind.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
        let group = group.split('.').next().unwrap_or_default();
        let own = self.message(&format!("{group}.{version}.{kind}"));
        // Bodies such as DeleteOptions go under any group's version.
        own.or_else(|| self.message(&format!("meta.v1.{kind}")))
    }
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&Field> {
        self.fields.get(&number)
    }
}

impl Field {
    fn parse(name: &'static str, of: &'static str) -> Self {
        let name = match name {
            "^" => Name::Inline,
            "=" => Name::Whole,
            name => Name::Key(name),
        };
        let (shape, of) = match (of.strip_prefix('*'), of.strip_prefix('%')) {
            (Some(of), _) => (Shape::List, of),
            (_, Some(of)) => (Shape::Map, of),
            _ => (Shape::One, of),
        };
        let kind = match of {
            "s" => Kind::Text,
            "b" => Kind::Bytes,
            "i" => Kind::Integer,
            "B" => Kind::Boolean,
            "d" => Kind::Double,
            "Quantity" => Kind::Quantity,
            "IntOrString" => Kind::IntOrString,
            "meta.v1.Time" => Kind::Time,
            "meta.v1.MicroTime" => Kind::MicroTime,
            "meta.v1.FieldsV1" | "RawExtension" => Kind::Json,
            message => Kind::Message(message),
        };
        Self { name, shape, kind }
    }
}
