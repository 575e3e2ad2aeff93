//! Strategic merge patches: like merge patches, but lists are merged where the type says so, and directives in the
//! patch say more.
//!
//! - `$patch: replace | delete` in an object: it is replaced by, or removed with, what stands beside the directive.
//! - `$retainKeys: [a, b]` in an object: every other field is removed.
//! - `$deleteFromPrimitiveList/finalizers: [a]`: these values are taken out of the list.
//! - `$setElementOrder/containers: [{name: a}]`: the list is put into this order.
//!
//! Source: `k8s.io/apimachinery/pkg/util/strategicpatch`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::unprocessable;
use crate::api::schema::merge_keys::{self, Merge};
use crate::api::{ApiError, Reason};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

type Fields = Map<String, Value>;

/// What the object `original` of a type becomes by `patch`.
pub(super) fn merge(mut original: Fields, mut patch: Fields, of: &str) -> Result<Fields, ApiError> {
    if let Some(directive) = patch.shift_remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Fields::new()),
            _ => Err(unknown_directive(&directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, of)?;
    for (key, change) in patch {
        if let Some(name) = key.strip_prefix(DELETE_FROM_LIST) {
            delete_from_list(&mut original, name, &change)?;
            continue;
        }
        if change.is_null() {
            original.shift_remove(&key);
            continue;
        }
        let (holds, strategy) = merge_keys::field(of, &key);
        let merged = match (original.get_mut(&key).map(Value::take), change) {
            (Some(Value::Object(old)), Value::Object(new)) if strategy != Merge::Replace => {
                Some(Value::Object(merge(old, new, &holds)?))
            }
            (Some(Value::Array(old)), Value::Array(new)) if strategy.merges_list() => {
                Some(Value::Array(merge_list(old, new, &holds, strategy)?))
            }
            (_, change) => cleaned(change),
        };
        match merged {
            Some(merged) => original.insert(key, merged),
            None => original.shift_remove(&key),
        };
    }
    Ok(original)
}

/// The error of a patch that is malformed in itself.
fn malformed(what: &str) -> ApiError {
    ApiError::bad_request(format!("invalid patch format of {what}"))
}

fn internal(message: String) -> ApiError {
    ApiError::new(Reason::InternalError, message)
}

fn unknown_directive(directive: &Value, fields: &Fields) -> ApiError {
    let directive = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    internal(format!("unknown patch type: {directive} in map: {}", Value::Object(fields.clone())))
}

/// A part of a patch that nothing was there for: without directives and nulls. Nothing where it only deletes.
fn cleaned(change: Value) -> Option<Value> {
    match change {
        Value::Object(fields) => {
            if fields.get(DIRECTIVE).is_some_and(|directive| directive == "delete") {
                return None;
            }
            let kept = fields.into_iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
            Some(Value::Object(kept.filter_map(|(key, value)| Some((key, cleaned(value)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(cleaned).filter(is_content).collect())),
        other => Some(other),
    }
}

/// Whether an element is more than a bare `$patch: replace`.
fn is_content(item: &Value) -> bool {
    !item.as_object().is_some_and(Fields::is_empty)
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(DELETE_FROM_LIST) || key.starts_with(ELEMENT_ORDER)
}

fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), ApiError> {
    let Some(keys) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(malformed("retainKeys")) };
    let is_kept = |key: &str| keys.iter().any(|kept| kept == key);
    let is_meant = |key: &str, value: &Value| {
        value.is_null() || key.starts_with(DELETE_FROM_LIST) || key.starts_with(ELEMENT_ORDER) || is_kept(key)
    };
    if !patch.iter().all(|(key, value)| is_meant(key, value)) {
        return Err(malformed("retainKeys"));
    }
    original.retain(|key, _| is_kept(key));
    Ok(())
}

fn delete_from_list(original: &mut Fields, name: &str, values: &Value) -> Result<(), ApiError> {
    let Value::Array(values) = values else { return Err(malformed("primitive list")) };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

/// Merges the lists whose order the patch sets, and takes them and their order out of the patch.
fn order_lists(original: &mut Fields, patch: &mut Fields, of: &str) -> Result<(), ApiError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let name = directive[ELEMENT_ORDER.len()..].to_owned();
        let Some(Value::Array(order)) = patch.shift_remove(&directive) else {
            return Err(malformed("setElementOrder list"));
        };
        // A null in the patch means to delete the list: that is left to the merging of fields.
        if patch.get(&name).is_some_and(Value::is_null) {
            continue;
        }
        let change = patch.shift_remove(&name);
        let list = |value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(malformed("setElementOrder list")),
        };
        let (old, new) = (list(original.get(&name).cloned())?, list(change)?);
        let (holds, strategy) = merge_keys::field(of, &name);
        let key = strategy.key();
        if let Some(new) = &new {
            check_order(new, &order, key)?;
        }
        let before = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => as_list(cleaned(Value::Array(new))),
            (Some(old), Some(new)) if strategy.merges_list() => merge_list(old, new, &holds, strategy)?,
            (Some(_), Some(new)) => new,
        };
        original.insert(name, Value::Array(ordered(merged, &order, &before, key)));
    }
    Ok(())
}

