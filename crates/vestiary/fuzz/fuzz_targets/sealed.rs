//! See [`vestiary_fuzz::sealed`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestiary_fuzz::sealed(data));
