//! A deserializer around serde_json's that knows where it is: it notes unknown and duplicate fields, and says of the
//! first thing that does not fit where it stands and what was expected.

use std::any::type_name;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::place::{Place, go_type};
use super::scalar::{base64_mistake, time_mistake};
use super::syntax;
use crate::api::quantity::Quantity;

/// Upstream reports no more mistakes than this.
const STRICT_LIMIT: usize = 100;

/// What is found on the way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    strict: RefCell<Vec<String>>,
    failure: RefCell<Option<String>>,
}

impl Notes {
    fn strict(&self, what: &str, place: &Place<'_>) {
        let mut strict = self.strict.borrow_mut();
        let note = format!("{what} field \"{place}\"");
        if strict.len() < STRICT_LIMIT && !strict.contains(&note) {
            strict.push(note);
        }
    }

    /// Unknown and duplicate fields, in the order found.
    pub(super) fn into_strict(self) -> Vec<String> {
        self.strict.into_inner()
    }

    /// What to say of a document that could not be read.
    pub(super) fn into_failure(self, json: &[u8], error: &serde_json::Error) -> String {
        if error.is_data() {
            self.failure.into_inner().unwrap_or_else(|| syntax::without_position(&error.to_string()))
        } else {
            syntax::mistake(error, json)
        }
    }

    /// Notes a failure in words of its own; the first one counts.
    fn fail(&self, place: &Place<'_>, words: &str) {
        self.failure.borrow_mut().get_or_insert_with(|| format!("{words} (at {place})"));
    }

    /// Notes why a value at `place` is no `rust` type. Called on each level that an error passes; the first is the
    /// innermost.
    fn explain<E: fmt::Display>(&self, place: &Place<'_>, rust: &str, error: E) -> E {
        self.note(place, rust, &error);
        error
    }

    #[cold]
    fn note(&self, place: &Place<'_>, rust: &str, error: &dyn fmt::Display) {
        if self.failure.borrow().is_some() {
            return;
        }
        let message = syntax::without_position(&error.to_string());
        if let Some(words) = base64_mistake(&message) {
            return self.fail(place, &words);
        }
        let wanted = go_type(rust);
        let is_number = ["int", "float"].iter().any(|start| wanted.starts_with(start)) && !wanted.contains(' ');
        if let Some(value) = go_value(&message, is_number) {
            let place = place.in_go();
            *self.failure.borrow_mut() = Some(format!("json: cannot unmarshal {value} into {place} of type {wanted}"));
        }
    }
}

/// What Go calls the value that serde's `invalid type` message complains of; a number with its digits where a number
/// was wanted (and this one did not fit).
pub(super) fn go_value(message: &str, with_digits: bool) -> Option<String> {
    let found = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (kind, rest) = found.split_once(['`', '"', ',']).unwrap_or((found, ""));
    Some(match kind.trim() {
        "string" => "string".to_owned(),
        "boolean" => "bool".to_owned(),
        "integer" | "floating point" | "number" if with_digits => {
            format!("number {}", rest.split('`').next().unwrap_or_default())
        }
        "integer" | "floating point" | "number" => "number".to_owned(),
        "sequence" => "array".to_owned(),
        "map" => "object".to_owned(),
        other => other.to_owned(),
    })
}

/// A text that has rules of its own.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    None,
    Quantity,
    Time { micro: bool },
}

/// The deserializer.
pub(super) struct Tracked<'c, D> {
    inner: D,
    place: &'c Place<'c>,
    notes: &'c Notes,
    rule: Rule,
}

impl<'c, D> Tracked<'c, D> {
    pub(super) const fn new(inner: D, place: &'c Place<'c>, notes: &'c Notes) -> Self {
        Self { inner, place, notes, rule: Rule::None }
    }

    const fn guard<V>(&self, visitor: V, shape: Shape) -> Guard<'c, V> {
        Guard { visitor, shape, place: self.place, notes: self.notes }
    }
}

impl<'de, D: Deserializer<'de>> Tracked<'_, D> {
    fn quantity<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let text =
            self.inner.deserialize_any(Scalar).map_err(|error| self.notes.explain(self.place, "Quantity", error))?;
        match text.trim().parse::<Quantity>() {
            Ok(quantity) => visitor.visit_string(quantity.to_string()),
            Err(error) => {
                self.notes.fail(self.place, &error.to_string());
                Err(D::Error::custom(error))
            }
        }
    }

    fn time<V: Visitor<'de>>(self, visitor: V, micro: bool) -> Result<V::Value, D::Error> {
        let text = self.inner.deserialize_str(Text).map_err(|error| self.notes.explain(self.place, "String", error))?;
        let refused = |words: &str| self.notes.fail(self.place, words);
        if let Some(mistake) = time_mistake(&text, micro) {
            refused(&mistake);
            return Err(D::Error::custom(mistake));
        }
        visitor.visit_str(&text).inspect_err(|_: &D::Error| refused(&format!("parsing time {text:?}: out of range")))
    }
}

