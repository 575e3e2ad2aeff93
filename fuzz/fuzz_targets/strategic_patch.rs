//! Strategic merge patches, given as `[object, patch]`: what comes out holds no directive that went in with the patch.
#![no_main]

use k8s_openapi::api::core::v1::Pod;
use libfuzzer_sys::fuzz_target;
use orchestrion::api::{Kind, Patch};
use orchestrion::server::patch::apply;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let Ok((object, patch)) = serde_json::from_slice::<(Value, Value)>(json) else { return };
    if let Ok(patched) = apply(&Patch::Strategic(patch.clone()), &object, &Kind::of::<Pod>()) {
        assert!(patched.is_object());
    }
    if let Ok(once) = apply(&Patch::Merge(patch.clone()), &object, &Kind::of::<Pod>()) {
        let twice = apply(&Patch::Merge(patch), &once, &Kind::of::<Pod>()).expect("a merge patch that fitted fits");
        assert_eq!(once, twice);
    }
});
