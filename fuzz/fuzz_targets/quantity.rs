//! Amounts: whatever is read prints as something that reads back as the same, and printing that settles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::api::Quantity;

fuzz_target!(|text: &str| {
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let printed = quantity.to_string();
    let again: Quantity = printed.parse().expect("what is printed reads back");
    assert_eq!(again, quantity, "{text} prints as {printed}");
    let settled = again.to_string();
    assert_eq!(settled.parse::<Quantity>().expect("what is printed reads back").to_string(), settled);
    // Of a multiple of no power of 1024 the suffix is lost, and it reads as a decimal number.
    assert!(settled == printed || text.ends_with('i'), "{text} prints as {printed}, then as {settled}");
    let _ = (quantity.value(), quantity.milli_value(), quantity + again - quantity, quantity.rounded_to_milli());
});
