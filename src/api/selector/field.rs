//! Field selectors: `spec.nodeName=n1,status.phase!=Running`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::SelectorError;
use crate::api::kind::Kind;

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path.
    pub field: String,
    /// The value compared with.
    pub value: String,
    /// Whether the field must equal the value, or differ from it.
    pub equal: bool,
}

/// Requirements that must all hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The requirements.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// The selector of objects whose `field` is `value`.
    pub fn equal(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self { requirements: vec![FieldRequirement { field: field.into(), value: value.into(), equal: true }] }
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object matches whose fields `value_of` gives.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| (value_of(&requirement.field) == requirement.value.as_str()) == requirement.equal)
    }

    /// The value that `field` must have, where the selector asks for one.
    pub fn wanted(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }

    /// Checks that objects of `kind` can be selected by these fields.
    ///
    /// # Errors
    /// Upstream's words for a field that cannot be selected by.
    pub fn check(&self, kind: &Kind) -> Result<(), SelectorError> {
        let common = ["metadata.name", "metadata.namespace"];
        let known = |field: &str| common.contains(&field) || kind.selectable.contains(&field);
        match self.requirements.iter().map(|requirement| requirement.field.as_str()).find(|field| !known(field)) {
            None => Ok(()),
            Some(field) if kind.selectable.is_empty() => Err(SelectorError(format!(
                "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ))),
            Some(field) => Err(SelectorError(format!("field label not supported: {field}"))),
        }
    }
}

/// The text cut at commas that no backslash precedes.
fn terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Field, whether equal, and value of a term, the latter still escaped.
fn split(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find("!=").into_iter().chain(term.find('=')).min()?;
    let (field, rest) = term.split_at(at);
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='));
    Some(value.map_or_else(|| (field, false, &rest[2..]), |value| (field, true, value)))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let bad = |sequence: &str| SelectorError(format!("invalid field selector: invalid escape sequence: {sequence}"));
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                Some(c) => return Err(bad(&format!("\\{c}"))),
                None => return Err(bad("\\")),
            },
            ',' | '=' => {
                let code = u32::from(c);
                return Err(SelectorError(format!("invalid field selector: unescaped character in value: {code}")));
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut terms = terms(text);
        terms.sort_unstable();
        let requirement = |term: &str| {
            let (field, equal, value) = split(term)
                .ok_or_else(|| SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")))?;
            Ok(FieldRequirement { field: field.to_owned(), value: unescape(value)?, equal })
        };
        let requirements = terms.into_iter().filter(|term| !term.is_empty()).map(requirement);
        Ok(Self { requirements: requirements.collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FieldRequirement { field, value, equal }) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{field}{}", if *equal { "=" } else { "!=" })?;
            for c in value.chars() {
                let escape = if matches!(c, '\\' | ',' | '=') { "\\" } else { "" };
                write!(f, "{escape}{c}")?;
            }
        }
        Ok(())
    }
}
