//! Memory as a loop sees it: rows that several threads write to, and rows that will be wanted soon.

use std::marker::PhantomData;

/// Asks for the cache line at `place` ahead of its use; does nothing where there is no such instruction.
#[inline(always)]
pub fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for all memory of a slice ahead of its use.
#[inline(always)]
pub fn prefetch_all<T>(values: &[T]) {
    /// The bytes of a cache line.
    const LINE: usize = 64;
    let (first, n_bytes) = (values.as_ptr().cast::<u8>(), size_of_val(values));
    for byte in (0..n_bytes).step_by(LINE) {
        prefetch(first.wrapping_add(byte));
    }
    // The steps miss the last line of a slice that begins late in its first.
    prefetch(first.wrapping_add(n_bytes.saturating_sub(1)));
}

/// A slice cut into rows of one length, each of which some thread may write to while others write to other rows.
pub struct SharedRows<'a, T> {
    first: *mut T,
    row_len: usize,
    n_rows: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: a row is only reached through `row`, whose callers promise that nobody else has it.
unsafe impl<T: Send + Sync> Sync for SharedRows<'_, T> {}

impl<'a, T> SharedRows<'a, T> {
    /// The rows of `row_len` (at least 1) of a slice; what is left at its end belongs to none.
    pub fn new(slice: &'a mut [T], row_len: usize) -> Self {
        Self { first: slice.as_mut_ptr(), row_len, n_rows: slice.len() / row_len, slice: PhantomData }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// A row for reading and writing.
    ///
    /// # Safety
    /// `index` is below the number of rows, and while the result is used nobody else has this row in any way.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn row_mut(&self, index: usize) -> &mut [T] {
        debug_assert!(index < self.n_rows);
        // SAFETY: inside the slice that `self` borrows; the caller's promise for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(index * self.row_len), self.row_len) }
    }

    /// A row for reading.
    ///
    /// # Safety
    /// `index` is below the number of rows, and while the result is used nobody writes to this row.
    #[inline(always)]
    pub unsafe fn row(&self, index: usize) -> &[T] {
        debug_assert!(index < self.n_rows);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.first.add(index * self.row_len), self.row_len) }
    }

    /// Two rows for reading and writing, `N` elements each, which is how long rows are.
    ///
    /// # Safety
    /// As for [`row_mut`](Self::row_mut), of both; they are not the same.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn two_rows_mut<const N: usize>(&self, one: usize, other: usize) -> (&mut [T; N], &mut [T; N]) {
        debug_assert!(self.row_len == N && one < self.n_rows && other < self.n_rows && one != other);
        // SAFETY: inside the slice that `self` borrows; the caller's promise for the rest.
        unsafe { (&mut *self.first.add(one * N).cast(), &mut *self.first.add(other * N).cast()) }
    }

    /// Asks for the first `n` elements of a row ahead of their use.
    #[inline(always)]
    pub fn prefetch(&self, index: usize, n: usize) {
        let per_line = (64 / size_of::<T>()).max(1);
        for element in (0..n).step_by(per_line) {
            prefetch(self.first.wrapping_add(index * self.row_len + element));
        }
    }
}
