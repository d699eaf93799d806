//! Fuzzes `lakh_fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakh_fuzz::names(data));
