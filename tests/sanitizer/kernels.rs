//! The innermost loops alone, to be compiled with AddressSanitizer: the only code here that reaches memory past the compiler's checks
//! and needs nothing but itself. `scripts/test.py` compiles and runs it.

#[path = "../../src/kernels/mod.rs"]
pub mod kernels;
