//! See [`vestiary_fuzz::options`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestiary_fuzz::options(data));
