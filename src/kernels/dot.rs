//! Dot products of rows, summed in one order on every machine.

use super::LANES;
use super::lanes::{Lanes, Portable};
use super::level::per_level_lanes;
use super::memory::prefetch_all;

/// How many pairs ahead rows are asked for: a row from main memory takes as long as some ten products.
const AHEAD: usize = 24;

/// The dot product of two slices of one length, summed in an order that depends on the length alone.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_in::<Portable>(a, b)
}

#[inline(always)]
fn dot_in<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = L::splat(0.0);
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        sums = sums.plus_product(L::load(a), L::load(b));
    }
    let n_left = a_rest.len().min(b_rest.len());
    if n_left > 0 {
        // The last block once more, without what has been added. A block that begins at the rest would reach beyond the row, and
        // wait for memory that nobody asked for.
        sums = match (a.last_chunk(), b.last_chunk()) {
            (Some(a), Some(b)) => sums.plus_product(L::load_last(a, n_left), L::load_last(b, n_left)),
            _ => sums.plus_product(L::load_part(a_rest), L::load_part(b_rest)),
        };
    }
    sums.sum()
}

per_level_lanes! {
    /// The [`dot`] of row `a_rows[n]` of the table `a` with row `b_rows[n]` of the table `b`, for every `n`, into `out`: `[B]`.
    /// Both tables have `width` columns. Bits are the same at every level.
    pub fn dots(a: &[f32], a_rows: &[u32], b: &[f32], b_rows: &[u32], width: usize, out: &mut [f32]) = dots_body;
}

#[inline(always)]
fn dots_body<L: Lanes>(a: &[f32], a_rows: &[u32], b: &[f32], b_rows: &[u32], width: usize, out: &mut [f32]) {
    let n = out.len();
    let (a_rows, b_rows) = (&a_rows[..n], &b_rows[..n]);
    for pair in 0..n.min(AHEAD) {
        prefetch_all(row_of(a, width, a_rows[pair]));
        prefetch_all(row_of(b, width, b_rows[pair]));
    }
    for pair in 0..n {
        // Beyond the last pair the last one is asked for again, which costs nothing.
        let coming = (pair + AHEAD).min(n - 1);
        prefetch_all(row_of(a, width, a_rows[coming]));
        prefetch_all(row_of(b, width, b_rows[coming]));
        out[pair] = dot_in::<L>(row_of(a, width, a_rows[pair]), row_of(b, width, b_rows[pair]));
    }
}

#[inline(always)]
fn row_of(table: &[f32], width: usize, index: u32) -> &[f32] {
    &table[index as usize * width..][..width]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;

    /// Numbers that look random, from -1 to 1.
    fn numbers(seed: u32, len: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn every_length_agrees_with_the_sum_in_double_precision() {
        for len in 0..150 {
            let (a, b) = (numbers(1, len), numbers(2, len));
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5, "{len}");
        }
    }

    #[test]
    fn pairs_have_the_same_bits_at_every_level() {
        for width in [1, 2, 15, 16, 17, 50, 64, 67] {
            let (a, b) = (numbers(3, 40 * width), numbers(4, 30 * width));
            let a_rows: Vec<u32> = (0..100).map(|n| n * 7 % 40).collect();
            let b_rows: Vec<u32> = (0..100).map(|n| n * 11 % 30).collect();
            let pairs = a_rows.iter().zip(&b_rows);
            let expected: Vec<f32> = pairs.map(|(i, j)| dot(row_of(&a, width, *i), row_of(&b, width, *j))).collect();
            for level in Level::available() {
                let mut found = vec![f32::NAN; 100];
                dots(level, &a, &a_rows, &b, &b_rows, width, &mut found);
                assert_eq!(found, expected, "{width} columns, {level}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_row_that_is_not_there_is_not_read() {
        dots(Level::best(), &[0.0; 8], &[0], &[0.0; 8], &[2], 4, &mut [0.0]);
    }
}
