//! libFuzzer's way into `src/stored.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cofi_fuzz::stored::run(data));
