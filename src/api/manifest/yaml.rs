//! YAML documents as trees that know their lines, and their JSON form as upstream makes it: YAML 1.1, where `0644` is
//! octal, `yes` is true and `<<` merges.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use serde_json::{Number, Value};

use super::Mistake;

/// Documents nest no deeper than this.
const DEPTH_LIMIT: usize = 100;

/// So many nodes may aliases make of one text.
const SIZE_LIMIT: usize = 500_000;

/// A value, and the line on which it begins (the one of its key, where it has one).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) tree: Tree,
}

#[derive(Clone, Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// Keys in their order, duplicates and all.
    Map(Vec<(String, Node)>),
    /// A document that is JSON already.
    Json(String),
}

impl Node {
    /// The JSON form, duplicate keys and all.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::new();
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut Vec<u8>) {
        let text = |text: &str| Value::from(text).to_string();
        match &self.tree {
            Tree::Null => json.extend(b"null"),
            Tree::Bool(value) => json.extend(value.to_string().bytes()),
            Tree::Number(number) => json.extend(number.to_string().bytes()),
            Tree::Text(value) => json.extend(text(value).bytes()),
            Tree::Json(document) => json.extend(document.bytes()),
            Tree::List(items) => {
                json.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    json.extend((index > 0).then_some(b','));
                    item.write(json);
                }
                json.push(b']');
            }
            Tree::Map(entries) => {
                json.push(b'{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    json.extend((index > 0).then_some(b','));
                    json.extend(text(key).bytes());
                    json.push(b':');
                    value.write(json);
                }
                json.push(b'}');
            }
        }
    }

    /// The elements of the list under `key`.
    pub(super) fn items(&self, key: &str) -> Vec<Self> {
        match &self.tree {
            Tree::Map(entries) => entries
                .iter()
                .filter(|(name, _)| name == key)
                .filter_map(|(_, node)| if let Tree::List(items) = &node.tree { Some(items.clone()) } else { None })
                .next_back()
                .unwrap_or_default(),
            Tree::Json(document) => {
                let value = serde_json::from_str::<Value>(document).unwrap_or_default();
                let items = value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                items.into_iter().map(|item| Self { line: self.line, tree: Tree::Json(item.to_string()) }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The line of the field at `path`. Indices may be left out of the path where it is clear without them. Of
    /// duplicates the last.
    pub(super) fn line_of(&self, path: &str) -> Option<usize> {
        let mut lines = Vec::new();
        self.lines_of(path, &mut lines);
        lines.dedup();
        match lines.as_slice() {
            [] => None,
            [one] => Some(*one),
            several => path.ends_with(|c: char| c != ']').then(|| several[several.len() - 1]),
        }
    }

    fn lines_of(&self, path: &str, lines: &mut Vec<usize>) {
        if path.is_empty() {
            return lines.push(self.line);
        }
        match &self.tree {
            Tree::Map(entries) => {
                for (key, node) in entries {
                    match path.strip_prefix(key.as_str()) {
                        Some("") => lines.push(node.line),
                        Some(rest) if rest.starts_with('[') => node.lines_of(rest, lines),
                        Some(rest) => {
                            if let Some(rest) = rest.strip_prefix('.') {
                                node.lines_of(rest, lines);
                            }
                        }
                        None => {}
                    }
                }
            }
            Tree::List(items) => match path.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((index, rest)) => {
                    if let Some(item) = index.parse::<usize>().ok().and_then(|index| items.get(index)) {
                        item.lines_of(rest.strip_prefix('.').unwrap_or(rest), lines);
                    }
                }
                None => items.iter().for_each(|item| item.lines_of(path, lines)),
            },
            _ => {}
        }
    }

    fn size(&self) -> usize {
        1 + match &self.tree {
            Tree::List(items) => items.iter().map(Self::size).sum(),
            Tree::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
            _ => 0,
        }
    }

    /// As a key of a map.
    fn into_key(self) -> Option<String> {
        match self.tree {
            Tree::Text(text) => Some(text),
            Tree::Null => Some("null".to_owned()),
            Tree::Bool(value) => Some(value.to_string()),
            Tree::Number(number) => Some(number.to_string()),
            Tree::List(_) | Tree::Map(_) | Tree::Json(_) => None,
        }
    }
}

/// A collection that is being read.
struct Open {
    anchor: usize,
    line: usize,
    items: Vec<Node>,
    entries: Option<Vec<(String, Node)>>,
    key: Option<Key>,
}

struct Key {
    name: String,
    line: usize,
    merges: bool,
}

struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    documents: Vec<Node>,
    size: usize,
}

/// The documents of a text; an empty one is null.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Mistake> {
    let mut builder = Builder { open: Vec::new(), anchors: BTreeMap::new(), documents: Vec::new(), size: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&error, builder.documents.len()))?;
        let line = span.start.line();
        builder.event(event, line).map_err(|message| Mistake {
            document: builder.documents.len() + 1,
            line,
            message: message.to_owned(),
        })?;
    }
    Ok(builder.documents)
}

