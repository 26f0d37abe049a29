//! How good a ranked list of recommended items is, for one user and over all.
//!
//! Libraries give different numbers under the same names (Y.-M. Tamm, R. Damdinov, A. Vasilev: "Quality Metrics in
//! Recommender Systems: Do We Calculate Metrics Consistently?", RecSys 2021), so every formula stands here. A user has
//! a list of distinct items, best first, cut after `k`, and a set `R` of relevant items; a *hit* is a listed item that
//! is in `R`. A list shorter than `k` goes on with misses.

use std::collections::HashSet;
use std::hash::Hash;

/// The ranking metrics at `k` of a user, or their means over users; each in `[0, 1]`, higher is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// Precision: `hits / k`, also where the list is shorter (C. D. Manning, P. Raghavan, H. Schütze: "Introduction to
    /// Information Retrieval", 2008, section 8.4).
    pub precision: f64,
    /// Recall: `hits / |R|` (Manning et al., section 8.3).
    pub recall: f64,
    /// Normalised discounted cumulative gain: `sum(1 / log2(1 + rank))` over the ranks of the hits, by the same sum
    /// over the ranks 1 to `min(k, |R|)` (K. Järvelin, J. Kekäläinen: "Cumulated gain-based evaluation of IR
    /// techniques", ACM TOIS 20, 2002), with gains of 0 or 1.
    pub ndcg: f64,
    /// Average precision, its mean over users being MAP: the sum over hits of the precision at their rank, by
    /// `min(k, |R|)`, so that the best list of `k` has 1 (as in RecBole; Manning et al., section 8.4, rank everything
    /// and divide by `|R|`).
    pub map: f64,
    /// 1 where there is a hit, else 0; its mean is the share of users with a hit.
    pub hit_rate: f64,
}

impl Ranking {
    /// The metrics of one user's list, of which the first `k` items count; `None` where nothing is relevant (or `k` is 0).
    pub fn of<T: Eq + Hash>(ranked: &[T], relevant: &HashSet<T>, k: usize) -> Option<Self> {
        let best = k.min(relevant.len());
        if best == 0 {
            return None;
        }
        let (mut hits, mut gain, mut precisions) = (0.0, 0.0, 0.0);
        for (rank, item) in (1..).zip(ranked.iter().take(k)) {
            if relevant.contains(item) {
                hits += 1.0;
                gain += discount(rank);
                precisions += hits / rank as f64;
            }
        }
        Some(Self {
            precision: hits / k as f64,
            recall: hits / relevant.len() as f64,
            ndcg: gain / (1..=best).map(discount).sum::<f64>(),
            map: precisions / best as f64,
            hit_rate: if hits > 0.0 { 1.0 } else { 0.0 },
        })
    }

    fn zip(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            precision: with(self.precision, other.precision),
            recall: with(self.recall, other.recall),
            ndcg: with(self.ndcg, other.ndcg),
            map: with(self.map, other.map),
            hit_rate: with(self.hit_rate, other.hit_rate),
        }
    }
}

/// What an item at a rank, from 1, adds to the cumulative gain.
fn discount(rank: usize) -> f64 {
    1.0 / (1.0 + rank as f64).log2()
}

/// The ranking metrics of many users, added up one user at a time, in `f64` and in that order.
#[derive(Clone, Debug)]
pub struct RankingTotals<T> {
    k: usize,
    sum: Option<Ranking>,
    n_users: usize,
    recommended: HashSet<T>,
}

impl<T: Copy + Eq + Hash> RankingTotals<T> {
    /// No users yet; `k`, at least 1, is how many items of a list count.
    pub fn new(k: usize) -> Self {
        Self { k, sum: None, n_users: 0, recommended: HashSet::new() }
    }

    /// Adds a user. One without relevant items has no metrics and counts for the coverage alone.
    pub fn add(&mut self, ranked: &[T], relevant: &HashSet<T>) {
        self.recommended.extend(ranked.iter().take(self.k));
        if let Some(user) = Ranking::of(ranked, relevant, self.k) {
            self.sum = Some(self.sum.map_or(user, |sum| sum.zip(user, |sum, value| sum + value)));
            self.n_users += 1;
        }
    }

    /// The users with at least one relevant item.
    pub fn n_users(&self) -> usize {
        self.n_users
    }

    /// The means over the users with at least one relevant item; `None` where there is none.
    pub fn means(&self) -> Option<Ranking> {
        let n = self.n_users as f64;
        self.sum.map(|sum| sum.zip(sum, |sum, _| sum / n))
    }

    /// Catalogue coverage: the share of all `I` items that were recommended to anyone; `None` without items (M. Ge, C.
    /// Delgado-Battenfeld, D. Jannach: "Beyond accuracy: evaluating recommender systems by coverage and serendipity",
    /// RecSys 2010).
    pub fn coverage(&self, n_items: usize) -> Option<f64> {
        (n_items > 0).then(|| self.recommended.len() as f64 / n_items as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_those_of_the_formulas() {
        // Hits at ranks 1 and 3 of 4; three items are relevant.
        let found = Ranking::of(&[7, 1, 8, 2], &HashSet::from([7, 8, 9]), 4).unwrap();
        let third = 1.0 / 3f64.log2();
        let expected = Ranking {
            precision: 0.5,
            recall: 2.0 / 3.0,
            ndcg: (1.0 + 0.5) / (1.0 + third + 0.5),
            map: (1.0 + 2.0 / 3.0) / 3.0,
            hit_rate: 1.0,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_best_list_has_one_everywhere_it_can() {
        let relevant = HashSet::from([1, 2, 3]);
        let found = Ranking::of(&[3, 1, 9], &relevant, 2).unwrap();
        assert_eq!(found, Ranking { precision: 1.0, recall: 2.0 / 3.0, ndcg: 1.0, map: 1.0, hit_rate: 1.0 });
        let found = Ranking::of(&[3, 1, 2], &relevant, 6).unwrap();
        assert_eq!(found, Ranking { precision: 0.5, recall: 1.0, ndcg: 1.0, map: 1.0, hit_rate: 1.0 });
    }

    #[test]
    fn what_is_behind_k_does_not_count() {
        let found = Ranking::of(&[1, 2, 3], &HashSet::from([3]), 2).unwrap();
        assert_eq!(found, Ranking { precision: 0.0, recall: 0.0, ndcg: 0.0, map: 0.0, hit_rate: 0.0 });
        assert_eq!(Ranking::of(&[1], &HashSet::new(), 2), None);
        assert_eq!(Ranking::of(&[1], &HashSet::from([1]), 0), None);
    }

    #[test]
    fn users_without_relevant_items_count_for_the_coverage_alone() {
        let mut totals = RankingTotals::new(2);
        assert_eq!((totals.means(), totals.coverage(8), totals.coverage(0)), (None, Some(0.0), None));
        totals.add(&[1, 2, 3], &HashSet::new());
        assert_eq!((totals.means(), totals.coverage(8)), (None, Some(0.25)));
        totals.add(&[1, 4], &HashSet::from([4]));
        totals.add(&[], &HashSet::from([4]));
        let ndcg = 1.0 / 3f64.log2() / 2.0;
        let expected = Ranking { precision: 0.25, recall: 0.5, ndcg, map: 0.25, hit_rate: 0.5 };
        assert_eq!((totals.means(), totals.n_users()), (Some(expected), 2));
        assert_eq!(totals.coverage(8), Some(0.375));
    }
}
