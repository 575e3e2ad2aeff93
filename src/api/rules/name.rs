//! Rules for names: DNS labels and subdomains, path segments, and the texts that stand in for names.

use crate::api::NameRule;

use super::{longer_than, pattern};

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

/// The longest DNS label.
pub const LABEL_MAX: usize = 63;
/// The longest DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;

/// Complaints about `name` under `rule`.
pub fn check(rule: NameRule, name: &str) -> Vec<String> {
    match rule {
        NameRule::DnsSubdomain => dns_subdomain(name),
        NameRule::DnsLabel => dns_label(name),
        NameRule::DnsLabel1035 => dns_1035_label(name),
        NameRule::PathSegment => path_segment(name),
    }
}

/// Complaints about a `generateName` under `rule`: what is appended ends it properly, so it may end in a dash.
pub fn check_prefix(rule: NameRule, prefix: &str) -> Vec<String> {
    match (rule, prefix.strip_suffix('-')) {
        (NameRule::PathSegment, _) => path_segment_prefix(prefix),
        (_, Some(stem)) if !stem.is_empty() => check(rule, &format!("{stem}a")),
        _ => check(rule, prefix),
    }
}

/// A DNS label (RFC 1123): lower case letters, digits and `-`, up to 63.
///
/// ```
/// use orchestrion::api::rules::name::dns_label;
/// assert!(dns_label("web-0").is_empty());
/// assert_eq!(dns_label("web.0"), ["must not contain dots"]);
/// ```
pub fn dns_label(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > LABEL_MAX {
        complaints.push(longer_than(LABEL_MAX));
    }
    if !is_label(name.as_bytes()) {
        complaints.push(if is_subdomain(name) {
            "must not contain dots".to_owned()
        } else {
            pattern(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    complaints
}

/// A DNS subdomain (RFC 1123): lower case letters, digits, `-` and `.`, up to 253.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        complaints.push(longer_than(SUBDOMAIN_MAX));
    }
    if !is_subdomain(name) {
        complaints.push(pattern(SUBDOMAIN_TEXT, SUBDOMAIN, &["example.com"]));
    }
    complaints
}

/// A DNS subdomain in which `_` may stand too (search domains).
pub fn dns_subdomain_with_underscore(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        complaints.push(longer_than(SUBDOMAIN_MAX));
    }
    let label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        spans(label.as_bytes(), lower_alphanumeric, |byte| lower_alphanumeric(byte) || byte == b'-' || byte == b'_')
    };
    if !name.split('.').all(label) {
        complaints.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    complaints
}

/// A DNS label (RFC 1035): as [`dns_label`], but beginning with a letter.
pub fn dns_1035_label(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > LABEL_MAX {
        complaints.push(longer_than(LABEL_MAX));
    }
    if !is_label(name.as_bytes()) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        complaints.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    complaints
}

/// A DNS subdomain under a wildcard: `*.example.com`.
pub fn wildcard_dns_subdomain(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        complaints.push(longer_than(SUBDOMAIN_MAX));
    }
    if !name.strip_prefix("*.").is_some_and(is_subdomain) {
        complaints.push(pattern(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    complaints
}

/// What can stand as one segment of a URL path.
pub fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    path_segment_prefix(name)
}

fn path_segment_prefix(name: &str) -> Vec<String> {
    ["/", "%"].iter().filter(|mark| name.contains(**mark)).map(|mark| format!("may not contain '{mark}'")).collect()
}

/// A key of a ConfigMap or a Secret: what can be a file's name.
pub fn config_map_key(key: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if key.len() > SUBDOMAIN_MAX {
        complaints.push(longer_than(SUBDOMAIN_MAX));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        let text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        complaints.push(pattern(text, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    if matches!(key, "." | "..") {
        complaints.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        complaints.push("must not start with '..'".to_owned());
    }
    complaints
}

/// An identifier of C.
pub fn c_identifier(name: &str) -> Vec<String> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let good = name.bytes().next().is_some_and(first) && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit());
    if good {
        return Vec::new();
    }
    vec![pattern(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn environment_variable(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// The name of an HTTP header.
pub fn http_header(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![pattern(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether there are bytes of `inner` only, of which the first and last are of `edge`.
pub(super) fn spans(text: &[u8], edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match (text.first(), text.last()) {
        (Some(first), Some(last)) => edge(*first) && edge(*last) && text.iter().all(|byte| inner(*byte)),
        _ => false,
    }
}

fn is_label(text: &[u8]) -> bool {
    spans(text, lower_alphanumeric, |byte| lower_alphanumeric(byte) || byte == b'-')
}

/// By bytes: names are short, and every write has some.
fn is_subdomain(text: &str) -> bool {
    text.as_bytes().split(|byte| *byte == b'.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_upstreams_words() {
        let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
        for bad in ["", "-a", "a-", "A", "a_b", "ä"] {
            assert_eq!(dns_label(bad), [label], "{bad}");
        }
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        for bad in ["", ".", "a..b", "a.-b", "a.B"] {
            assert_eq!(dns_subdomain(bad).len(), 1, "{bad}");
        }
        for good in ["a", "a.b", "0-1.x"] {
            assert_eq!(dns_subdomain(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(dns_1035_label("0a").len(), 1);
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert_eq!(path_segment("a/b%"), ["may not contain '/'", "may not contain '%'"]);
    }

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(check_prefix(NameRule::DnsSubdomain, "web-").is_empty());
        assert!(!check_prefix(NameRule::DnsSubdomain, "-").is_empty());
        assert!(!check_prefix(NameRule::DnsSubdomain, "Web-").is_empty());
    }
}
