//! `Warning` headers: advice for the person behind the client.

use http::{HeaderMap, HeaderName, HeaderValue};

const WARNING: HeaderName = HeaderName::from_static("warning");

/// Adds a warning header (RFC 7234's code 299) per text, each once.
pub(crate) fn add(headers: &mut HeaderMap, warnings: Vec<String>) {
    let mut added: Vec<HeaderValue> = Vec::new();
    for warning in warnings {
        let mut text = String::with_capacity(warning.len() + 8);
        text.push_str("299 - \"");
        for character in warning.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                _ if character.is_control() => text.push(' '),
                _ => text.push(character),
            }
        }
        text.push('"');
        if let Ok(value) = HeaderValue::from_str(&text).or_else(|_| HeaderValue::from_bytes(text.as_bytes()))
            && !added.contains(&value)
        {
            headers.append(WARNING, value.clone());
            added.push(value);
        }
    }
}
