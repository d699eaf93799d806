//! Fuzzes `lakh_fuzz::mirror`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakh_fuzz::mirror(data));
