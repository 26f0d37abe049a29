//! Ratings, and what to recommend by them.

use super::dot::dot;
use super::top_k::{Scored, TopK};
use super::{Baseline, Embeddings};
use crate::ids::{ItemIdx, UserIdx};

impl Embeddings {
    /// The rating that the model expects.
    pub fn predict(&self, user: UserIdx, item: ItemIdx) -> f32 {
        self.ranged(self.before_range(user, item))
    }

    /// The rating of each pair of a [`UserIdx`] and an [`ItemIdx`], into `out`: three slices of one length.
    pub fn predict_many(&self, users: &[u32], items: &[u32], out: &mut [f32]) {
        for ((&user, &item), rating) in users.iter().zip(items).zip(out) {
            *rating = self.predict(UserIdx(user), ItemIdx(item));
        }
    }

    /// A rating from what is known of each side on its own.
    pub fn baseline(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        self.ranged_baseline(self.baseline_before_range(user, item))
    }

    /// The prediction where both sides are known, else the baseline.
    pub fn predict_or_baseline(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        match (user, item) {
            (Some(user), Some(item)) => self.predict(user, item),
            _ => self.baseline(user, item),
        }
    }

    /// The `k` items that a user is expected to rate highest, best first, without those in `exclude` (ascending). The
    /// scores are predicted ratings. Items rank by the sum before the range, as ratings near its end may look equal;
    /// where the sums are equal the lower index comes first.
    ///
    /// Time `I K`.
    pub fn recommend(&self, user: UserIdx, k: usize, exclude: &[u32]) -> Vec<Scored> {
        let mut top = TopK::new(k, self.n_items());
        let mut excluded = exclude.iter().peekable();
        for item in 0..self.n_items() as u32 {
            while excluded.next_if(|&&excluded| excluded < item).is_some() {}
            if excluded.peek() != Some(&&item) {
                top.offer(item, self.before_range(user, ItemIdx(item)));
            }
        }
        scores(top, |sum| self.ranged(sum))
    }

    /// The `k` items with the highest [baseline](Self::baseline), best first: what to recommend to an unknown user.
    pub fn best_liked(&self, k: usize) -> Vec<Scored> {
        let mut top = TopK::new(k, self.n_items());
        for item in 0..self.n_items() as u32 {
            top.offer(item, self.baseline_before_range(None, Some(ItemIdx(item))));
        }
        scores(top, |sum| self.ranged_baseline(sum))
    }

    /// `mu + b_u + b_i + p_u . q_i`.
    fn before_range(&self, user: UserIdx, item: ItemIdx) -> f32 {
        let product = dot(self.user_factors(user), self.item_factors(item));
        self.own_biases(Some(user), Some(item)) + product
    }

    /// `mu + b_u + b_i`, biases of unknown sides 0.
    fn own_biases(&self, user: Option<UserIdx>, item: Option<ItemIdx>) -> f32 {
        let user_bias = user.and_then(|user| self.user_bias(user)).unwrap_or(0.0);
        let item_bias = item.and_then(|item| self.item_bias(item)).unwrap_or(0.0);
        self.parts.mu + user_bias + item_bias
    }

    /// `lo + (hi - lo) sigmoid(x)`, or `x` where there is no range.
    fn ranged(&self, x: f32) -> f32 {
        match self.parts.range {
            Some((lo, hi)) => lo + (hi - lo) / (1.0 + (-x).exp()),
            None => x,
        }
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
        match (&self.parts.baseline, self.parts.range) {
            (Baseline::DampedMeans { .. }, Some((lo, hi))) => x.clamp(lo, hi),
            _ => self.ranged(x),
        }
    }
}

fn scores(top: TopK, rating: impl Fn(f32) -> f32) -> Vec<Scored> {
    let mut best = top.into_sorted();
    best.iter_mut().for_each(|scored| scored.score = rating(scored.score));
    best
}

#[cfg(test)]
mod tests {
    use super::super::Parts;
    use super::super::tests::parts;
    use super::*;

    const USERS: [UserIdx; 2] = [UserIdx(0), UserIdx(1)];

