//! Reading amounts.

use std::str::FromStr;

use super::{Format, LIMIT, NANO, Quantity};

/// Why a text is no amount, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// The text does not have the form of one.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The suffix is none that exists.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The largest amount with a binary suffix: 2^63-1.
const BINARY_LIMIT: i128 = i64::MAX as i128 * NANO;

/// The parts of a text: `-1.5e3` is negative, `1`, `5` and `e3`.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

/// What a suffix stands for: a power of ten or of 1024.
enum Scale {
    Ten(i32),
    Binary(u32),
}

/// The leading characters that `wanted` takes, and the rest.
fn span(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

fn split(text: &str) -> Result<Parts<'_>, ParseQuantityError> {
    let is_digit = |c: char| c.is_ascii_digit();
    if text.is_empty() {
        return Err(ParseQuantityError::Format);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = span(unsigned, is_digit);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), |rest| span(rest, is_digit));
    let (_, exponent) = span(suffix, |c| "eEinumkKMGTP".contains(c));
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !digits.chars().all(is_digit) {
        return Err(ParseQuantityError::Format);
    }
    Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix })
}

fn scale(suffix: &str) -> Option<(Scale, Format)> {
    let decimal = |exponent| Some((Scale::Ten(exponent), Format::DecimalSi));
    let binary = |power| Some((Scale::Binary(power), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Past these bounds every number is nothing or too large, so that the exact exponent is idle.
            let exponent = exponent.clamp(i64::from(i32::MIN / 2), i64::from(i32::MAX / 2));
            Some((Scale::Ten(i32::try_from(exponent).ok()?), Format::DecimalExponent))
        }
    }
}

/// Decimal digits, most significant first, times 1024.
fn times_1024(digits: &mut Vec<u8>) {
    let mut carry = 0u32;
    for digit in digits.iter_mut().rev() {
        carry += u32::from(*digit) * 1024;
        *digit = (carry % 10) as u8;
        carry /= 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

/// `digits` × 10^`shift`, up to [`LIMIT`], a fraction counting as one.
fn scaled(digits: &[u8], shift: i64) -> i128 {
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let kept = usize::try_from(length.saturating_add(shift.min(0)).max(0)).unwrap_or(0);
    let (whole, fraction) = digits.split_at(kept);
    let append = |number: i128, digit: u8| number.saturating_mul(10).saturating_add(i128::from(digit)).min(LIMIT);
    let mut number = whole.iter().fold(0, |number, digit| append(number, *digit));
    if fraction.iter().any(|digit| *digit != 0) {
        number += 1;
    }
    for _ in 0..shift {
        if number == 0 || number == LIMIT {
            break;
        }
        number = append(number, 0);
    }
    number.min(LIMIT)
}

/// What nearly every amount is: few digits and a usual suffix. `None`: anything else, to be read with care.
fn usual(text: &str) -> Option<Quantity> {
    /// With at most so many digits nothing below comes near a limit.
    const DIGITS: usize = 9;
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = text.split_at(length);
    let (unit, format) = match suffix {
        "" => (NANO, Format::DecimalSi),
        "m" => (NANO / 1000, Format::DecimalSi),
        "k" => (NANO * 1000, Format::DecimalSi),
        "M" => (NANO * 1_000_000, Format::DecimalSi),
        "G" => (NANO * 1_000_000_000, Format::DecimalSi),
        "Ki" => (NANO << 10, Format::BinarySi),
        "Mi" => (NANO << 20, Format::BinarySi),
        "Gi" => (NANO << 30, Format::BinarySi),
        _ => return None,
    };
    if length == 0 || length > DIGITS {
        return None;
    }
    let number = digits.bytes().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    Some(Quantity::of(i128::from(number) * unit, format))
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        usual(text).map_or_else(|| Self::careful(text), Ok)
    }
}

impl Quantity {
    /// Whether a text is certainly what its amount prints as, rounded to thousandths: few digits, a usual suffix, nothing
    /// that a larger suffix could take.
    pub(crate) fn is_canonical(text: &str) -> bool {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let base = match &text[digits.len()..] {
            "" if text == "0" => return true,
            "" | "m" | "k" | "M" | "G" => 1000,
            "Ki" | "Mi" | "Gi" => 1024,
            _ => return false,
        };
        let number = Some(digits).filter(|digits| digits.len() < 10 && !digits.starts_with(['0', '+']));
        number.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|number| number % base != 0)
    }

    fn careful(text: &str) -> Result<Self, ParseQuantityError> {
        let Parts { negative, whole, fraction, suffix } = split(text)?;
        let (scale, mut format) = scale(suffix).ok_or(ParseQuantityError::Suffix)?;
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
        let mut shift = 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        match scale {
            Scale::Ten(exponent) => shift = shift.saturating_add(i64::from(exponent)),
            Scale::Binary(power) => (0..power).for_each(|_| times_1024(&mut digits)),
        }
        let mut nanos = scaled(&digits, shift);
        if format == Format::BinarySi {
            nanos = nanos.min(BINARY_LIMIT);
            if 0 < nanos && nanos < NANO {
                format = Format::DecimalSi;
            }
        }
        Ok(Self::of(if negative { -nanos } else { nanos }, format))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_for_canonical_prints_as_it_is(text in "[+-]?[0-9]{1,10}(|m|k|M|G|Ki|Mi|Gi|Ti|u|e3)") {
            let amount: Quantity = text.parse().unwrap();
            let printed = amount.rounded_to_milli().to_string();
            prop_assert!(!Quantity::is_canonical(&text) || printed == text, "{text} is printed as {printed}");
        }

        #[test]
        fn the_short_way_leads_where_the_long_one_does(text in "[0-9]{1,9}(|m|k|M|G|Ki|Mi|Gi)") {
            let (short, long) = (usual(&text).unwrap(), Quantity::careful(&text).unwrap());
            prop_assert_eq!((short.nanos, short.format), (long.nanos, long.format));
        }
    }
}
