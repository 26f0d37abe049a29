//! Searches against sorting everything, in double precision.

use super::*;
use crate::kernels::{Candidate, dot};

/// Numbers that look random, from -1 to 1, in steps of `1 / steps`.
fn numbers(seed: u32, len: usize, steps: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 * steps).round() / steps - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A table, its offsets, and queries.
struct World {
    width: usize,
    table: Vec<f32>,
    offsets: Vec<f32>,
    queries: Vec<f32>,
    /// One of so many rows is not allowed, another one for each query.
    forbidden: u32,
}

impl World {
    fn new(n_rows: usize, n_queries: usize, width: usize, steps: f32) -> Self {
        Self {
            width,
            table: numbers(1, n_rows * width, steps),
            offsets: numbers(2, n_rows, steps),
            queries: numbers(3, n_queries * width, steps),
            forbidden: u32::MAX,
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.table[row * self.width..][..self.width]
    }

    fn query(&self, query: usize) -> &[f32] {
        &self.queries[query * self.width..][..self.width]
    }

    fn n_queries(&self) -> usize {
        self.queries.len() / self.width
    }

    /// The best of each query at a level.
    fn search(&self, level: Level, k: usize) -> Vec<Vec<Candidate>> {
        let n_rows = self.offsets.len();
        let panels = Panels::pack(n_rows, self.width, |index, row| {
            row.copy_from_slice(self.row(index));
            self.offsets[index]
        });
        assert_eq!(panels.n_rows(), n_rows);
        let fill = |index, query: &mut [f32]| query.copy_from_slice(self.query(index));
        let queries = Queries::pack(level, self.n_queries(), self.width, fill);
        // Terms are at most 1.
        let slack = (self.width + 3) as f32 * (self.width + 1) as f32 * f32::EPSILON;
        let mut searches = vec![Best::new(k, n_rows, slack); self.n_queries()];
        search(&panels, &queries, &mut searches, self);
        searches.into_iter().enumerate().map(|(query, best)| best.finish(self, query)).collect()
    }

    /// The same by sorting everything: a stable sort keeps ties in the order of their rows.
    fn expected(&self, query: usize, k: usize) -> Vec<Candidate> {
        let rows = (0..self.offsets.len() as u32).filter(|row| self.allows(query, *row));
        let mut all: Vec<_> = rows.map(|row| Candidate { row, score: self.exact(query, row) }).collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(k);
        all
    }
}

impl Judge for World {
    fn allows(&self, query: usize, row: u32) -> bool {
        !(row + query as u32).is_multiple_of(self.forbidden)
    }

    fn fetch(&self, _: u32) {}

    fn exact(&self, query: usize, row: u32) -> f32 {
        self.offsets[row as usize] + dot(self.query(query), self.row(row as usize))
    }
}

fn check(world: &World, k: usize) {
    for level in Level::available() {
        for (query, found) in world.search(level, k).into_iter().enumerate() {
            let (n_rows, width) = (world.offsets.len(), world.width);
            assert_eq!(
                found,
                world.expected(query, k),
                "{level}, {n_rows} rows, {width} columns, k = {k}, query {query}"
            );
            for candidate in found {
                let terms = world.query(query).iter().zip(world.row(candidate.row as usize));
                let exact: f64 = terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let exact = exact + f64::from(world.offsets[candidate.row as usize]);
                assert!((f64::from(candidate.score) - exact).abs() < 1e-5, "{level}");
            }
        }
    }
}

#[test]
fn the_best_are_the_head_of_a_full_sort() {
    for (n_rows, n_queries, width) in [(1, 1, 1), (31, 5, 3), (33, 29, 16), (700, 25, 50), (5000, 14, 67)] {
        let world = World::new(n_rows, n_queries, width, 1e6);
        [0, 1, 7, 100, n_rows, usize::MAX].into_iter().for_each(|k| check(&world, k));
    }
}

#[test]
fn a_table_of_several_blocks_is_searched_whole() {
    let world = World::new(2 * BLOCK / 64 + 77, 13, 64, 1e6);
    check(&world, 10);
}

#[test]
fn ties_go_to_the_lower_row() {
    // Few different sums; then one alone, which nothing but the order of the rows decides.
    for steps in [1.0, 2.0] {
        let world = World::new(3000, 13, 4, steps);
        [1, 10, 500].into_iter().for_each(|k| check(&world, k));
    }
    let mut world = World::new(3000, 13, 8, 1.0);
    world.table.fill(0.0);
    world.offsets.fill(0.0);
    [1, 10, 2999].into_iter().for_each(|k| check(&world, k));
}

#[test]
fn rows_that_are_not_allowed_are_not_found() {
    let mut world = World::new(500, 7, 10, 1e6);
    for forbidden in [2, 3, 1] {
        world.forbidden = forbidden;
        [1, 20, 500].into_iter().for_each(|k| check(&world, k));
    }
}

#[test]
fn nothing_is_found_where_there_is_nothing() {
    check(&World::new(0, 3, 5, 1e6), 10);
    check(&World::new(10, 0, 5, 1e6), 10);
}
