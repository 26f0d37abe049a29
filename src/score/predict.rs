//! What embeddings say without looking at both sides of a pair: the baseline, and how a sum becomes a rating.

use super::top_k::{Scored, TopK};
use super::{Baseline, Embeddings};
use crate::ids::{ItemIdx, UserIdx};
use crate::kernels::{dot, in_range};

impl Embeddings {
    /// A rating from what is known of each side on its own.
    pub fn baseline(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        self.ranged_baseline(self.baseline_before_range(user, item))
    }

    /// The `k` items with the highest [baseline](Self::baseline), best first: what to recommend to an unknown user.
    pub fn best_liked(&self, k: usize) -> Vec<Scored> {
        let mut top = TopK::new(k, self.n_items());
        for item in 0..self.n_items() as u32 {
            top.offer(item, self.baseline_before_range(None, Some(ItemIdx(item))));
        }
        let mut best = top.into_sorted();
        best.iter_mut().for_each(|scored| scored.score = self.ranged_baseline(scored.score));
        best
    }

    /// `mu + b_u + b_i + p_u . q_i`, of a model without layers.
    pub(super) fn sum_of_products(&self, user: UserIdx, item: ItemIdx) -> f32 {
        let product = dot(self.user_factors(user), self.item_factors(item));
        self.own_biases(Some(user), Some(item)) + product
    }

    /// `mu + b_u + b_i`, biases of unknown sides 0.
    pub(super) fn own_biases(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        let user_bias = user.and_then(|user| self.user_bias(user)).unwrap_or(0.0);
        let item_bias = item.and_then(|item| self.item_bias(item)).unwrap_or(0.0);
        self.parts.mu + user_bias + item_bias
    }

    /// `lo + (hi - lo) sigmoid(x)`, or `x` where there is no range.
    pub(super) fn ranged(&self, x: f32) -> f32 {
        match self.parts.range {
            Some((lo, hi)) => in_range(x, lo, hi),
            None => x,
        }
    }

    /// What is expected of a pair whose sum before the range is `x`: the end of every model.
    pub(super) fn rating(&self, x: f32) -> f32 {
        let score = self.ranged(x);
        self.parts.classes.as_ref().map_or(score, |classes| classes.expected(score))
    }

    fn baseline_before_range(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        match &self.parts.baseline {
            Baseline::OwnBiases => self.own_biases(user, item),
            Baseline::DampedMeans { mean, users, items } => {
                mean + user.map_or(0.0, |user| users[user.index()]) + item.map_or(0.0, |item| items[item.index()])
            }
        }
    }

    fn ranged_baseline(&self, x: f32) -> f32 {
        match (&self.parts.baseline, &self.parts.classes, self.parts.range) {
            (Baseline::OwnBiases, ..) => self.ranged(x),
            (_, Some(classes), _) => match classes.values() {
                [lowest, .., highest] => x.clamp(*lowest, *highest),
                _ => x,
            },
            (_, None, Some((lo, hi))) => x.clamp(lo, hi),
            (_, None, None) => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Parts;
    use super::super::tests::parts;
    use super::*;

    fn model(change: impl FnOnce(&mut Parts)) -> Embeddings {
        let mut parts = parts();
        change(&mut parts);
        Embeddings::new(parts).unwrap()
    }

    fn without_biases(parts: &mut Parts, baseline: Baseline) {
        (parts.users.biases, parts.items.biases, parts.baseline) = (None, None, baseline);
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn assert_near(actual: f32, expected: f64) {
        assert!((f64::from(actual) - expected).abs() < 1e-6, "{actual} is not {expected}");
    }

    fn indices(scored: &[Scored]) -> Vec<u32> {
        scored.iter().map(|scored| scored.index).collect()
    }

    #[test]
    fn the_baseline_has_the_biases_of_the_known_sides() {
        let own = model(|_| ());
        assert_near(own.baseline(None, None), 0.5 + 5.0 * sigmoid(0.5));
        assert_near(own.baseline(Some(UserIdx(1)), None), 0.5 + 5.0 * sigmoid(0.0));
        assert_near(own.baseline(None, Some(ItemIdx(2))), 0.5 + 5.0 * sigmoid(1.5));
        assert_near(own.baseline(Some(UserIdx(0)), Some(ItemIdx(1))), 0.5 + 5.0 * sigmoid(0.375));
    }

    #[test]
    fn damped_means_are_cut_to_the_range() {
        let means = Baseline::DampedMeans { mean: 4.0, users: vec![0.5, -9.0], items: vec![0.25, 0.75, 8.0] };
        let cut = model(|parts| without_biases(parts, means.clone()));
        assert_eq!(cut.baseline(Some(UserIdx(0)), Some(ItemIdx(0))), 4.75);
        assert_eq!(cut.baseline(None, None), 4.0);
        assert_eq!((cut.baseline(Some(UserIdx(1)), None), cut.baseline(None, Some(ItemIdx(2)))), (0.5, 5.5));
        let free = model(|parts| {
            without_biases(parts, means);
            parts.range = None;
        });
        assert_eq!(free.baseline(Some(UserIdx(1)), None), -5.0);
        assert_eq!(indices(&free.best_liked(2)), [2, 1]);
    }

    #[test]
    fn the_best_liked_items_have_the_highest_baseline() {
        let model = model(|_| ());
        let best = model.best_liked(2);
        assert_eq!(indices(&best), [2, 0]);
        assert_eq!(best[0].score, model.baseline(None, Some(ItemIdx(2))));
    }
}
