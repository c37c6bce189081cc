//! See [`vestiary_fuzz::record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestiary_fuzz::record(data));
