//! The canonical form: no fraction, the largest suffix that loses nothing.

use std::fmt;

use super::{Format, NANO, Quantity};

const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// `number` divided by `base` as long as nothing is lost, at most `most` times; and how many times.
fn reduce(mut number: i128, base: i64, most: usize) -> (i128, usize) {
    let mut times = 0;
    // Most numbers are small, and small ones are divided in a fraction of the time.
    if let Ok(mut small) = i64::try_from(number) {
        while times < most && small != 0 && small % base == 0 {
            small /= base;
            times += 1;
        }
        return (small.into(), times);
    }
    let base = i128::from(base);
    while times < most && number != 0 && number % base == 0 {
        number /= base;
        times += 1;
    }
    (number, times)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos.abs() < 1024 * NANO;
        match self.format {
            _ if self.is_zero() => f.write_str("0"),
            Format::BinarySi if !small && self.is_whole() => {
                let (number, power) = reduce(self.nanos / NANO, 1024, BINARY.len() - 1);
                write!(f, "{number}{}", BINARY[power])
            }
            Format::DecimalExponent => match reduce(self.nanos, 1000, usize::MAX) {
                (number, 3) => write!(f, "{number}"),
                (number, thousands) => write!(f, "{number}e{}", 3 * (thousands as i64 - 3)),
            },
            Format::DecimalSi | Format::BinarySi => {
                let (number, power) = reduce(self.nanos, 1000, DECIMAL.len() - 1);
                write!(f, "{number}{}", DECIMAL[power])
            }
        }
    }
}
