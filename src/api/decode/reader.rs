//! Makes typed values of a tree, and knows where it is: it notes unknown and duplicate fields, and says of the first
//! thing that does not fit where it stands and what was expected.
//!
//! That the tree comes first costs an allocation a node; that there is one deserializer, and not a chain of them
//! around serde_json's, halves the code that each type of the API compiles to.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::slice;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::notes::Notes;
use super::place::Place;
use super::scalar::time_mistake;
use super::tree::Node;
use crate::api::quantity::Quantity;

/// Why a value could not be made.
#[derive(Debug)]
pub(super) struct Misfit(Box<str>);

impl Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

/// A text that has rules of its own.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    None,
    Quantity,
    Time { micro: bool },
}

/// The deserializer of one node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'de, 'c> {
    node: &'de Node<'de>,
    place: &'c Place<'c>,
    notes: &'c Notes,
    rule: Rule,
}

impl<'de, 'c> Reader<'de, 'c> {
    pub(super) const fn new(node: &'de Node<'de>, place: &'c Place<'c>, notes: &'c Notes) -> Self {
        Self { node, place, notes, rule: Rule::None }
    }

    /// Notes an error of a visitor, where its value's type is `rust`.
    fn explain(&self, rust: &str, error: Misfit) -> Misfit {
        self.notes.explain(self.place, rust, &error);
        error
    }

