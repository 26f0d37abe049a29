//! The observed ratings: read once, split, and kept in one order whatever order they came in.
//!
//! [`DatasetBuilder`] takes rows (by column, on several threads, or one by one) and gives a [`Dataset`]: two vocabularies, the
//! training ratings, the rows held out for validation, and what each user has rated. [`Batches`] deals the training
//! ratings out in random order, [`Rounds`] in blocks of neighbours.
//!
//! Memory: 12 bytes a training rating, 20 a validation rating, and 4 a distinct pair of user and item are kept. While
//! the rows come in it is 12 bytes each; while they are put in order, 12 more of a training rating. Where ratings have
//! weights, a training rating takes 4 bytes more in each of these. The dictionaries of ids are there once a part until
//! the vocabularies are made.

mod arrow;
mod assemble;
mod batch;
mod blocks;
mod builder;
mod columns;
#[cfg(test)]
#[path = "curve/tests.rs"]
mod curve;
mod deal;
mod enough;
mod intake;
mod order;
mod part;
mod pieces;
mod row;
mod scale;
mod seen;
mod shelf;
mod split;

use std::sync::Arc;

use crate::ids::{ItemIdx, UserIdx, Vocabulary};
use deal::Place;

pub use arrow::for_each_rating;
pub use batch::{Batch, Batches, WorkingScale};
pub use blocks::{Round, Rounds};
pub use builder::{DatasetBuilder, Held};
pub use columns::{Columns, Ids};
pub use intake::Intake;
pub use order::{EpochOrder, Places};
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

/// Ratings of known users for known items, ordered by user, item, rating and weight; more than 2^20 of them are in a random order, which
/// depends on which ratings they are alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratings {
    users: Vec<u32>,
    items: Vec<u32>,
    values: Vec<f32>,
    weights: Option<Vec<f32>>,
    /// Whether neighbours are so by chance.
    is_dealt: bool,
}

impl Ratings {
    /// Ratings to be overwritten.
    fn zeros(n_ratings: usize, weighted: bool) -> Self {
        Self {
            users: vec![0; n_ratings],
            items: vec![0; n_ratings],
            values: vec![0.0; n_ratings],
            weights: weighted.then(|| vec![0.0; n_ratings]),
            is_dealt: false,
        }
    }

    /// The arrays in pieces of some sizes, one behind the other.
    fn cut(&mut self, sizes: impl Iterator<Item = usize>) -> Vec<Place<'_>> {
        let (mut users, mut items) = (self.users.as_mut_slice(), self.items.as_mut_slice());
        let (mut values, mut weights) = (self.values.as_mut_slice(), self.weights.as_deref_mut());
        let piece = |size| Place {
            users: users.split_off_mut(..size).unwrap_or_default(),
            items: items.split_off_mut(..size).unwrap_or_default(),
            values: values.split_off_mut(..size).unwrap_or_default(),
            weights: weights.as_mut().and_then(|weights| weights.split_off_mut(..size)),
            filled: 0,
        };
        sizes.map(piece).collect()
    }

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
    #[cfg(test)]
    fn push(&mut self, user: u32, item: u32, value: f32, weight: f32) {
        self.users.push(user);
        self.items.push(item);
        self.values.push(value);
        if let Some(weights) = &mut self.weights {
            weights.push(weight);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_1_on_average() {
        let weights = [5.0, 1.0, 3.0, 0.0, 6.0];
        let mut ratings = Ratings { weights: Some(weights.to_vec()), ..Ratings::default() };
        ratings.normalise_weights();
        // Their mean is 3.
        assert_eq!(ratings.weights(), Some(weights.map(|weight: f32| weight / 3.0).as_slice()));
    }

    #[test]
    fn the_mean_is_that_of_the_values() {
        let mut ratings = Ratings::default();
        [1.0, 5.0, 4.0, -1.0, 2.0].into_iter().for_each(|value| ratings.push(1, 2, value, 2.0));
        assert_eq!((ratings.mean(), ratings.weights()), (2.2, None));
        assert_eq!(ratings.iter().nth(1), Some((UserIdx(1), ItemIdx(2), 5.0)));
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
