//! Asking for memory before it is needed.

/// Lines of memory that a prefetch fetches.
const LINE: usize = 64;

/// Asks for the memory of `values`, all of it, and does not wait. Where the processor has no such wish, nothing happens.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    prefetch_at(values.as_ptr(), values.len());
}

/// The same for `n` values at `place`, whatever lies there.
#[inline(always)]
pub(super) fn prefetch_at<T>(place: *const T, n: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        let bytes = n * size_of::<T>();
        let start = place.cast::<i8>();
        let mut at = 0;
        while at < bytes {
            // SAFETY: a prefetch reads nothing that a program sees and fails on no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
            at += LINE;
        }
        if bytes > 0 {
            // The steps above miss the last line where the values begin late in their first.
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(bytes - 1)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (place, n, LINE);
    }
}