    /// The error of a node that is not what `visitor` expects.
    fn misfit<V: Visitor<'de>>(&self, visitor: &V) -> Misfit {
        self.explain(type_name::<V::Value>(), Misfit::invalid_type(self.node.unexpected(), visitor))
    }

    /// The canonical text of an amount, which may be written as a text or a number; `null` is nothing.
    fn amount(&self) -> Result<String, Misfit> {
        let text = match self.node {
            Node::Text(text) => Cow::Borrowed(text.trim()),
            Node::Number(number) => Cow::Owned(number.to_string()),
            Node::Null => Cow::Borrowed("0"),
            other => return Err(self.explain("Quantity", Misfit::invalid_type(other.unexpected(), &"a quantity"))),
        };
        text.parse::<Quantity>().map(|quantity| quantity.to_string()).map_err(|error| {
            self.notes.fail(self.place, &error.to_string());
            Misfit::custom(error)
        })
    }

    fn entries(self, shape: Shape) -> Option<Entries<'de, 'c>> {
        let Node::Map(entries) = self.node else { return None };
        let Self { place, notes, .. } = self;
        Some(Entries { entries: entries.iter(), value: None, shape, place, notes, seen: Seen::default() })
    }

    fn elements(self) -> Option<Elements<'de, 'c>> {
        let Node::List(items) = self.node else { return None };
        Some(Elements { items: items.iter(), place: self.place, notes: self.notes, next: 0 })
    }
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let made = match self.node {
            _ if self.rule == Rule::Quantity => return visitor.visit_string(self.amount()?),
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(items) => {
                let Self { place, notes, .. } = self;
                visitor.visit_seq(Elements { items: items.iter(), place, notes, next: 0 })
            }
            Node::Map(_) => match self.entries(Shape::Map) {
                Some(entries) => visitor.visit_map(entries),
                None => visitor.visit_unit(),
            },
        };
        made.map_err(|error| self.explain(type_name::<V::Value>(), error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if matches!(self.node, Node::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Node::Text(text) = self.node else { return Err(self.misfit(&visitor)) };
        if let Rule::Time { micro } = self.rule {
            if let Some(mistake) = time_mistake(text, micro) {
                self.notes.fail(self.place, &mistake);
                return Err(Misfit::custom(mistake));
            }
            return visitor.visit_borrowed_str(text).inspect_err(|_: &Misfit| {
                self.notes.fail(self.place, &format!("parsing time {text:?}: out of range"));
            });
        }
        visitor.visit_borrowed_str(text).map_err(|error| self.explain(type_name::<V::Value>(), error))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.elements() {
            Some(elements) => visitor.visit_seq(elements),
            None => Err(self.misfit(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.entries(Shape::Map) {
            Some(entries) => visitor.visit_map(entries),
            None => Err(self.misfit(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.entries(Shape::Struct(name, fields)) {
            Some(entries) => visitor.visit_map(entries).map_err(|error| self.explain(type_name::<V::Value>(), error)),
            None => Err(self.misfit(&visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        let rule = match name {
            "Quantity" => Rule::Quantity,
            "Time" => Rule::Time { micro: false },
            "MicroTime" => Rule::Time { micro: true },
            _ => Rule::None,
        };
        visitor.visit_newtype_struct(Self { rule, ..self })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.place.is_named() {
            self.notes.strict("unknown", self.place);
        }
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(self).map_err(|error| self.explain(type_name::<V::Value>(), error))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

/// A variant by its name alone: no type of the API has another.
impl<'de> EnumAccess<'de> for Reader<'de, '_> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Misfit> {
        seed.deserialize(self).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Reader<'de, '_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Misfit> {
        Err(Misfit::invalid_type(self.node.unexpected(), &"a variant with a value"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        Err(Misfit::invalid_type(self.node.unexpected(), &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        Err(Misfit::invalid_type(self.node.unexpected(), &visitor))
    }
}

/// The items of a list.
struct Elements<'de, 'c> {
    items: slice::Iter<'de, Node<'de>>,
    place: &'c Place<'c>,
    notes: &'c Notes,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let place = self.place.index(self.next);
        self.next += 1;
        seed.deserialize(Reader::new(node, &place, self.notes)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// What an object of JSON stands for.
#[derive(Clone, Copy)]
enum Shape {
    /// A structure of that name and fields.
    Struct(&'static str, &'static [&'static str]),
    Map,
}

impl Shape {
    const fn place<'a>(self, around: &'a Place<'a>, key: &'a str) -> Place<'a> {
        match self {
            Self::Struct(name, _) => around.field(name, key),
            Self::Map => around.key(key),
        }
    }
}

/// The entries of an object.
struct Entries<'de, 'c> {
    entries: slice::Iter<'de, (&'de str, Node<'de>)>,
    /// Whose value is next.
    value: Option<&'de (&'de str, Node<'de>)>,
    shape: Shape,
    place: &'c Place<'c>,
    notes: &'c Notes,
    seen: Seen<'de>,
}

impl<'de> Entries<'de, '_> {
    fn next_key(&mut self) -> Option<&'de str> {
        let entry = self.entries.next()?;
        let key = entry.0;
        self.value = Some(entry);
        if self.seen.again(self.shape, key) {
            self.notes.strict("duplicate", &self.shape.place(self.place, key));
        }
        Some(key)
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        self.next_key().map(|key| seed.deserialize(BorrowedStrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((key, node)) = self.value.take() else { return Err(Misfit::custom("a value without a key")) };
        let place = self.shape.place(self.place, key);
        seed.deserialize(Reader::new(node, &place, self.notes))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// The keys of one object so far.
#[derive(Default)]
struct Seen<'de> {
    /// A bit for each field of a structure.
    fields: u128,
    /// Where the field after the last one stands: documents mostly keep the order.
    next: usize,
    others: std::collections::BTreeSet<&'de str>,
}

impl<'de> Seen<'de> {
    /// Whether `key` was there before.
    fn again(&mut self, shape: Shape, key: &'de str) -> bool {
        let position = match shape {
            Shape::Struct(_, fields) => {
                let (before, after) = fields.split_at(self.next.min(fields.len()));
                let start = before.len();
                after
                    .iter()
                    .position(|field| *field == key)
                    .map(|index| start + index)
                    .or_else(|| before.iter().position(|field| *field == key))
                    .filter(|index| *index < 128)
            }
            Shape::Map => None,
        };
        match position {
            Some(index) => {
                self.next = index + 1;
                let bit = 1 << index;
                let again = self.fields & bit != 0;
                self.fields |= bit;
                again
            }
            None => !self.others.insert(key),
        }
    }
}
