//! [`Quantity`]: amounts of resources (`500m`, `1.5Gi`), exact.
//!
//! The text form of an amount is [`k8s_openapi::apimachinery::pkg::api::resource::Quantity`]; this is its number.

mod arithmetic;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

pub use self::parse::ParseQuantityError;

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

/// No amount is larger than this (in billionths): 10^29. Kubernetes promises only 2^63-1.
const LIMIT: i128 = NANO * 100_000_000_000_000_000_000_000_000_000;

/// The family of suffixes in which an amount was written, and is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `n`, `u`, `m`, none, `k`, `M`, `G`, `T`, `P`, `E`: powers of 1000.
    #[default]
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei`: powers of 1024.
    BinarySi,
    /// `e3`, `e-3`: powers of ten.
    DecimalExponent,
}

/// An amount of a resource: a fixed-point number down to billionths, which remembers how it was written.
///
/// Comparing looks at the number alone, printing gives the canonical form, and whatever does not fit is
/// rounded away from zero, as upstream does: who asks for some of a resource gets some.
///
/// ```
/// use orchestrion::api::Quantity;
/// let total: Quantity = "1.5Gi".parse::<Quantity>()? + "512Mi".parse()?;
/// assert_eq!(total.to_string(), "2Gi");
/// assert_eq!(total, "2147483648".parse()?);
/// assert_eq!("0.1".parse::<Quantity>()?.milli_value(), 100);
/// # Ok::<(), orchestrion::api::ParseQuantityError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };
    /// One whole unit.
    pub const ONE: Self = Self { nanos: NANO, format: Format::DecimalSi };

    const fn of(nanos: i128, format: Format) -> Self {
        let nanos = if nanos > LIMIT {
            LIMIT
        } else if nanos < -LIMIT {
            -LIMIT
        } else {
            nanos
        };
        Self { nanos, format }
    }

    /// That many whole units.
    pub const fn new(value: i64, format: Format) -> Self {
        Self::of(value as i128 * NANO, format)
    }

    /// That many thousandths, as CPU time is counted.
    pub const fn from_milli(value: i64) -> Self {
        Self::of(value as i128 * (NANO / 1000), Format::DecimalSi)
    }

    /// That many billionths.
    pub const fn from_nano(value: i64) -> Self {
        Self::of(value as i128, Format::DecimalSi)
    }

    /// How it is written.
    pub const fn format(self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The number in whole units, a fraction counting as one.
    pub fn value(self) -> i64 {
        self.in_units(NANO)
    }

    /// The number in thousandths, a fraction of one counting as one.
    pub fn milli_value(self) -> i64 {
        self.in_units(NANO / 1000)
    }

    fn in_units(self, unit: i128) -> i64 {
        let units = round_up(self.nanos, unit) / unit;
        i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
    }

    /// The number, as near as a float comes.
    pub fn to_f64(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "the purpose")]
        let (nanos, unit) = (self.nanos as f64, NANO as f64);
        nanos / unit
    }

    /// The same amount rounded up to thousandths: the precision in which resource lists are kept.
    #[must_use]
    pub fn rounded_to_milli(self) -> Self {
        Self::of(round_up(self.nanos, NANO / 1000), self.format)
    }

    /// Whether it is a whole number of units.
    pub const fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }
}

/// `nanos` as a multiple of `unit`, away from zero.
fn round_up(nanos: i128, unit: i128) -> i128 {
    let rest = match (i64::try_from(nanos), i64::try_from(unit)) {
        // Small numbers, which most are, are divided in a fraction of the time.
        (Ok(nanos), Ok(unit)) => i128::from(nanos % unit),
        _ => nanos % unit,
    };
    match rest {
        0 => nanos,
        rest => nanos - rest + unit * nanos.signum(),
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl TryFrom<&Text> for Quantity {
    type Error = ParseQuantityError;

    fn try_from(text: &Text) -> Result<Self, Self::Error> {
        text.0.parse()
    }
}

impl From<Quantity> for Text {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}