fn syntax(error: &ScanError, before: usize) -> Mistake {
    let message = format!("error converting YAML to JSON: yaml: {}", error.info());
    Mistake { document: before + 1, line: error.marker().line(), message }
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| tag.suffix.as_str());
                let plain = style == ScalarStyle::Plain && tag != Some("str");
                let merges = plain && text == "<<";
                let tree = if plain { scalar(&text) } else { Tree::Text(text.into_owned()) };
                self.value(Node { line, tree }, anchor, merges)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("unknown anchor")?;
                self.size += node.size();
                if self.size > SIZE_LIMIT {
                    return Err("document contains excessive aliasing");
                }
                let node = Node { line, ..node.clone() };
                self.value(node, 0, false)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, line, None),
            Event::MappingStart(anchor, _) => self.begin(anchor, line, Some(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, line, items, entries, .. }) = self.open.pop() else { return Ok(()) };
                let tree = entries.map_or(Tree::List(items), Tree::Map);
                self.value(Node { line, tree }, anchor, false)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, line: usize, entries: Option<Vec<(String, Node)>>) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err("exceeded max depth");
        }
        self.open.push(Open { anchor, line, items: Vec::new(), entries, key: None });
        Ok(())
    }

    /// Puts a finished value where it belongs: as a key or a value into the collection around it, or as a document.
    fn value(&mut self, node: Node, anchor: usize, merges: bool) -> Result<(), &'static str> {
        self.size += 1;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            self.anchors.clear();
            return Ok(());
        };
        let Some(entries) = &mut open.entries else {
            open.items.push(node);
            return Ok(());
        };
        match open.key.take() {
            None => {
                let line = node.line;
                let name = node.into_key().ok_or("a map or list is no key of a map")?;
                open.key = Some(Key { name, line, merges });
            }
            Some(key) if key.merges => merge(entries, node)?,
            Some(key) => entries.push((key.name, Node { line: key.line, ..node })),
        }
        Ok(())
    }
}

/// Adds what a `<<` names: the entries of a map, or of each map of a list, that are not there yet.
fn merge(entries: &mut Vec<(String, Node)>, node: Node) -> Result<(), &'static str> {
    match node.tree {
        Tree::Map(more) => {
            for (key, value) in more {
                if !entries.iter().any(|(name, _)| *name == key) {
                    entries.push((key, value));
                }
            }
            Ok(())
        }
        Tree::List(maps) => maps.into_iter().try_for_each(|map| merge(entries, map)),
        _ => Err("map merge requires map or sequence of maps as the value"),
    }
}

/// What an unquoted text means.
fn scalar(text: &str) -> Tree {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Tree::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Tree::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Tree::Bool(false),
        _ => number(text).map_or_else(|| Tree::Text(text.to_owned()), Tree::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(number) = all_digits.then(|| u64::from_str_radix(digits, radix).ok()).flatten() {
        return if negative { 0i64.checked_sub_unsigned(number).map(Number::from) } else { Some(Number::from(number)) };
    }
    let is_float = lower.chars().all(|c| c.is_ascii_digit() || ".e+-".contains(c));
    let float = is_float.then(|| plain.parse::<f64>().ok()).flatten()?;
    #[allow(clippy::cast_possible_truncation, reason = "compared after the cast")]
    let whole = float as i64;
    #[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "exactly the whole numbers are wanted")]
    let is_whole = whole as f64 == float && float.abs() < 1e15;
    if is_whole { Some(Number::from(whole)) } else { Number::from_f64(float) }
}
