//! Memory that begins at a huge page, with or without huge pages.

use std::alloc::{self, Layout};
use std::{ptr, slice};

const HUGE_PAGE: usize = 2 << 20;

/// `len` floats, each 1.
pub struct Memory {
    first: ptr::NonNull<f32>,
    len: usize,
    layout: Layout,
}

// SAFETY: it owns its floats as a `Vec` does.
unsafe impl Sync for Memory {}

impl Memory {
    /// Memory that the system is asked to lay on `huge` pages, or left to its own ways.
    pub fn new(len: usize, huge: bool) -> Self {
        let layout =
            Layout::from_size_align((len * 4).next_multiple_of(HUGE_PAGE), HUGE_PAGE).expect("a size that fits");
        // SAFETY: the layout is not empty.
        let first = ptr::NonNull::new(unsafe { alloc::alloc(layout) }.cast::<f32>());
        let Some(first) = first else { alloc::handle_alloc_error(layout) };
        #[cfg(target_os = "linux")]
        if huge {
            // SAFETY: advice about memory that was just allocated. Where it is not taken, nothing is lost.
            unsafe { libc::madvise(first.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        let _ = huge;
        for index in 0..len {
            // SAFETY: below the length that was allocated.
            unsafe { first.add(index).write(1.0) };
        }
        Self { first, len, layout }
    }

    /// All of it.
    pub fn floats(&self) -> &[f32] {
        // SAFETY: written in `new`; whoever takes `part_mut` promises that nobody reads it meanwhile.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }

    /// A part of it to write to.
    ///
    /// # Safety
    /// While it is in use nobody else has any of it.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part_mut(&self, first: usize, len: usize) -> &mut [f32] {
        assert!(first + len <= self.len);
        // SAFETY: inside; the caller promises the rest.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr().add(first), len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { alloc::dealloc(self.first.as_ptr().cast(), self.layout) };
    }
}

/// Asks the processor to fetch the cache lines of `bytes` bytes from `first` on. Nothing happens where there is no such instruction.
#[inline(always)]
pub fn prefetch(first: *const f32, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let begin = first.cast::<i8>();
        let mut line = 0;
        while line < bytes {
            // SAFETY: a hint; no address is wrong.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(line)) };
            line += 64;
        }
        // Rows that do not begin at a line end in one more.
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(bytes - 1)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, bytes);
}
