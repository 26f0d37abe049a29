//! libFuzzer's way into `src/graphs.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cofi_fuzz::graphs::run(data));
