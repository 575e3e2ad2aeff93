//! IP addresses and ranges.

use std::net::{IpAddr, Ipv4Addr};

const VALID: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const VALID_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An IP address of either family.
pub fn valid(text: &str) -> Vec<String> {
    if text.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![VALID.to_owned()] }
}

/// An IP address and the length of its prefix: `10.0.0.0/8`.
pub fn range(text: &str) -> Vec<String> {
    if parse_range(text).is_some() { Vec::new() } else { vec![VALID_RANGE.to_owned()] }
}

/// The address and the prefix length of a range.
pub fn parse_range(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse().ok().filter(|_| digits && (length == "0" || !length.starts_with('0')))?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// An address that traffic can be sent to: of no special range. Pods of a loopback network live in the range that
/// is forbidden otherwise.
///
/// ```
/// use orchestrion::api::rules::ip;
/// assert!(ip::endpoint("10.0.0.1", false).is_empty());
/// assert!(ip::endpoint("127.0.0.1", true).is_empty());
/// assert_eq!(ip::endpoint("127.0.0.1", false), ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]);
/// ```
pub fn endpoint(text: &str, loopback_network: bool) -> Vec<String> {
    let Ok(address) = text.parse::<IpAddr>() else { return vec![VALID.to_owned()] };
    let mut complaints = Vec::new();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let link_local_multicast = match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    };
    if address.is_unspecified() {
        complaints.push(format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() && !loopback_network {
        complaints.push("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned());
    }
    if link_local {
        complaints.push("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned());
    }
    if link_local_multicast {
        complaints.push("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned());
    }
    complaints
}

/// `10.0.0.1:80`, and `[2001:db8::1]:80`.
pub fn host_port(address: &str, port: i32) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Whether the text is an IPv4 address.
pub fn is_v4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}
