//! Memory read and written in order.

use crate::memory::Memory;
use crate::side_by_side;

const TRIES: usize = 5;

/// The rate of STREAM's triad, counted as STREAM does: what is read from memory only to be written over is not counted.
pub fn gigabytes(threads: usize) -> f64 {
    // Arrays of floats hold the doubles: the same bytes.
    let elements = super::LARGE / 8 / threads * threads;
    let [a, b, c] = [(); 3].map(|()| Memory::new(2 * elements, true));
    let share = elements / threads;
    let seconds = (0..TRIES).map(|_| {
        side_by_side(threads, &|thread| {
            // SAFETY: each thread has a part of its own.
            let a = unsafe { a.part_mut(2 * thread * share, 2 * share) };
            let part = |memory: &'_ Memory| -> *const f64 { memory.floats()[2 * thread * share..].as_ptr().cast() };
            // SAFETY: aligned to a huge page, and `share` doubles long.
            let (b, c) =
                unsafe { (std::slice::from_raw_parts(part(&b), share), std::slice::from_raw_parts(part(&c), share)) };
            // SAFETY: as above.
            let a = unsafe { std::slice::from_raw_parts_mut(a.as_mut_ptr().cast::<f64>(), share) };
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + 3.0 * c;
            }
        })
    });
    24.0 * elements as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}
