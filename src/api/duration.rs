//! Durations in the text form of Go, which the API uses: `15s`, `1m30.5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration whose text form is Go's.
///
/// ```
/// use orchestrion::api::GoDuration;
/// use std::time::Duration;
/// assert_eq!(GoDuration(Duration::from_millis(90_500)).to_string(), "1m30.5s");
/// assert_eq!("1h0m1s".parse::<GoDuration>().unwrap().0, Duration::from_secs(3601));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time: invalid duration {0:?}")]
pub struct ParseDurationError(String);

/// Units and their nanoseconds, in the order in which a text may begin with one another.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// `number / unit`, without trailing zeros.
fn fraction(number: u128, unit: u128, digits: usize) -> String {
    let text = format!("{}.{:0digits$}", number / unit, number % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{nanos}ns"),
            1_000..1_000_000 => return write!(f, "{}µs", fraction(nanos, 1_000, 3)),
            1_000_000..1_000_000_000 => return write!(f, "{}ms", fraction(nanos, 1_000_000, 6)),
            _ => {}
        }
        let minutes = self.0.as_secs() / 60;
        let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000, 9);
        match (minutes / 60, minutes % 60) {
            (0, 0) => write!(f, "{seconds}s"),
            (0, minutes) => write!(f, "{minutes}m{seconds}s"),
            (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

impl FromStr for GoDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let invalid = || ParseDurationError(text.to_owned());
        let mut rest = text;
        let mut total = 0_u64;
        if rest == "0" {
            return Ok(Self::default());
        }
        while !rest.is_empty() || text.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
            let (number, after) = rest.split_at(end);
            let (unit, nanos) = UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(invalid)?;
            let (whole, part) = number.split_once('.').unwrap_or((number, ""));
            if whole.is_empty() && part.is_empty() || part.contains('.') {
                return Err(invalid());
            }
            let count = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| invalid())? };
            let mut sum = count.checked_mul(*nanos).ok_or_else(invalid)?;
            let mut scale = *nanos;
            for digit in part.bytes() {
                scale /= 10;
                sum = sum.checked_add(u64::from(digit - b'0') * scale).ok_or_else(invalid)?;
            }
            total = total.checked_add(sum).ok_or_else(invalid)?;
            rest = &after[unit.len()..];
        }
        Ok(Self(Duration::from_nanos(total)))
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "http")]
impl schemars::JsonSchema for GoDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (15_000_000_000, "15s"),
            (15_123_456_789, "15.123456789s"),
            (60_000_000_000, "1m0s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            let duration = GoDuration(Duration::from_nanos(nanos));
            assert_eq!(duration.to_string(), text);
            assert_eq!(text.parse(), Ok(duration));
        }
        for text in ["", "5", "s", "1x", "1.2.3s", "99999999999999h"] {
            assert!(text.parse::<GoDuration>().is_err(), "{text:?}");
        }
        assert_eq!("0".parse(), Ok(GoDuration::default()));
    }
}
