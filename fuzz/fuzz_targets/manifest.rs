//! Manifests: each is read, or refused with at least one mistake that stands somewhere in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::api::{Kinds, manifest};

fuzz_target!(|text: &str| {
    let lines = text.lines().count() + 1;
    match manifest::read(text, &Kinds::builtin()) {
        Ok(entries) => assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line))),
        Err(error) => assert!(!error.mistakes.is_empty()),
    }
    if let Ok(json) = manifest::yaml_to_json(text) {
        // Documents nest less deeply than JSON may.
        serde_json::from_slice::<serde_json::Value>(&json).expect("the JSON of YAML is JSON");
    }
});
