//! The best few of many scores, of which only those near the best are ever looked at closely.

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

    /// The score by which the row ranks.
    fn exact(&self, query: usize, row: u32) -> f32;
}

/// The search for the `k` rows with the highest exact scores, by scores that come fast but are off by a little: whatever may
/// still be among the best is kept, and ranked exactly in the end. Of rows with one score the lower comes first.
///
/// Memory: `2 k + 16` candidates.
#[derive(Clone, Debug)]
pub struct Best {
    k: usize,
    slack: f32,
    threshold: f32,
    capacity: usize,
    candidates: Vec<Candidate>,
}

impl Best {
    /// A search in a table of `n_rows` for the best `k`. `slack` is twice what a fast score may be off, `k` 0 wants none.
    pub fn new(k: usize, n_rows: usize, slack: f32) -> Self {
        let k = k.min(n_rows);
        let capacity = k.saturating_mul(2).saturating_add(16).min(n_rows);
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, slack, threshold, capacity, candidates: Vec::with_capacity(capacity) }
    }

    /// No row with a fast score up to this one is among the best.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Takes what may be among the best of consecutive rows from `first_row` on.
    #[cold]
    #[inline(never)]
    pub(super) fn take(&mut self, judge: &dyn Judge, query: usize, first_row: u32, scores: &[f32]) {
        for (row, score) in (first_row..).zip(scores.iter().copied()) {
            if score > self.threshold && judge.allows(query, row) {
                if self.candidates.len() == self.capacity {
                    self.thin_out(judge, query);
                }
                if score > self.threshold {
                    self.candidates.push(Candidate { row, score });
                }
            }
        }
    }

    /// The best, in order, with their exact scores.
    pub fn finish(mut self, judge: &dyn Judge, query: usize) -> Vec<Candidate> {
        self.rank(judge, query, |best, exact| best.score = exact);
        self.candidates
    }

    /// Drops what cannot be among the best any more, by the fast scores; by the exact ones where too many are left.
    fn thin_out(&mut self, judge: &dyn Judge, query: usize) {
        let Some(last) = self.k.checked_sub(1).filter(|last| *last < self.candidates.len()) else { return };
        let (_, worst, _) = self.candidates.select_nth_unstable_by(last, |a, b| b.score.total_cmp(&a.score));
        // All that are as good as it may be stay.
        let threshold = (worst.score - self.slack).next_down();
        self.threshold = threshold;
        self.candidates.retain(|candidate| candidate.score > threshold);
        if self.candidates.len() > self.capacity.midpoint(self.k) {
            self.rank(judge, query, |_, _| ());
        }
    }

    /// Leaves the `k` with the highest exact scores, in order.
    fn rank(&mut self, judge: &dyn Judge, query: usize, keep: impl Fn(&mut Candidate, f32)) {
        // Adding 0 makes one value of the two zeros, which would otherwise be no tie.
        let exact = |candidate: Candidate| (judge.exact(query, candidate.row) + 0.0, candidate);
        let mut ranked: Vec<(f32, Candidate)> = self.candidates.drain(..).map(exact).collect();
        ranked.sort_unstable_by(|(a, one), (b, other)| b.total_cmp(a).then(one.row.cmp(&other.row)));
        ranked.truncate(self.k);
        self.candidates.extend(ranked.into_iter().map(|(exact, mut candidate)| {
            keep(&mut candidate, exact);
            candidate
        }));
    }
}