macro_rules! plain {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let Self { inner, place, notes, .. } = self;
            inner.$method(visitor).map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
        }
    )*};
}

macro_rules! guarded {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let guard = self.guard(visitor, Shape::Map);
            let Self { inner, place, notes, .. } = self;
            inner.$method(guard).map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tracked<'_, D> {
    type Error = D::Error;

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    guarded! { deserialize_option deserialize_map deserialize_seq }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.rule == Rule::Quantity {
            return self.quantity(visitor);
        }
        let guard = self.guard(visitor, Shape::Map);
        let Self { inner, place, notes, .. } = self;
        inner.deserialize_any(guard).map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if let Rule::Time { micro } = self.rule {
            return self.time(visitor, micro);
        }
        let Self { inner, place, notes, .. } = self;
        inner.deserialize_str(visitor).map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let guard = self.guard(visitor, Shape::Struct(name, fields));
        let Self { inner, place, notes, .. } = self;
        inner
            .deserialize_struct(name, fields, guard)
            .map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let rule = match name {
            "Quantity" => Rule::Quantity,
            "Time" => Rule::Time { micro: false },
            "MicroTime" => Rule::Time { micro: true },
            _ => Rule::None,
        };
        visitor.visit_newtype_struct(Self { rule, ..self })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.place.is_named() {
            self.notes.strict("unknown", self.place);
        }
        self.inner.deserialize_ignored_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, place, notes, .. } = self;
        inner
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| notes.explain(place, type_name::<V::Value>(), error))
    }
}

/// What an object of JSON stands for.
#[derive(Clone, Copy)]
enum Shape {
    /// A structure of that name and fields.
    Struct(&'static str, &'static [&'static str]),
    Map,
}

/// A visitor that keeps track of what the visitor inside it goes into.
struct Guard<'c, V> {
    visitor: V,
    shape: Shape,
    place: &'c Place<'c>,
    notes: &'c Notes,
}

macro_rules! forwarded {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guard<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    forwarded! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Tracked::new(deserializer, self.place, self.notes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Elements { inner, place: self.place, notes: self.notes, next: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { visitor, shape, place, notes } = self;
        visitor.visit_map(Entries { inner, shape, place, notes, key: Cow::Borrowed(""), seen: Seen::default() })
    }
}

struct Elements<'c, A> {
    inner: A,
    place: &'c Place<'c>,
    notes: &'c Notes,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let place = self.place.index(self.next);
        self.next += 1;
        self.inner.next_element_seed(Seed { seed, place: &place, notes: self.notes })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// The keys of one object so far.
#[derive(Default)]
struct Seen<'de> {
    /// A bit for each field of a structure.
    fields: u128,
    /// Where the field after the last one stands: documents mostly keep the order.
    next: usize,
    others: BTreeSet<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    /// Whether `key` was there before.
    #[allow(clippy::ptr_arg, reason = "a borrowed key is kept without a copy")]
    fn again(&mut self, shape: Shape, key: &Cow<'de, str>) -> bool {
        let position = match shape {
            Shape::Struct(_, fields) => {
                let (before, after) = fields.split_at(self.next.min(fields.len()));
                let start = before.len();
                after
                    .iter()
                    .position(|field| field == key)
                    .map(|index| start + index)
                    .or_else(|| before.iter().position(|field| field == key))
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
            None => !self.others.insert(key.clone()),
        }
    }
}

struct Entries<'de, 'c, A> {
    inner: A,
    shape: Shape,
    place: &'c Place<'c>,
    notes: &'c Notes,
    key: Cow<'de, str>,
    seen: Seen<'de>,
}

impl Shape {
    const fn place<'a>(self, around: &'a Place<'a>, key: &'a str) -> Place<'a> {
        match self {
            Self::Struct(name, _) => around.field(name, key),
            Self::Map => around.key(key),
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'de, '_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(key) = self.inner.next_key_seed(Text)? else { return Ok(None) };
        self.key = key;
        if self.seen.again(self.shape, &self.key) {
            self.notes.strict("duplicate", &self.shape.place(self.place, &self.key));
        }
        seed.deserialize(StrDeserializer::new(&self.key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let place = self.shape.place(self.place, &self.key);
        self.inner.next_value_seed(Seed { seed, place: &place, notes: self.notes })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Seed<'c, S> {
    seed: S,
    place: &'c Place<'c>,
    notes: &'c Notes,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Tracked::new(deserializer, self.place, self.notes))
    }
}

/// Reads a text, borrowed where the document allows.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads what an amount may be written as: a text or a number; `null` is nothing.
struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed("0"))
    }
}
