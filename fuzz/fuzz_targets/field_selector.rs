//! Field selectors: whatever is read prints as something that reads back with the same requirements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::api::FieldSelector;

fuzz_target!(|text: &str| {
    let Ok(selector) = text.parse::<FieldSelector>() else { return };
    let again: FieldSelector = selector.to_string().parse().expect("what is printed reads back");
    assert_eq!(again.requirements.len(), selector.requirements.len());
    assert!(selector.requirements.iter().all(|requirement| again.requirements.contains(requirement)));
    let _ = selector.matches(|field| field.to_owned().into());
});
