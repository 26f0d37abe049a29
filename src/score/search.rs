//! Searches for the best rows of a table, many at a time.

use super::Scored;
use crate::kernels::product::{Panels, Queries, search};
use crate::kernels::{Best, Judge, Level};

/// Queries before which a block of rows, read once, stays in the cache.
const QUERIES_AT_A_TIME: usize = 192;

/// Candidates kept at a time, all queries together.
const MOST_CANDIDATES: usize = 1 << 22;

/// A search with many queries, in parts that bound its memory.
pub(super) struct Search<'a, J> {
    /// The instructions to use.
    pub level: Level,
    /// The rows.
    pub panels: &'a Panels,
    /// The numbers of a row.
    pub width: usize,
    /// The rows wanted for each query, the best first.
    pub k: usize,
    /// What tells of queries and rows, which it counts from the first one of all parts.
    pub judge: J,
}

impl<J: Judge> Search<'_, J> {
    /// The best rows of each query. `fill` writes a query, `slack` says twice how far its products may be off.
    pub(super) fn run(
        &self,
        n_queries: usize,
        mut fill: impl FnMut(usize, &mut [f32]),
        slack: impl Fn(usize) -> f32,
    ) -> Vec<Vec<Scored>> {
        let n_rows = self.panels.n_rows();
        let at_a_time = (MOST_CANDIDATES / self.k.clamp(1, n_rows.max(1))).clamp(1, QUERIES_AT_A_TIME);
        let mut found = Vec::with_capacity(n_queries);
        for first in (0..n_queries).step_by(at_a_time) {
            let n = at_a_time.min(n_queries - first);
            let queries = Queries::pack(self.level, n, self.width, |place, query| fill(first + place, query));
            let mut searches: Vec<_> = (0..n).map(|place| Best::new(self.k, n_rows, slack(first + place))).collect();
            let judge = Part { judge: &self.judge, first };
            search(self.panels, &queries, &mut searches, &judge);
            found.extend(searches.into_iter().enumerate().map(|(place, best)| {
                let best = best.finish(&judge, place);
                best.into_iter().map(|best| Scored { index: best.row, score: best.score }).collect::<Vec<_>>()
            }));
        }
        found
    }
}

struct Part<'a, J> {
    judge: &'a J,
    first: usize,
}

impl<J: Judge> Judge for Part<'_, J> {
    fn allows(&self, query: usize, row: u32) -> bool {
        self.judge.allows(self.first + query, row)
    }

    fn fetch(&self, row: u32) {
        self.judge.fetch(row);
    }

    fn exact(&self, query: usize, row: u32) -> f32 {
        self.judge.exact(self.first + query, row)
    }
}
