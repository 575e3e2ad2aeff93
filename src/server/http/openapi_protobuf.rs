//! The OpenAPI v2 document in protocol buffers, which is how client-go asks for it (kubectl does where a kind is
//! in no v3 document).
//!
//! Source of the messages: `openapiv2/OpenAPIv2.proto` of github.com/google/gnostic-models. Paths are left out: what
//! clients look up in this form are the definitions.

use serde_json::Value;

/// What client-go accepts.
pub(super) const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Field numbers of the messages that are written.
mod number {
    pub(super) mod document {
        pub(crate) const SWAGGER: u64 = 1;
        pub(crate) const INFO: u64 = 2;
        pub(crate) const PATHS: u64 = 8;
        pub(crate) const DEFINITIONS: u64 = 9;
    }
    pub(super) mod schema {
        pub(crate) const REF: u64 = 1;
        pub(crate) const FORMAT: u64 = 2;
        pub(crate) const DESCRIPTION: u64 = 4;
        pub(crate) const REQUIRED: u64 = 19;
        pub(crate) const ADDITIONAL_PROPERTIES: u64 = 21;
        pub(crate) const TYPE: u64 = 22;
        pub(crate) const ITEMS: u64 = 23;
        pub(crate) const ALL_OF: u64 = 24;
        pub(crate) const PROPERTIES: u64 = 25;
        pub(crate) const VENDOR_EXTENSION: u64 = 31;
    }
}

/// Protocol buffers being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint((field << 3) | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A pair of a name and a message, as maps are written.
    fn named(&mut self, field: u64, name: &str, write: impl FnOnce(&mut Self)) {
        self.message(field, |pair| {
            pair.text(1, name);
            pair.message(2, write);
        });
    }
}

/// The document in protocol buffers.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    use number::document::{DEFINITIONS, INFO, PATHS, SWAGGER};
    let mut writer = Writer::default();
    writer.text(SWAGGER, "2.0");
    writer.message(INFO, |info| {
        for (field, name) in [(1, "title"), (2, "version")] {
            info.text(field, document["info"][name].as_str().unwrap_or_default());
        }
    });
    writer.message(PATHS, |_| {});
    writer.message(DEFINITIONS, |definitions| {
        for (name, definition) in document["definitions"].as_object().into_iter().flatten() {
            definitions.named(1, name, |schema| write_schema(schema, definition));
        }
    });
    writer.0
}

fn write_schema(writer: &mut Writer, schema: &Value) {
    use number::schema::{
        ADDITIONAL_PROPERTIES, ALL_OF, DESCRIPTION, FORMAT, ITEMS, PROPERTIES, REF, REQUIRED, TYPE, VENDOR_EXTENSION,
    };
    for (field, name) in [(REF, "$ref"), (FORMAT, "format"), (DESCRIPTION, "description")] {
        if let Some(text) = schema[name].as_str() {
            writer.text(field, text);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writer.text(REQUIRED, name);
    }
    match &schema["additionalProperties"] {
        Value::Bool(allowed) => writer.message(ADDITIONAL_PROPERTIES, |item| {
            item.varint(2 << 3);
            item.varint(u64::from(*allowed));
        }),
        Value::Object(_) => writer.message(ADDITIONAL_PROPERTIES, |item| {
            item.message(1, |inner| write_schema(inner, &schema["additionalProperties"]));
        }),
        _ => {}
    }
    if let Some(kind) = schema["type"].as_str() {
        writer.message(TYPE, |item| item.text(1, kind));
    }
    if schema["items"].is_object() {
        writer.message(ITEMS, |item| item.message(1, |inner| write_schema(inner, &schema["items"])));
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        writer.message(ALL_OF, |inner| write_schema(inner, part));
    }
    if let Some(properties) = schema["properties"].as_object() {
        writer.message(PROPERTIES, |all| {
            for (name, property) in properties {
                all.named(1, name, |inner| write_schema(inner, property));
            }
        });
    }
    for (name, value) in schema.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        // An extension's value goes as YAML, of which JSON is a part.
        writer.named(VENDOR_EXTENSION, name, |any| any.text(2, &value.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_are_written_with_their_extensions() {
        let document = json!({
            "info": { "title": "Kubernetes", "version": "v1" },
            "definitions": { "a.Pod": { "type": "object", "x-kubernetes-group-version-kind": [{ "kind": "Pod" }] } }
        });
        let bytes = encode(&document);
        let text = String::from_utf8_lossy(&bytes);
        for part in ["2.0", "Kubernetes", "a.Pod", "object", "x-kubernetes-group-version-kind", r#"[{"kind":"Pod"}]"#] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
