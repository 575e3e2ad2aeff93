//! JSON of pods: whatever is read is written as something that reads back as the same, with nothing unknown in it.
#![no_main]

use k8s_openapi::api::core::v1::Pod;
use libfuzzer_sys::fuzz_target;
use orchestrion::api::{Kind, decode};

fuzz_target!(|json: &[u8]| {
    let Ok(decoded) = decode::object(&Kind::of::<Pod>(), json) else { return };
    let pod = decoded.object.typed::<Pod>().expect("a pod");
    let written = serde_json::to_vec(pod).expect("pods have a JSON form");
    let again = decode::decode::<Pod>(&written).expect("what is written reads back");
    assert_eq!(&again.object, pod);
    assert!(again.strict.is_empty(), "{:?}", again.strict);
});
