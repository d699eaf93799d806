//! Fuzzes `lakh_fuzz::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakh_fuzz::query(data));
