//! The extension as the fuzzers are built, for a host that has AddressSanitizer preloaded (`tests/sanitizer/session.py`).

pub use cofi::extension::cofi_init_c_api;