    fn model(change: impl FnOnce(&mut Parts)) -> Embeddings {
        let mut parts = parts();
        change(&mut parts);
        Embeddings::new(parts).unwrap()
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
    fn predictions_follow_the_formula() {
        let with_range = model(|_| ());
        // 0.5 + 0.25 + 0.125 + (0.5 - 0.5) and 0.5 - 0.5 - 0.375 + (-1.5 + 0.25), by hand.
        assert_near(with_range.predict(UserIdx(0), ItemIdx(0)), 0.5 + 5.0 * sigmoid(0.875));
        assert_near(with_range.predict(UserIdx(1), ItemIdx(1)), 0.5 + 5.0 * sigmoid(-1.625));
        let without = model(|parts| parts.range = None);
        assert_eq!(without.predict(UserIdx(1), ItemIdx(1)), -1.625);
        let means = Baseline::DampedMeans { mean: 3.0, users: vec![0.0; 2], items: vec![0.0; 3] };
        let bare = model(|parts| (parts.range, parts.biases, parts.baseline) = (None, None, means));
        assert_eq!(bare.predict(UserIdx(1), ItemIdx(1)), -0.75);
    }

    #[test]
    fn many_predictions_are_as_single_ones() {
        let model = model(|_| ());
        let mut ratings = [0.0; 4];
        model.predict_many(&[0, 1, 1, 0], &[2, 0, 1, 1], &mut ratings);
        let single = [(0, 2), (1, 0), (1, 1), (0, 1)].map(|(user, item)| model.predict(UserIdx(user), ItemIdx(item)));
        assert_eq!(ratings, single);
    }

    #[test]
    fn the_baseline_has_the_biases_of_the_known_sides() {
        let own = model(|_| ());
        assert_near(own.baseline(None, None), 0.5 + 5.0 * sigmoid(0.5));
        assert_near(own.baseline(Some(UserIdx(1)), None), 0.5 + 5.0 * sigmoid(0.0));
        assert_near(own.baseline(None, Some(ItemIdx(2))), 0.5 + 5.0 * sigmoid(1.5));
        assert_near(own.baseline(Some(UserIdx(0)), Some(ItemIdx(1))), 0.5 + 5.0 * sigmoid(0.375));
        assert_eq!(own.predict_or_baseline(None, Some(ItemIdx(2))), own.baseline(None, Some(ItemIdx(2))));
        let known = own.predict_or_baseline(Some(UserIdx(1)), Some(ItemIdx(1)));
        assert_eq!(known, own.predict(UserIdx(1), ItemIdx(1)));
    }

    #[test]
    fn damped_means_are_cut_to_the_range() {
        let means = Baseline::DampedMeans { mean: 4.0, users: vec![0.5, -9.0], items: vec![0.25, 0.75, 8.0] };
        let cut = model(|parts| (parts.biases, parts.baseline) = (None, means.clone()));
        assert_eq!(cut.baseline(Some(UserIdx(0)), Some(ItemIdx(0))), 4.75);
        assert_eq!(cut.baseline(None, None), 4.0);
        assert_eq!((cut.baseline(Some(UserIdx(1)), None), cut.baseline(None, Some(ItemIdx(2)))), (0.5, 5.5));
        let free = model(|parts| (parts.biases, parts.baseline, parts.range) = (None, means, None));
        assert_eq!(free.baseline(Some(UserIdx(1)), None), -5.0);
        assert_eq!(indices(&free.best_liked(2)), [2, 1]);
    }

    #[test]
    fn recommendations_are_the_highest_predictions() {
        let model = model(|_| ());
        for user in USERS {
            let mut ratings: Vec<_> = (0..3).map(|item| (item, model.predict(user, ItemIdx(item)))).collect();
            ratings.sort_by(|a, b| b.1.total_cmp(&a.1));
            let best: Vec<_> = model.recommend(user, 9, &[]).iter().map(|best| (best.index, best.score)).collect();
            assert_eq!(best, ratings);
            assert_eq!(model.recommend(user, 1, &[])[0].index, ratings[0].0);
        }
    }

    #[test]
    fn excluded_items_are_left_out() {
        let model = model(|_| ());
        assert_eq!(indices(&model.recommend(UserIdx(1), 9, &[0, 2])), [1]);
        assert_eq!(indices(&model.recommend(UserIdx(1), 9, &[1, 7])), [0, 2]);
        assert!(model.recommend(UserIdx(1), 9, &[0, 1, 2]).is_empty());
        assert!(model.recommend(UserIdx(1), 0, &[]).is_empty());
    }

    #[test]
    fn items_rank_by_the_sum_where_ratings_saturate() {
        let model = model(|parts| parts.biases = Some((vec![60.0, 0.0], vec![1.0, 3.0, 2.0])));
        let best = model.recommend(UserIdx(0), 3, &[]);
        assert!(best.iter().all(|best| best.score == 5.5), "{best:?}");
        assert_eq!(indices(&best), [2, 1, 0]);
    }

    #[test]
    fn the_best_liked_items_have_the_highest_baseline() {
        let model = model(|_| ());
        let best = model.best_liked(2);
        assert_eq!(indices(&best), [2, 0]);
        assert_eq!(best[0].score, model.baseline(None, Some(ItemIdx(2))));
    }
}
