//! Reading label selectors.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = [ "!" ] key | key ( "=" | "==" | "!=" | ">" | "<" ) [ value ] | key ( "in" | "notin" ) "(" values ")"
//! values      = [ value ] { "," [ value ] }
//! ```

use std::iter::Peekable;
use std::str::FromStr;

use super::SelectorError;
use super::label::{LabelOperator, LabelRequirement, LabelSelector, check_key};
use crate::api::field::{FieldErrors, Path};

/// A piece of the text: an operator, a bracket, a comma or (`word`) anything else.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    word: bool,
}

impl Token<'_> {
    const END: Self = Self { text: "", word: false };

    fn is(self, text: &str) -> bool {
        !self.word && self.text == text
    }
}

struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let space = [' ', '\t', '\r', '\n'];
        let special = ['=', '!', '(', ')', ',', '>', '<'];
        let text = self.0.trim_start_matches(space);
        let first = text.chars().next()?;
        let length = if ["==", "!="].iter().any(|operator| text.starts_with(operator)) {
            2
        } else if special.contains(&first) {
            1
        } else {
            text.find(|c| space.contains(&c) || special.contains(&c)).unwrap_or(text.len())
        };
        let (token, rest) = text.split_at(length);
        self.0 = rest;
        Some(Token { text: token, word: !special.contains(&first) })
    }
}

struct Parser<'a>(Peekable<Tokens<'a>>);

fn found(token: Token<'_>, expected: &str) -> SelectorError {
    SelectorError(format!("found '{}', expected: {expected}", token.text))
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Token<'a> {
        self.0.next().unwrap_or(Token::END)
    }

    fn peek(&mut self) -> Token<'a> {
        self.0.peek().copied().unwrap_or(Token::END)
    }

    fn selector(&mut self) -> Result<Vec<LabelRequirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            let token = self.peek();
            if token.is("") {
                return Ok(requirements);
            }
            if !token.word && !token.is("!") {
                return Err(found(token, "!, identifier, or 'end of string'"));
            }
            let requirement = self.requirement();
            requirements
                .push(requirement.map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?);
            let token = self.next();
            if token.is("") {
                return Ok(requirements);
            }
            if !token.is(",") {
                return Err(found(token, "',' or 'end of string'"));
            }
            let token = self.peek();
            if !token.word && !token.is("!") {
                return Err(found(token, "identifier after ','"));
            }
        }
    }

    fn requirement(&mut self) -> Result<LabelRequirement, SelectorError> {
        let absent = self.peek().is("!");
        if absent {
            self.next();
        }
        let token = self.next();
        if !token.word {
            return Err(found(token, "identifier"));
        }
        let key = token.text;
        let mut errors = FieldErrors::new();
        check_key(&mut errors, &Path::new("<nil>"), key);
        if !errors.is_empty() {
            return Err(SelectorError(errors.to_string()));
        }
        let end = self.peek();
        if absent {
            return LabelRequirement::new(key, LabelOperator::DoesNotExist, []);
        }
        if end.is("") || end.is(",") {
            return LabelRequirement::new(key, LabelOperator::Exists, []);
        }
        let (operator, set) = match self.next() {
            Token { text: "in", word: true } => (LabelOperator::In, true),
            Token { text: "notin", word: true } => (LabelOperator::NotIn, true),
            Token { text: "=" | "==", word: false } => (LabelOperator::In, false),
            Token { text: "!=", word: false } => (LabelOperator::NotIn, false),
            Token { text: ">", word: false } => (LabelOperator::GreaterThan, false),
            Token { text: "<", word: false } => (LabelOperator::LessThan, false),
            other => return Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = if set { self.values()? } else { vec![self.value()?] };
        LabelRequirement::new(key, operator, values)
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let token = self.peek();
        if token.is("") || token.is(",") {
            return Ok(String::new());
        }
        let token = self.next();
        if token.word { Ok(token.text.to_owned()) } else { Err(found(token, "identifier")) }
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        let token = self.next();
        if !token.is("(") {
            return Err(SelectorError(format!("found '{}' expected: '('", token.text)));
        }
        let first = self.peek();
        if first.is(")") {
            self.next();
            return Ok(Vec::new());
        }
        if !first.word && !first.is(",") {
            return Err(found(first, "',', ')' or identifier"));
        }
        let mut values = Vec::new();
        loop {
            let token = self.next();
            if token.word {
                values.push(token.text.to_owned());
                let next = self.peek();
                if !next.is(",") && !next.is(")") {
                    return Err(found(next, "',' or ')'"));
                }
            } else if token.is(",") {
                // An empty place between commas or brackets is the empty value.
                let next = self.peek();
                if values.is_empty() || next.is(")") || next.is(",") {
                    values.push(String::new());
                }
            } else if token.is(")") && !values.is_empty() {
                return Ok(values);
            } else {
                return Err(found(token, "',', or identifier"));
            }
        }
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Parser(Tokens(text).peekable()).selector().map(Self::of)
    }
}
