//! Rules for labels, annotations and label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::field::{FieldErrors, Path};

use super::name::{LABEL_MAX, dns_subdomain, spans};
use super::{complain, pattern};

/// Annotations of one object may take this many bytes together.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;

const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_TEXT: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn is_key_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    spans(text.as_bytes(), |byte| byte.is_ascii_alphanumeric(), inner)
}

/// A qualified name, as keys of labels are: `[prefix/]name`.
///
/// ```
/// use orchestrion::api::rules::label::qualified_name;
/// assert!(qualified_name("example.com/app").is_empty());
/// assert_eq!(qualified_name("/app"), ["prefix part must be non-empty"]);
/// ```
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let key = |what: &str| pattern(&format!("{what}{KEY_TEXT}"), KEY, &["MyName", "my.name", "123-abc"]);
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            let rest = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("{} {rest}", key("a valid label key "))];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                complaints.push("prefix part must be non-empty".to_owned());
            } else {
                complaints.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            }
            name
        }
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        complaints.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_key_name(name) {
        complaints.push(key("name part "));
    }
    complaints
}

/// The value of a label.
pub fn label_value(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if text.len() > LABEL_MAX {
        complaints.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !text.is_empty() && !is_key_name(text) {
        complaints.push(pattern(
            &format!("a valid label must be an empty string or {}", KEY_TEXT.trim_start_matches("must ")),
            &format!("({KEY})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    complaints
}

/// Labels of an object.
pub fn labels(errors: &mut FieldErrors, path: &Path<'_>, labels: Option<&BTreeMap<String, String>>) {
    for (key, value) in labels.into_iter().flatten() {
        complain(errors, path, key, qualified_name(key));
        complain(errors, path, value, label_value(value));
    }
}

/// Annotations of an object: keys as those of labels, but in any case, and a limit to their size.
pub fn annotations(errors: &mut FieldErrors, path: &Path<'_>, annotations: Option<&BTreeMap<String, String>>) {
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        complain(errors, path, key, qualified_name(&key.to_lowercase()));
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_MAX {
        errors.too_long(path, ANNOTATIONS_MAX);
    }
}

/// A label selector.
pub fn selector(errors: &mut FieldErrors, path: &Path<'_>, selector: &LabelSelector) {
    labels(errors, &path.child("matchLabels"), selector.match_labels.as_ref());
    let path = path.child("matchExpressions");
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        selector_requirement(errors, &path.index(index), requirement);
    }
}

fn selector_requirement(errors: &mut FieldErrors, path: &Path<'_>, requirement: &LabelSelectorRequirement) {
    let values = path.child("values");
    let given = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if given.is_empty() => {
            errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !given.is_empty() => {
            errors.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Exists" | "DoesNotExist" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    complain(errors, &path.child("key"), &requirement.key, qualified_name(&requirement.key));
    for (index, value) in given.iter().enumerate() {
        complain(errors, &values.index(index), value, label_value(value));
    }
}

/// Whether a selector selects nothing in particular: no requirement at all.
pub fn selects_everything(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Whether a selector (taken to be valid) matches these labels.
pub fn selector_matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let value_of = |key: &str| labels.and_then(|labels| labels.get(key));
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| value_of(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let value = value_of(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|listed| listed == value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// A selector in its text form: `app=web,tier in (a,b),!legacy`; empty where it selects everything.
pub fn selector_query(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().flatten().map(|(key, value)| (key, format!("{key}={value}")));
    let others = selector.match_expressions.iter().flatten().map(|requirement| {
        let key = &requirement.key;
        let mut values = requirement.values.clone().unwrap_or_default();
        values.sort();
        let values = values.join(",");
        let text = match requirement.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        (key, text)
    });
    let mut parts: Vec<_> = equal.chain(others).collect();
    parts.sort_by_key(|part| part.0);
    parts.into_iter().map(|part| part.1).collect::<Vec<_>>().join(",")
}

/// As [`selector_query`], for people: `<none>` where it is empty.
pub fn selector_text(selector: Option<&LabelSelector>) -> String {
    selector.map(selector_query).filter(|text| !text.is_empty()).unwrap_or_else(|| "<none>".to_owned())
}

/// A set of labels in the text form of a selector: `app=web,tier=front`; `<none>` where it is empty.
pub fn map_text(map: Option<&BTreeMap<String, String>>) -> String {
    let parts: Vec<_> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    if parts.is_empty() { "<none>".to_owned() } else { parts.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_refused_in_upstreams_words() {
        assert_eq!(
            qualified_name("a b"),
            ["name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
              alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
              '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
        );
        assert_eq!(qualified_name("").len(), 2);
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty());
        assert_eq!(
            label_value("a b"),
            ["a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
              start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
              validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]
        );
    }
}
