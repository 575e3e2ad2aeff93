//! JSON patches, given as `[object, operations]`.
#![no_main]

use k8s_openapi::api::core::v1::Pod;
use libfuzzer_sys::fuzz_target;
use orchestrion::api::{Kind, Patch};
use orchestrion::server::patch::apply;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let Ok((object, operations)) = serde_json::from_slice::<(Value, Value)>(json) else { return };
    if let Ok(patched) = apply(&Patch::Json(operations), &object, &Kind::of::<Pod>()) {
        let _ = patched.to_string();
    }
});