fn as_list(value: Option<Value>) -> Vec<Value> {
    if let Some(Value::Array(items)) = value { items } else { Vec::new() }
}

/// The elements of the patch must stand in the order that the patch sets.
fn check_order(items: &[Value], order: &[Value], key: Option<&str>) -> Result<(), ApiError> {
    let mut rest = order.iter();
    let stays = |item: &&Value| key.is_none() || item.get(DIRECTIVE).is_none();
    if items.iter().filter(stays).all(|item| rest.any(|place| same(place, item, key))) {
        return Ok(());
    }
    let (items, order) = (Value::from(items), Value::from(order));
    Err(internal(format!("The order in patch list:\n{items}\n doesn't match $setElementOrder list:\n{order}\n")))
}

/// Whether two elements stand for the same thing: equal keys, or equal values where there is no key.
fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => matches!((a.get(key), b.get(key)), (Some(a), Some(b)) if a == b),
        None => a == b,
    }
}

fn position(list: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    list.iter().position(|other| same(other, item, key))
}

fn merge_list(old: Vec<Value>, new: Vec<Value>, of: &str, strategy: Merge) -> Result<Vec<Value>, ApiError> {
    if old.iter().chain(&new).any(Value::is_array) {
        // Lists of lists are not supported.
        return Err(unprocessable());
    }
    let Some(key) = strategy.key() else {
        let mut merged: Vec<Value> = Vec::with_capacity(old.len() + new.len());
        for item in old.iter().chain(&new) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(ordered(merged, &new, &old, None));
    };
    let before = old.clone();
    let (mut merged, new) = without_directives(old, new, key)?;
    for item in &new {
        let Value::Object(fields) = item else { return Err(unprocessable()) };
        if !fields.contains_key(key) {
            return Err(no_merge_key(item, key));
        }
        match position(&merged, item, Some(key)) {
            Some(index) => {
                let current = if let Value::Object(current) = merged[index].take() { current } else { Fields::new() };
                merged[index] = Value::Object(merge(current, fields.clone(), of)?);
            }
            None => merged.extend(cleaned(item.clone())),
        }
    }
    Ok(ordered(merged, &new, &before, Some(key)))
}

fn no_merge_key(item: &Value, key: &str) -> ApiError {
    internal(format!("map: {} does not contain declared merge key: {key}", as_go_prints(item)))
}

/// A value as Go's `%v` prints it.
fn as_go_prints(value: &Value) -> String {
    let spaced = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", spaced(items.iter().map(as_go_prints).collect())),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let shown = fields.into_iter().map(|(key, value)| format!("{key}:{}", as_go_prints(value)));
            format!("map[{}]", spaced(shown.collect()))
        }
        other => other.to_string(),
    }
}

/// Carries out the directives among the elements of a patch; gives what remains of the list, and of the patch.
fn without_directives(mut old: Vec<Value>, new: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
    let mut replaces = false;
    let mut rest = Vec::with_capacity(new.len());
    for item in new {
        let Some(directive) = item.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") if item.get(key).is_none() => return Err(no_merge_key(&item, key)),
            Some("delete") => old.retain(|other| !same(other, &item, Some(key))),
            Some("replace") => replaces = true,
            Some("merge") => return Err(internal("merging lists cannot yet be specified in the patch".to_owned())),
            _ => return Err(unknown_directive(directive, item.as_object().unwrap_or(&Fields::new()))),
        }
    }
    if replaces { Ok((rest, Vec::new())) } else { Ok((old, rest)) }
}

/// Puts a merged list into order: what the patch names in the patch's order, the rest in the order that it had, and
/// the two into one another as they stood in `before`.
fn ordered(merged: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| position(list, item, key).unwrap_or(usize::MAX);
    let (mut named, mut others): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| position(order, item, key).is_some());
    named.sort_by_key(|item| place(order, item));
    others.sort_by_key(|item| place(before, item));
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return result,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => {
                let (other, named) = (position(before, other, key), position(before, named, key));
                matches!((other, named), (Some(other), Some(named)) if other.cmp(&named) == Ordering::Less)
            }
        };
        result.extend(if other_first { others.next() } else { named.next() });
    }
}
