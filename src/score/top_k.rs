//! The best few of many, without sorting the many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A user or item with its score, by dense index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The row of the user or item.
    pub index: u32,
    /// A rating or a similarity.
    pub score: f32,
}

/// The indices of users or items, those with the most ratings first, the lower index first of equal ones.
pub fn most_rated(counts: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    order.sort_by_key(|index| Reverse(counts[*index as usize]));
    order
}

/// Keeps the `k` best scores that it is offered; the lower index wins a tie. A bounded heap: `n log k` at worst.
pub(super) struct TopK {
    k: usize,
    /// The worst of the best on top.
    heap: BinaryHeap<Worst>,
}

impl TopK {
    /// The best `k` of at most `n_candidates`.
    pub(super) fn new(k: usize, n_candidates: usize) -> Self {
        let k = k.min(n_candidates);
        Self { k, heap: BinaryHeap::with_capacity(k) }
    }

    pub(super) fn offer(&mut self, index: u32, score: f32) {
        // Adding 0 makes one value of the two zeros, which would otherwise be no tie.
        let candidate = Worst(Scored { index, score: score + 0.0 });
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| candidate < **worst) {
            *worst = candidate;
        }
    }

    /// The best first.
    pub(super) fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec().into_iter().map(|Worst(scored)| scored).collect()
    }
}

/// Greater is worse.
struct Worst(Scored);

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.index.cmp(&other.0.index))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn best(scores: &[f32], k: usize) -> Vec<(u32, f32)> {
        let mut top = TopK::new(k, scores.len());
        (0..).zip(scores).for_each(|(index, &score)| top.offer(index, score));
        top.into_sorted().into_iter().map(|scored| (scored.index, scored.score)).collect()
    }

    #[test]
    fn the_best_come_first_and_the_lower_index_wins_a_tie() {
        assert_eq!(best(&[1.0, 3.0, 2.0, 3.0, -1.0, 3.0], 3), [(1, 3.0), (3, 3.0), (5, 3.0)]);
        assert_eq!(best(&[1.0, 3.0, 2.0, 3.0], 3), [(1, 3.0), (3, 3.0), (2, 2.0)]);
        assert_eq!(best(&[-0.0, 0.0, -0.0], 2), [(0, 0.0), (1, 0.0)]);
    }

    #[test]
    fn any_k_is_fine() {
        assert_eq!(best(&[1.0, 2.0], 0), []);
        assert_eq!(best(&[1.0, 2.0], usize::MAX), [(1, 2.0), (0, 1.0)]);
        assert_eq!(best(&[], 3), []);
    }

    #[test]
    fn it_agrees_with_sorting_everything() {
        let mut rng = Rng::new(1);
        for k in [1, 2, 7, 100, 499, 500] {
            let scores: Vec<f32> = (0..500).map(|_| rng.below(50) as f32 / 8.0).collect();
            let mut sorted: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
            // A stable sort by score keeps ties in the order of their index.
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            assert_eq!(best(&scores, k), sorted[..k]);
        }
    }
}
