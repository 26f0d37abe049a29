//! The observed ratings: read once, split, and kept in one order whatever order they came in.
//!
//! [`DatasetBuilder`] takes rows (from Arrow batches, or one by one) and gives a [`Dataset`]: two vocabularies, the
//! training ratings, the rows held out for validation, and what each user has rated. [`Batches`] deals the training
//! ratings out in random order, [`Rounds`] in blocks of neighbours.
//!
//! Memory: 12 bytes a training rating, 20 a validation rating, and 4 a distinct pair of user and item are kept. While
//! the rows come in it is 12 bytes each, while they are put in order 8 more: twice what is kept is never reached, the
//! two vocabularies aside. Where ratings have weights, a training rating takes 4 bytes more in each of these.

mod arrow;
mod batch;
mod blocks;
mod builder;
mod enough;
mod row;
mod scale;
mod seen;
mod split;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::ids::{ItemIdx, UserIdx, Vocabulary};

pub use arrow::for_each_rating;
pub use batch::{Batch, Batches, WorkingScale};
pub use blocks::{Round, Rounds};
pub use builder::DatasetBuilder;
pub use scale::class_of;
pub use seen::{Seen, SeenBuilder};
pub use split::{Split, pair_fraction};

/// Everything that a training reads.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The users of the training ratings, `U` of them.
    pub users: Vocabulary,
    /// The items of the training ratings, `I` of them.
    pub items: Vocabulary,
    /// What the model learns from.
    pub train: Arc<Ratings>,
    /// What it is measured on, sorted; held out of the ratings, or from a table of their own. It may be empty.
    pub valid: Vec<HeldOutRating>,
    /// Which items each user has rated, in the training ratings and in those held out of the same table.
    pub seen: Seen,
    /// The number of training ratings of each user, `[U]`, none 0.
    pub user_counts: Vec<u32>,
    /// The number of training ratings of each item, `[I]`, none 0.
    pub item_counts: Vec<u32>,
    /// The distinct ratings, ascending, of the training ratings and those held out of the same table; `None` where
    /// they are more than 1,000, so that the ratings are a continuum.
    pub levels: Option<Vec<f32>>,
    /// The lowest rating of the same rows.
    pub lowest: f32,
    /// The highest rating of the same rows.
    pub highest: f32,
    /// How many rows were read, a separate validation table included.
    pub n_rows: u64,
    /// How many of them were left out because something that is read of them is NULL: user, item, rating, and weight or
    /// time where they count.
    pub n_skipped: u64,
}

/// Ratings of known users for known items, ordered by user, item, rating and weight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratings {
    users: Vec<u32>,
    items: Vec<u32>,
    values: Vec<f32>,
    weights: Option<Vec<f32>>,
}

impl Ratings {
    /// The number of ratings.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no ratings.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The [`UserIdx`] of each rating.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The [`ItemIdx`] of each rating.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// The ratings, in their own unit.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How much each rating counts in the loss, and there only: 1 on average, exactly 1 where all are equal. `None` where
    /// the ratings came without.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// All ratings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (UserIdx, ItemIdx, f32)> {
        let pairs = self.users.iter().zip(&self.items);
        pairs.zip(&self.values).map(|((&user, &item), &value)| (UserIdx(user), ItemIdx(item), value))
    }

    /// The mean rating; 0 where there are none.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.values.iter().copied().map(f64::from).sum();
        sum / self.len().max(1) as f64
    }

    /// The weight is forgotten where ratings have none.
    fn push(&mut self, user: u32, item: u32, value: f32, weight: f32) {
        self.users.push(user);
        self.items.push(item);
        self.values.push(value);
        if let Some(weights) = &mut self.weights {
            weights.push(weight);
        }
    }

    /// Puts ratings of users below `n_users` in their order.
    fn sort(&mut self, n_users: usize) {
        match self.weights.take() {
            // These take no memory.
            None => self.sort_with(n_users, &mut vec![(); self.len()], |(), ()| Ordering::Equal),
            Some(mut weights) => {
                self.sort_with(n_users, &mut weights, f32::total_cmp);
                weights.shrink_to_fit();
                self.weights = Some(weights);
            }
        }
    }

    /// A counting sort by user, then small sorts.
    fn sort_with<W: Copy + Default>(
        &mut self,
        n_users: usize,
        weights: &mut [W],
        compare: impl Fn(&W, &W) -> Ordering,
    ) {
        let mut next = start_of_each(n_users, self.users.iter().copied());
        let mut by_user = vec![(0, 0.0, W::default()); self.len()];
        for (((&user, &item), &value), &weight) in
            self.users.iter().zip(&self.items).zip(&self.values).zip(weights.iter())
        {
            let place = &mut next[user as usize];
            by_user[*place] = (item, value, weight);
            *place += 1;
        }
        // Where the next rating of a user would go is now where the user's ratings end.
        let mut start = 0;
        for (user, &end) in next.iter().take(n_users).enumerate() {
            let of_user = &mut by_user[start..end];
            of_user.sort_unstable_by(|a: &(u32, f32, W), b| {
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then_with(|| compare(&a.2, &b.2))
            });
            self.users[start..end].fill(user as u32);
            for (place, &(item, value, weight)) in (start..end).zip(&*of_user) {
                self.items[place] = item;
                self.values[place] = value;
                weights[place] = weight;
            }
            start = end;
        }
        self.users.shrink_to_fit();
        self.items.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// Divides the weights, not all of them 0, by their mean.
    fn normalise_weights(&mut self) {
        let Some(weights) = &mut self.weights else { return };
        let first = weights.first().copied().unwrap_or(1.0);
        if weights.iter().all(|weight| *weight == first) {
            // The rounding of a mean would leave a trace.
            weights.fill(1.0);
            return;
        }
        let mean = weights.iter().copied().map(f64::from).sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / mean) as f32);
    }
}

