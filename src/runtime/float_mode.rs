//! Treats subnormal numbers as zero on the calling thread while a session computes on it.
//!
//! In dense Adam the first moment of rows long untouched becomes subnormal, which halves the speed. ONNX Runtime sets
//! the mode on the threads of its own pool, but the thread that calls it computes too, and belongs to the host.

use std::marker::PhantomData;

/// Sets the mode of this thread, and puts back what it was when dropped.
pub struct SubnormalsAreZero {
    before: u64,
    /// The mode is the thread's: the guard must not leave it.
    not_send: PhantomData<*const ()>,
}

impl SubnormalsAreZero {
    /// Sets the mode of the calling thread.
    pub fn on_this_thread() -> Self {
        let before = arch::read();
        arch::write(before | arch::FLUSH);
        Self { before, not_send: PhantomData }
    }
}

impl Drop for SubnormalsAreZero {
    fn drop(&mut self) {
        arch::write(self.before);
    }
}

/// Treats subnormal numbers as what they are on a thread that a session computes on, as Rust code expects it; puts back what was
/// when dropped.
pub struct SubnormalsCount {
    before: u64,
    not_send: PhantomData<*const ()>,
}

impl SubnormalsCount {
    /// Sets the mode of the calling thread.
    pub fn on_this_thread() -> Self {
        let before = arch::read();
        arch::write(before & !arch::FLUSH);
        Self { before, not_send: PhantomData }
    }
}

impl Drop for SubnormalsCount {
    fn drop(&mut self) {
        arch::write(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::asm;

    /// Flush to zero (bit 15) and denormals are zero (bit 6) of MXCSR.
    pub const FLUSH: u64 = 1 << 15 | 1 << 6;

    pub fn read() -> u64 {
        let mut value = 0u32;
        // SAFETY: stores the register into the four bytes that the pointer owns; every x86_64 has it.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
        value.into()
    }

    pub fn write(value: u64) {
        let value = value as u32;
        // SAFETY: the value was read from the register, with or without two bits that every x86_64 has. While they are
        // set this thread runs only calls into ONNX Runtime, and no Rust code that computes with floats.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use std::arch::asm;

    /// Flush to zero (bit 24) of FPCR, for inputs and results.
    pub const FLUSH: u64 = 1 << 24;

    pub fn read() -> u64 {
        let value: u64;
        // SAFETY: reads a register that every aarch64 lets user code read.
        unsafe { asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    pub fn write(value: u64) {
        // SAFETY: the value was read from the register, with or without one bit that every aarch64 has. While it is
        // set this thread runs only calls into ONNX Runtime, and no Rust code that computes with floats.
        unsafe { asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    pub const FLUSH: u64 = 0;

    pub fn read() -> u64 {
        0
    }

    pub fn write(_value: u64) {}
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn the_mode_is_put_back() {
        let before = arch::read();
        drop(SubnormalsAreZero::on_this_thread());
        assert_eq!(arch::read(), before);
        let subnormal = black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(subnormal > 0.0, "this thread flushes subnormals after the guard is gone");
    }

    #[test]
    fn subnormals_count_inside_a_session_that_flushes_them() {
        let flushes = || black_box(f32::MIN_POSITIVE) * black_box(0.5) == 0.0;
        let _outer = SubnormalsAreZero::on_this_thread();
        let before = arch::read();
        {
            let _inner = SubnormalsCount::on_this_thread();
            assert!(!flushes());
        }
        assert_eq!(arch::read(), before);
    }
}
