//! Amounts: whatever is read prints as something that reads back as the same, and printing is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::api::Quantity;

fuzz_target!(|text: &str| {
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let printed = quantity.to_string();
    let again: Quantity = printed.parse().expect("what is printed reads back");
    assert_eq!(again, quantity, "{text} prints as {printed}");
    assert_eq!(again.to_string(), printed);
    let _ = (quantity.value(), quantity.milli_value(), quantity + again - quantity, quantity.rounded_to_milli());
});
