//! What the operating system is told of large tables.

/// Tables below this fit the processor's own lists of pages anyway.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Asks for large pages under numbers that were not written to yet and will be read in random order: with small ones, a row
/// costs a walk through the table of pages besides. Nothing depends on whether it is granted.
pub fn prefer_large_pages(numbers: &mut [f32]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let bytes = numbers.as_mut_ptr_range();
        let (start, end) = ((bytes.start as usize).next_multiple_of(PAGE), bytes.end as usize / PAGE * PAGE);
        if end.saturating_sub(start) >= LARGE {
            // SAFETY: whole pages inside the slice, whose contents this advice leaves as they are.
            unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = numbers;
}
