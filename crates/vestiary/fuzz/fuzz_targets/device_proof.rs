//! See [`vestiary_fuzz::device_proof`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestiary_fuzz::device_proof(data));
