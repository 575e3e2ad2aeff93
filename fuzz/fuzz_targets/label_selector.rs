//! Label selectors: whatever is read prints as something that reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::api::LabelSelector;

fuzz_target!(|text: &str| {
    let Ok(selector) = text.parse::<LabelSelector>() else { return };
    let printed = selector.to_string();
    assert_eq!(printed.parse(), Ok(selector.clone()), "{printed}");
    let labels = [("app".to_owned(), "1".to_owned())].into();
    let _ = (selector.matches(None), selector.matches(Some(&labels)));
});
