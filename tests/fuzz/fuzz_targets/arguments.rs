//! libFuzzer's way into `src/arguments.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cofi_fuzz::arguments::run(data));
