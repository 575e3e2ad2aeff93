use proptest::prelude::*;

use super::*;

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn amounts_print_in_canonical_form() {
    for (text, canonical) in [
        ("0", "0"),
        ("0Ki", "0"),
        ("-0.0", "0"),
        ("1", "1"),
        ("+3", "3"),
        ("1.5", "1500m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1.G", "1G"),
        ("1000", "1k"),
        ("1500k", "1500k"),
        ("1000k", "1M"),
        ("1000m", "1"),
        ("100000", "100k"),
        ("1024", "1024"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1023Ki", "1023Ki"),
        ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
        // No multiple of 1024, so it is printed as a number, which reads as a decimal one: that prints as 64k.
        ("62.5Ki", "64000"),
        ("1.1Ki", "1126400m"),
        ("0.0001Ki", "102400u"),
        ("-1.5Gi", "-1536Mi"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1e2", "100"),
        ("1.5e3", "1500"),
        ("12e-4", "1200e-6"),
        ("1e30", "100e27"),
        ("0.0000000001", "1n"),
        ("-1e-400", "-1e-9"),
        ("9223372036854775807", "9223372036854775807"),
        ("100Ei", "9223372036854775807"),
        ("9999999999E", "9999999999E"),
        ("000000000000000000000000000000000000000000007", "7"),
        ("1.00000000000000000000000000000000000000000000000000000001Ki", "1024000000001n"),
    ] {
        assert_eq!(quantity(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn what_is_no_amount_is_refused_in_upstreams_words() {
    use ParseQuantityError::{Format, Suffix};
    for (text, error) in [
        ("", Format),
        ("abc", Format),
        ("1 ", Format),
        ("1.2.3", Format),
        ("1Kib", Format),
        ("1e3k", Format),
        ("½", Format),
        ("1K", Suffix),
        ("--1", Suffix),
        ("1mi", Suffix),
        ("1e", Suffix),
        ("1e99999999999999999999", Suffix),
        ("1Ki3", Suffix),
    ] {
        assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
    }
    assert_eq!(
        Format.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn fractions_round_away_from_zero() {
    assert_eq!(quantity("1.1").value(), 2);
    assert_eq!(quantity("-1.1").value(), -2);
    assert_eq!(quantity("1n").milli_value(), 1);
    assert_eq!(quantity("1234567n").rounded_to_milli().to_string(), "2m");
    assert_eq!(quantity("1e25").value(), i64::MAX);
    assert_eq!(quantity("-1e25").milli_value(), i64::MIN);
}

#[test]
fn a_sum_is_written_as_its_first_term_that_is_not_zero() {
    assert_eq!((quantity("1Gi") + quantity("1G")).to_string(), "2073741824");
    assert_eq!((quantity("1Gi") + quantity("1024")).to_string(), "1048577Ki");
    assert_eq!((quantity("0") + quantity("1Mi")).to_string(), "1Mi");
    assert_eq!((quantity("1") - quantity("900m")).to_string(), "100m");
    assert_eq!([quantity("250m"), quantity("0.75")].into_iter().sum::<Quantity>().to_string(), "1");
    assert_eq!(quantity("1e29") + quantity("1e29"), quantity("1e29"));
}

#[test]
fn equal_amounts_are_equal_however_written() {
    assert_eq!(quantity("1Ki"), quantity("1.024k"));
    assert!(quantity("1Gi") > quantity("1G"));
    assert_eq!(quantity("0.5"), Quantity::from_milli(500));
}

proptest! {
    #[test]
    fn the_canonical_form_reads_back_as_the_same_amount(text in r"[+-]?[0-9]{1,12}(\.[0-9]{0,11})?(|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|e-?[0-9])") {
        let first = quantity(&text);
        let printed = first.to_string();
        let again = quantity(&printed);
        prop_assert_eq!(first, again);
        let settled = again.to_string();
        prop_assert_eq!(quantity(&settled).to_string(), settled.clone());
        prop_assert!(settled == printed || text.ends_with('i'), "{} and {}", printed, settled);
        prop_assert!(!printed.contains('.'));
    }

    #[test]
    fn sums_are_exact(a in any::<i64>(), b in any::<i64>()) {
        let (x, y) = (Quantity::from_milli(a), Quantity::from_milli(b));
        prop_assert_eq!(x + y, y + x);
        prop_assert_eq!(x + y - y, x);
        prop_assert_eq!((x + y).nanos, (i128::from(a) + i128::from(b)) * 1_000_000);
    }

    #[test]
    fn nothing_that_is_read_panics(text in ".{0,24}") {
        let _ = text.parse::<Quantity>().map(|quantity| (quantity.to_string(), quantity.value()));
    }
}
