//! Products of many rows with many rows, without the matrix that they make: of each product only the best are kept.
//!
//! After K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34, 2008: one side is packed into
//! panels that are read from front to back, a tile of sums stays in registers, and a block of panels in the cache near a core.

use super::best::{Best, Judge};
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};
use super::level::Instructions;
use super::{LANES, Level};

/// Numbers of a block of panels: 512 KiB.
const BLOCK: usize = 1 << 17;

/// Panels that some tiles take at a time, and whose multiple there is.
const PANELS: usize = 2;

/// The rows of tiles of a level, in falling order, down to 1: as many sums as there are registers for.
#[cfg(target_arch = "x86_64")]
const AVX512_ROWS: [usize; 3] = [12, 4, 1];
#[cfg(target_arch = "x86_64")]
const AVX2_ROWS: [usize; 3] = [6, 2, 1];
const PORTABLE_ROWS: [usize; 3] = [2, 1, 1];

/// The rows of a table `[N, K]` as products read them: panels of [`LANES`] rows, column by column.
///
/// Memory: a copy of the table.
#[derive(Clone, Debug)]
pub struct Panels {
    width: usize,
    n_rows: usize,
    /// `[panels, K, LANES]`.
    numbers: Vec<f32>,
    /// What each row's sum begins with; where there is no row, less than every number.
    offsets: Vec<f32>,
}

impl Panels {
    /// Packs `n_rows` rows of `width` columns. `fill` writes the row of an index and returns what to add to each of its products.
    pub fn pack(n_rows: usize, width: usize, mut fill: impl FnMut(usize, &mut [f32]) -> f32) -> Self {
        let padded = n_rows.next_multiple_of(PANELS * LANES);
        let (mut numbers, mut offsets) = (vec![0.0; padded * width], vec![f32::NEG_INFINITY; padded]);
        let mut row = vec![0.0; width];
        for (index, offset) in offsets[..n_rows].iter_mut().enumerate() {
            row.fill(0.0);
            *offset = fill(index, &mut row);
            let panel = &mut numbers[index / LANES * width * LANES..][..width * LANES];
            for (column, number) in panel.as_chunks_mut::<LANES>().0.iter_mut().zip(&row) {
                column[index % LANES] = *number;
            }
        }
        Self { width, n_rows, numbers, offsets }
    }

    /// `N`.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }
}

/// Some queries `[B, K]` as products read them: tiles of a few, column by column.
#[derive(Clone, Debug)]
pub struct Queries {
    level: Level,
    width: usize,
    /// How many queries each tile has.
    tiles: Vec<usize>,
    /// The tiles, each `[K, rows]`.
    numbers: Vec<f32>,
}

impl Queries {
    /// Packs `n` queries of `width` columns for the instructions of `level`. `fill` writes the query of an index.
    pub fn pack(level: Level, n: usize, width: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Self {
        let mut tiles = Vec::new();
        let mut left = n;
        for rows in tile_rows(level) {
            tiles.extend(std::iter::repeat_n(rows, left / rows));
            left %= rows;
        }
        let (mut numbers, mut query, mut first) = (vec![0.0; n * width], vec![0.0; width], 0);
        for rows in &tiles {
            let tile = &mut numbers[first * width..][..rows * width];
            for place in 0..*rows {
                query.fill(0.0);
                fill(first + place, &mut query);
                tile.chunks_exact_mut(*rows).zip(&query).for_each(|(column, number)| column[place] = *number);
            }
            first += rows;
        }
        Self { level, width, tiles, numbers }
    }
}

/// Shows every product of a query and a row, with the row's offset, to the search of that query: `2 B N K` operations.
///
/// `searches` has an element for each query, and `queries` the width of `panels`: anything else panics. Scores may differ by
/// `(K + 2) 2^-24` of the sum of the terms' magnitudes, by the level.
pub fn search(panels: &Panels, queries: &Queries, searches: &mut [Best], judge: &dyn Judge) {
    let Queries { level, width, tiles, numbers } = queries;
    assert!(*width == panels.width && searches.len() * width == numbers.len());
    if panels.width == 0 || panels.n_rows == 0 {
        return;
    }
    let step = PANELS * LANES;
    let rows_at_a_time = (BLOCK / width / step).max(1) * step;
    let blocks = panels.numbers.chunks(rows_at_a_time * width).zip(panels.offsets.chunks(rows_at_a_time));
    for (block, (numbers_of_rows, offsets)) in blocks.enumerate() {
        let mut first = 0;
        for rows in tiles {
            let tile = Tile {
                width: *width,
                queries: &numbers[first * width..][..rows * width],
                panels: numbers_of_rows,
                offsets,
                first_query: first,
                first_row: (block * rows_at_a_time) as u32,
            };
            tile.show(*level, &mut searches[first..first + rows], judge);
            first += rows;
        }
    }
}

fn tile_rows(level: Level) -> [usize; 3] {
    match level.0 {
        Instructions::Portable => PORTABLE_ROWS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => AVX2_ROWS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => AVX512_ROWS,
    }
}

/// A few queries before a block of rows.
#[derive(Clone, Copy)]
struct Tile<'a> {
    width: usize,
    queries: &'a [f32],
    panels: &'a [f32],
    offsets: &'a [f32],
    first_query: usize,
    first_row: u32,
}

