//! SPDY: whatever a client sends, frames come of it or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::server::http::read_frames;

fuzz_target!(|bytes: &[u8]| {
    // A frame has eight bytes at least.
    assert!(read_frames(bytes) <= bytes.len() / 8);
});
