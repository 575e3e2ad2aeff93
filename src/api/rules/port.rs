//! Rules for ports.

use crate::api::field::{FieldErrors, Path};

use super::{complain, inclusive, longer_than};

/// The protocols a port may have.
pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// A port number: 1 to 65535.
pub fn number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![inclusive(1, 65535)] }
}

/// The name of a port: up to 15 lower case letters, digits and single dashes within, one letter at least.
///
/// ```
/// use orchestrion::api::rules::port;
/// assert!(port::name("http-8080").is_empty());
/// assert_eq!(port::name("80"), ["must contain at least one letter (a-z)"]);
/// ```
pub fn name(name: &str) -> Vec<String> {
    let charset =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    [
        (name.len() <= 15, longer_than(15)),
        (charset, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned()),
        (name.contains(|c: char| c.is_ascii_lowercase()), "must contain at least one letter (a-z)".to_owned()),
        (!name.contains("--"), "must not contain consecutive hyphens".to_owned()),
        (!name.starts_with('-') && !name.ends_with('-'), "must not begin or end with a hyphen".to_owned()),
    ]
    .into_iter()
    .filter_map(|(good, complaint)| (!good).then_some(complaint))
    .collect()
}

/// Complains about a number that is no port.
pub fn check_number(errors: &mut FieldErrors, path: &Path<'_>, port: i32) {
    for complaint in number(port.into()) {
        errors.invalid(path, port, complaint);
    }
}

/// Complains about a text that is no name of a port.
pub fn check_name(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    complain(errors, path, text, name(text));
}

/// Complains about a missing or unknown protocol.
pub fn check_protocol(errors: &mut FieldErrors, path: &Path<'_>, protocol: Option<&str>) {
    match protocol.unwrap_or_default() {
        "" => errors.required(path, ""),
        protocol if PROTOCOLS.contains(&protocol) => {}
        protocol => errors.not_supported(path, protocol, PROTOCOLS),
    }
}
