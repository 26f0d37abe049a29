//! Panics on purpose, for the tests of what becomes of a panic.

#[cfg(all(feature = "force-panic", not(debug_assertions)))]
compile_error!("the feature force-panic is for tests: no release build has it");

/// The environment variable that names a place.
const VARIABLE: &str = "COFI_FORCE_PANIC";

/// Panics where `COFI_FORCE_PANIC` is the name and the stage with a space between them. Nothing at all without the feature `force-panic`.
#[inline]
pub fn panic_if_asked(name: &str, stage: &str) {
    if cfg!(feature = "force-panic") && std::env::var(VARIABLE).is_ok_and(|asked| asked == format!("{name} {stage}")) {
        std::panic::panic_any(format!("{VARIABLE} asks for it in {name} {stage}"));
    }
}
