//! Manifests: streams of objects in YAML or JSON, as people keep them in files.

#[cfg(test)]
mod tests;
mod yaml;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use self::yaml::{Node, Tree};
use super::decode;
use super::kind::{Kind, KindRef};
use super::kinds::Kinds;
use super::object::Draft;

/// One object of a manifest.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub draft: Draft,
    /// Which document it stands in, counted from one.
    pub document: usize,
    /// The line on which the object begins, counted from one.
    pub line: usize,
}

/// One mistake in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which document it stands in, counted from one.
    pub document: usize,
    /// The line where it stands, or where the object that it is in begins.
    pub line: usize,
    /// What is wrong; names the kind and the field where there is one.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A manifest that cannot be used, with everything that is wrong in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ManifestError {
    /// What is wrong, in the order of the text.
    pub mistakes: Vec<Mistake>,
}

/// Reads a manifest: any number of YAML documents, or of JSON objects one after the other. A `List` counts as its
/// items. Unknown and duplicate fields are mistakes, as is an object without a name.
///
/// # Errors
/// Every mistake, with its line.
///
/// ```
/// use orchestrion::api::{Kinds, manifest};
/// let entries = manifest::read("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n", &Kinds::builtin())?;
/// assert_eq!(entries[0].draft.meta().name.as_deref(), Some("a"));
/// let error = manifest::read("apiVersion: v1\nkind: ConfigMap\nmetadata:\nname: a\n", &Kinds::builtin()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "line 4: ConfigMap: unknown field \"name\"; \
///      line 3: ConfigMap: metadata.name: Required value: name or generateName is required"
/// );
/// # Ok::<(), manifest::ManifestError>(())
/// ```
pub fn read(text: &str, kinds: &Kinds) -> Result<Vec<Entry>, ManifestError> {
    let documents = match json_documents(text) {
        Some(documents) => documents,
        None => yaml::documents(text).map_err(|mistake| ManifestError { mistakes: vec![mistake] })?,
    };
    let mut reader = Reader { kinds, entries: Vec::new(), mistakes: Vec::new() };
    for (index, document) in documents.iter().enumerate() {
        reader.object(document, index + 1, None);
    }
    if reader.mistakes.is_empty() { Ok(reader.entries) } else { Err(ManifestError { mistakes: reader.mistakes }) }
}

/// The JSON form of one YAML document: what a YAML body of a request means.
///
/// # Errors
/// What is no YAML, or more than one document.
pub fn yaml_to_json(text: &str) -> Result<Vec<u8>, ManifestError> {
    match yaml::documents(text) {
        Ok(documents) if documents.len() <= 1 => Ok(documents.first().map_or_else(|| b"null".to_vec(), Node::to_json)),
        Ok(documents) => Err(ManifestError {
            mistakes: vec![Mistake {
                document: 2,
                line: documents[1].line,
                message: "one document is expected".to_owned(),
            }],
        }),
        Err(mistake) => Err(ManifestError { mistakes: vec![mistake] }),
    }
}

/// The documents of a stream of JSON objects; nothing where the text is none (YAML may begin with a brace too).
fn json_documents(text: &str) -> Option<Vec<Node>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut documents = Vec::new();
    loop {
        let start = stream.byte_offset();
        match stream.next() {
            None => return Some(documents),
            Some(Err(_)) => return None,
            Some(Ok(_)) => {
                let document = &text[start..stream.byte_offset()];
                let blank = document.len() - document.trim_start().len();
                let line = 1 + text[..start + blank].matches('\n').count();
                documents.push(Node { line, tree: Tree::Json(document.trim().to_owned()) });
            }
        }
    }
}

struct Reader<'a> {
    kinds: &'a Kinds,
    entries: Vec<Entry>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, document: usize, line: usize, message: impl Into<String>) {
        self.mistakes.push(Mistake { document, line, message: message.into() });
    }

    /// Reads the object that `node` is, or the objects of the list. `implied` is what the items of a typed list are
    /// where they do not say.
    fn object(&mut self, node: &Node, document: usize, implied: Option<&Kind>) {
        if matches!(node.tree, Tree::Null) {
            return;
        }
        let json = node.to_json();
        let Ok(Value::Object(head)) = serde_json::from_slice::<Value>(&json) else {
            return self.mistake(document, node.line, "an object is expected");
        };
        let text = |field: &str| match head.get(field) {
            Some(Value::String(text)) if !text.is_empty() => Some(Cow::Owned(text.clone())),
            _ => None,
        };
        let api_version = text("apiVersion").or_else(|| implied.map(|kind| Cow::Owned(kind.api_version())));
        let name = text("kind").or_else(|| implied.map(|kind| Cow::Borrowed(kind.kind.as_str())));
        let (Some(api_version), Some(name)) = (&api_version, &name) else {
            let missing = [("apiVersion", &api_version), ("kind", &name)];
            let missing =
                missing.into_iter().filter(|(_, value)| value.is_none()).map(|(field, _)| format!("{field} not set"));
            return self.mistake(document, node.line, missing.collect::<Vec<_>>().join(", "));
        };
        if let Some(kind) = self.kinds.by_api_version(api_version, name) {
            return self.entry(node, &json, &kind, document);
        }
        let of_list = name.strip_suffix("List").and_then(|item| self.kinds.by_api_version(api_version, item));
        if (of_list.is_some() || (api_version == "v1" && name == "List"))
            && head.get("items").is_some_and(Value::is_array)
        {
            for item in node.items("items") {
                self.object(&item, document, of_list.as_deref());
            }
            return;
        }
        self.mistake(document, node.line, format!("no matches for kind {name:?} in version {api_version:?}"));
    }

    fn entry(&mut self, node: &Node, json: &[u8], kind: &KindRef, document: usize) {
        let decoded = match decode::object(kind, json) {
            Ok(decoded) => decoded,
            Err(error) => {
                let line = field_of(error.message()).and_then(|field| node.line_of(field)).unwrap_or(node.line);
                return self.mistake(document, line, error.message());
            }
        };
        for note in &decoded.strict {
            let line = note.split('"').nth(1).and_then(|path| node.line_of(path)).unwrap_or(node.line);
            self.mistake(document, line, format!("{}: {note}", kind.kind));
        }
        let meta = decoded.object.meta();
        let is_blank = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        if is_blank(&meta.name) && is_blank(&meta.generate_name) {
            let line = node.line_of("metadata").unwrap_or(node.line);
            let message = format!("{}: metadata.name: Required value: name or generateName is required", kind.kind);
            self.mistake(document, line, message);
        }
        self.entries.push(Entry { draft: decoded.object, document, line: node.line });
    }
}

/// The path that a decoding error names.
fn field_of(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("Go struct field ") {
        return rest.split(' ').next()?.split_once('.').map(|(_, path)| path);
    }
    message.rsplit_once("(at ")?.1.strip_suffix(')')
}