/// A rating that the model does not learn from. A user or item without training ratings is unknown to the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutRating {
    /// Who rated, where the model knows the user.
    pub user: Option<UserIdx>,
    /// What was rated, where the model knows the item.
    pub item: Option<ItemIdx>,
    /// The rating, in its own unit.
    pub value: f32,
}

/// A rating to measure a stored model on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredRating {
    /// Who rated, where the model knows the user.
    pub user: Option<UserIdx>,
    /// What was rated.
    pub item: MeasuredItem,
    /// The rating, in its own unit.
    pub value: f32,
}

/// An item that somebody has rated, whether a model knows it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeasuredItem {
    /// One of the model's.
    Known(ItemIdx),
    /// Another one, numbered by arrival.
    Unknown(u32),
}

impl MeasuredItem {
    /// The item, where the model knows it.
    pub fn known(self) -> Option<ItemIdx> {
        match self {
            Self::Known(item) => Some(item),
            Self::Unknown(_) => None,
        }
    }
}

/// Where each user's rows start when rows are ordered by user, and behind the last user where all end: `[U + 1]`.
fn start_of_each(n_users: usize, users: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut starts = vec![0; n_users + 1];
    users.for_each(|user| starts[user as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_are_ordered_by_user_item_and_value() {
        let mut ratings = Ratings::default();
        for (user, item, value) in [(3, 0, 1.0), (1, 2, 5.0), (1, 0, 4.0), (3, 0, -1.0), (1, 2, 2.0)] {
            ratings.push(user, item, value, 2.0);
        }
        ratings.sort(5);
        assert_eq!(ratings.users(), [1, 1, 1, 3, 3]);
        assert_eq!(ratings.items(), [0, 2, 2, 0, 0]);
        assert_eq!(ratings.values(), [4.0, 2.0, 5.0, -1.0, 1.0]);
        assert_eq!(ratings.iter().nth(1), Some((UserIdx(1), ItemIdx(2), 2.0)));
        assert_eq!(ratings.mean(), 2.2);
        assert_eq!(ratings.weights(), None);
    }

    #[test]
    fn weights_follow_their_ratings_and_order_equal_ones() {
        let mut ratings = Ratings { weights: Some(Vec::new()), ..Ratings::default() };
        for (user, item, value, weight) in
            [(1, 0, 4.0, 6.0), (0, 2, 5.0, 3.0), (1, 0, 4.0, 0.0), (0, 2, 5.0, 1.0), (0, 1, 7.0, 5.0)]
        {
            ratings.push(user, item, value, weight);
        }
        ratings.sort(2);
        assert_eq!(ratings.values(), [7.0, 5.0, 5.0, 4.0, 4.0]);
        assert_eq!(ratings.weights(), Some([5.0, 1.0, 3.0, 0.0, 6.0].as_slice()));
        ratings.normalise_weights();
        // Their mean is 3.
        assert_eq!(ratings.weights(), Some([5.0, 1.0, 3.0, 0.0, 6.0].map(|weight: f32| weight / 3.0).as_slice()));
    }

    #[test]
    fn equal_weights_are_exactly_1() {
        for weight in [f32::MIN_POSITIVE, 0.1, 1.0, 3.0, f32::MAX] {
            let mut ratings = Ratings { weights: Some(vec![weight; 1_000]), ..Ratings::default() };
            ratings.normalise_weights();
            assert_eq!(ratings.weights, Some(vec![1.0; 1_000]), "{weight}");
        }
    }

    #[test]
    fn no_ratings_have_a_mean_too() {
        assert_eq!((Ratings::default().mean(), Ratings::default().is_empty()), (0.0, true));
    }
}
