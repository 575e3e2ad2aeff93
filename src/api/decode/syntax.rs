//! Errors of JSON's syntax in Go's words.

use serde_json::Error;

/// What serde_json expected, and where Go says it was.
const CONTEXTS: &[(&str, &str)] = &[
    ("expected value", "looking for beginning of value"),
    ("key must be a string", "looking for beginning of object key string"),
    ("expected `:`", "after object key"),
    ("expected `,` or `}`", "after object key:value pair"),
    ("expected `,` or `]`", "after array element"),
    ("trailing characters", "after top-level value"),
    ("trailing comma", "looking for beginning of value"),
    ("invalid number", "in numeric literal"),
    ("invalid escape", "in string escape code"),
    ("control character", "in string literal"),
    ("expected ident", "in literal"),
];

/// What Go's decoder would say of a document that serde_json refused.
pub(super) fn mistake(error: &Error, json: &[u8]) -> String {
    let message = without_position(&error.to_string());
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    if message.starts_with("recursion limit") {
        return "exceeded max depth".to_owned();
    }
    let context = CONTEXTS.iter().find(|(ours, _)| message.starts_with(ours)).map(|(_, context)| *context);
    match (context, offending(error, json)) {
        (Some(context), Some(c)) => format!("invalid character {} {context}", quoted(c)),
        _ => message,
    }
}

/// The message of a serde_json error without its ` at line 1 column 2`.
pub(super) fn without_position(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

fn quoted(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", c.escape_debug()),
    }
}

fn offending(error: &Error, json: &[u8]) -> Option<char> {
    let line = json.split(|byte| *byte == b'\n').nth(error.line().checked_sub(1)?)?;
    let rest = line.get(error.column().saturating_sub(1)..)?;
    let text = String::from_utf8_lossy(&rest[..rest.len().min(4)]);
    text.chars().next().or(Some('\n'))
}
