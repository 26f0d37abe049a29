//! The best few of many scores, of which only those near the best are ever looked at closely.

use super::LANES;

/// A row with a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The row of the table.
    pub row: u32,
    /// The score of the query with that row.
    pub score: f32,
}

/// What a search asks about single pairs of a query and a row.
pub trait Judge {
    /// Whether the row may be found.
    fn allows(&self, query: usize, row: u32) -> bool;

    /// Asks for the memory that the exact score of a row needs.
    fn fetch(&self, row: u32);

    /// The score by which the row ranks.
    fn exact(&self, query: usize, row: u32) -> f32;
}

/// The search for the `k` rows with the highest exact scores, by scores that come fast but are off by a little: whatever may
/// still be among the best is kept, and ranked exactly in the end. Of rows with one score the lower comes first.
///
/// Memory: `2 k + 24` candidates.
#[derive(Clone, Debug)]
pub struct Best {
    k: usize,
    slack: f32,
    threshold: f32,
    /// Room for candidates; `n` of them are there, and a judge has allowed the first of these.
    candidates: Vec<Candidate>,
    n: usize,
    n_allowed: usize,
    /// So many are thinned out: a block of candidates must have room.
    full: usize,
}

impl Best {
    /// A search in a table of `n_rows` for the best `k`. `slack` is twice what a fast score may be off, `k` 0 wants none.
    pub fn new(k: usize, n_rows: usize, slack: f32) -> Self {
        let k = k.min(n_rows);
        let full = k.saturating_mul(2).saturating_add(8).min(n_rows.saturating_add(1));
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        let candidates = vec![Candidate { row: 0, score: 0.0 }; full + LANES];
        Self { k, slack, threshold, candidates, n: 0, n_allowed: 0, full }
    }

    /// No row with a fast score up to this one is among the best.
    #[inline(always)]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Takes those of consecutive rows from `first_row` on whose bits are set.
    #[inline]
    pub(super) fn take(
        &mut self,
        judge: &dyn Judge,
        query: usize,
        first_row: u32,
        mut bits: u32,
        scores: &[f32; LANES],
    ) {
        while bits != 0 {
            let lane = bits.trailing_zeros();
            bits &= bits - 1;
            self.candidates[self.n] = Candidate { row: first_row + lane, score: scores[lane as usize % LANES] };
            self.n += 1;
        }
        if self.n >= self.full {
            self.thin_out(judge, query);
        }
    }

    /// The best, in order, with their exact scores.
    pub fn finish(mut self, judge: &dyn Judge, query: usize) -> Vec<Candidate> {
        self.thin_out(judge, query);
        self.rank(judge, query, |best, exact| best.score = exact);
        self.candidates.truncate(self.n);
        self.candidates
    }

    /// Drops what cannot be among the best any more, by the fast scores; by the exact ones where too many are left.
    #[cold]
    #[inline(never)]
    fn thin_out(&mut self, judge: &dyn Judge, query: usize) {
        self.keep_if(self.n_allowed, |candidate| judge.allows(query, candidate.row));
        if self.n > self.k && self.k > 0 {
            let there = &mut self.candidates[..self.n];
            let (_, worst, _) = there.select_nth_unstable_by(self.k - 1, |a, b| b.score.total_cmp(&a.score));
            // All that are as good as it may be stay.
            let threshold = (worst.score - self.slack).next_down();
            self.threshold = threshold;
            self.keep_if(0, |candidate| candidate.score > threshold);
        }
        if self.n > self.k.midpoint(self.full) {
            self.rank(judge, query, |_, _| ());
        }
        self.n_allowed = self.n;
    }

    /// Drops candidates from the place `first` on that do not pass.
    fn keep_if(&mut self, first: usize, passes: impl Fn(&Candidate) -> bool) {
        let mut kept = first;
        for place in first..self.n {
            let candidate = self.candidates[place];
            self.candidates[kept] = candidate;
            kept += usize::from(passes(&candidate));
        }
        self.n = kept;
    }

    /// Leaves the `k` with the highest exact scores, in order.
    fn rank(&mut self, judge: &dyn Judge, query: usize, keep: impl Fn(&mut Candidate, f32)) {
        self.candidates[..self.n].iter().for_each(|candidate| judge.fetch(candidate.row));
        // Adding 0 makes one value of the two zeros, which would otherwise be no tie.
        let exact = |candidate: &Candidate| (judge.exact(query, candidate.row) + 0.0, *candidate);
        let mut ranked: Vec<(f32, Candidate)> = self.candidates[..self.n].iter().map(exact).collect();
        ranked.sort_unstable_by(|(a, one), (b, other)| b.total_cmp(a).then(one.row.cmp(&other.row)));
        self.n = self.k.min(ranked.len());
        for (slot, (exact, mut candidate)) in self.candidates.iter_mut().zip(ranked).take(self.n) {
            keep(&mut candidate, exact);
            *slot = candidate;
        }
    }
}