impl Tile<'_> {
    fn show(self, level: Level, searches: &mut [Best], judge: &dyn Judge) {
        match level.0 {
            Instructions::Portable => self.portable(searches, judge),
            // SAFETY: a level is only made where the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { self.avx2(searches, judge) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { self.avx512(searches, judge) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512(self, searches: &mut [Best], judge: &dyn Judge) {
        match searches.len() {
            12 => self.rows::<Avx512, 12, 2>(searches, judge),
            4 => self.rows::<Avx512, 4, 2>(searches, judge),
            _ => self.rows::<Avx512, 1, 2>(searches, judge),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(self, searches: &mut [Best], judge: &dyn Judge) {
        match searches.len() {
            6 => self.rows::<Avx2, 6, 1>(searches, judge),
            2 => self.rows::<Avx2, 2, 1>(searches, judge),
            _ => self.rows::<Avx2, 1, 1>(searches, judge),
        }
    }

    fn portable(self, searches: &mut [Best], judge: &dyn Judge) {
        match searches.len() {
            2 => self.rows::<Portable, 2, 1>(searches, judge),
            _ => self.rows::<Portable, 1, 1>(searches, judge),
        }
    }

    /// `Q` queries, `P` panels at a time.
    #[inline(always)]
    fn rows<L: Lanes, const Q: usize, const P: usize>(self, searches: &mut [Best], judge: &dyn Judge) {
        let Some((searches, _)) = searches.split_first_chunk_mut::<Q>() else { return };
        let mut thresholds = [0.0; Q];
        for (threshold, search) in thresholds.iter_mut().zip(searches.iter()) {
            *threshold = search.threshold();
        }
        let queries = self.queries.as_chunks::<Q>().0;
        let panels = self.panels.chunks_exact(P * self.width * LANES);
        let offsets = self.offsets.as_chunks::<LANES>().0.as_chunks::<P>().0;
        let mut first_row = self.first_row;
        for (panels, offsets) in panels.zip(offsets) {
            let sums = products::<L, Q, P>(queries, panels, offsets);
            // Only a loop as simple as this one leaves the sums in their registers.
            let mut bits = [[0; P]; Q];
            let mut any = 0;
            for query in 0..Q {
                for panel in 0..P {
                    bits[query][panel] = sums[query][panel].above(L::splat(thresholds[query]));
                    any |= bits[query][panel];
                }
            }
            if any != 0 {
                let mut scores = [[[0.0; LANES]; P]; Q];
                for query in 0..Q {
                    for panel in 0..P {
                        scores[query][panel] = sums[query][panel].store();
                    }
                }
                self.take(first_row, &bits, &scores, searches, judge);
                for query in 0..Q {
                    thresholds[query] = searches[query].threshold();
                }
            }
            first_row += (P * LANES) as u32;
        }
    }

    /// Gives the searches what they may want.
    #[inline(never)]
    fn take<const Q: usize, const P: usize>(
        self,
        first_row: u32,
        bits: &[[u32; P]; Q],
        scores: &[[[f32; LANES]; P]; Q],
        searches: &mut [Best; Q],
        judge: &dyn Judge,
    ) {
        for (place, search) in searches.iter_mut().enumerate() {
            for (panel, (bits, scores)) in bits[place].iter().zip(&scores[place]).enumerate() {
                search.take(judge, self.first_query + place, first_row + (panel * LANES) as u32, *bits, scores);
            }
        }
    }
}

/// The sums of `Q` queries `[K, Q]` with the rows of `P` panels `[P, K, LANES]`.
#[inline(always)]
fn products<L: Lanes, const Q: usize, const P: usize>(
    queries: &[[f32; Q]],
    panels: &[f32],
    offsets: &[[f32; LANES]; P],
) -> [[L; P]; Q] {
    let width = queries.len();
    let (first, last) = panels.as_chunks::<LANES>().0.split_at((P - 1) * width);
    let mut firsts = [L::splat(0.0); P];
    for panel in 0..P {
        firsts[panel] = L::load(&offsets[panel]);
    }
    let mut sums = [firsts; Q];
    for ((column, query_numbers), last) in queries.iter().enumerate().zip(last) {
        let mut numbers = [L::load(last); P];
        for panel in 0..P - 1 {
            numbers[panel] = L::load(&first[panel * width + column]);
        }
        for query in 0..Q {
            let number = L::splat(query_numbers[query]);
            for panel in 0..P {
                sums[query][panel] = sums[query][panel].plus_product_fused(number, numbers[panel]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests;
