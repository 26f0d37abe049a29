//! A trained model as arrays: ratings, neighbours and recommendations.
//!
//! One formula everywhere: the score of a pair is `s = range(mu + b_u + b_i + interaction(p_u, q_i))`, where
//! `range(x) = lo + (hi - lo) sigmoid(x)`, or `x` where the model has no range, and the interaction is the dot product or
//! a stack of layers. The score is the rating, or goes into the [`Classes`] of a classifier, whose expected value is.
//! Ratings are the same on every machine but for the last bit of the exponential function.
//!
//! What depends on one side alone is asked of [`Embeddings`]; what takes a pair, of a [`Predictor`], which has the network
//! of a model with layers at hand.

mod baseline;
mod classes;
mod layers;
mod pca;
mod predict;
mod predictor;
mod recommend;
mod search;
mod similar;
mod top_k;

use std::slice;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::ids::{ItemIdx, UserIdx};

pub use baseline::Baseline;
pub use classes::{Classes, MOST_CLASSES};
pub use layers::{Layer, Layers};
pub use pca::{Components, MOST_COMPONENTS, principal_components};
pub use predictor::{Network, Prediction, Predictor};
pub use recommend::Excluded;
pub use top_k::{Scored, most_rated};

/// What embeddings are made of, as a training ends with it or as it was stored.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What belongs to each of the `U` users.
    pub users: Table,
    /// What belongs to each of the `I` items.
    pub items: Table,
    /// What a pair of rows is worth.
    pub interaction: Interaction,
    /// The constant, before the range.
    pub mu: f32,
    /// `lo` and `hi`, in rating units except in a classifier; `None` in a model without a range.
    pub range: Option<(f32, f32)>,
    /// The end of a classifier; its scores are on the working scale of the training.
    pub classes: Option<Classes>,
    /// What answers where the user or the item is unknown.
    pub baseline: Baseline,
}

/// The factors and biases of one side: `N` rows, of users or of items.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// `K`, at least 1.
    pub width: usize,
    /// Row by row: `[N, K]`.
    pub factors: Vec<f32>,
    /// `[N]`; `None` in a model without biases of this side.
    pub biases: Option<Vec<f32>>,
}

/// What the rows of a user and an item are worth together.
#[derive(Clone, Debug, PartialEq)]
pub enum Interaction {
    /// `p_u . q_i`; both tables have one width.
    Dot,
    /// Both rows, one behind the other, through a stack of layers.
    Layers(Layers),
}

/// A trained model that has been checked: everything that it computes is a finite number.
#[derive(Clone, Debug)]
pub struct Embeddings {
    parts: Parts,
    n_users: usize,
    n_items: usize,
    prepared: Prepared,
}

/// What searches read, each made when it is first asked for: copies of the tables in another order.
#[derive(Clone, Debug, Default)]
struct Prepared {
    users: OnceLock<similar::Directions>,
    items: OnceLock<similar::Directions>,
    offers: OnceLock<recommend::Offers>,
}

impl Embeddings {
    /// Checks the parts, as somebody may have edited the tables that they were stored in.
    ///
    /// # Errors
    /// Lengths that do not fit together; a number that is not finite, or so large that a rating would not be; a range
    /// whose ends are not in order; a baseline of own biases in a model that does not have all of them.
    pub fn new(parts: Parts) -> Result<Self> {
        let n_users = parts.users.rows("user factors")?;
        let n_items = parts.items.rows("item factors")?;
        if let Some((lo, hi)) = parts.range.filter(|(lo, hi)| !(lo < hi && (hi - lo).is_finite())) {
            return Err(Error::argument(
                "y_range",
                format!("[{lo}, {hi}]"),
                "two finite numbers in ascending order",
                "",
            ));
        }
        let mut columns = vec![("mu", slice::from_ref(&parts.mu), 1)];
        if let Some(users) = &parts.users.biases {
            columns.push(("user biases", users, n_users));
        }
        if let Some(items) = &parts.items.biases {
            columns.push(("item biases", items, n_items));
        }
        match &parts.baseline {
            Baseline::DampedMeans { mean, users, items } => {
                columns.push(("mean", slice::from_ref(mean), 1));
                columns.extend([("user means", users.as_slice(), n_users), ("item means", items.as_slice(), n_items)]);
            }
            Baseline::OwnBiases if parts.users.biases.is_none() || parts.items.biases.is_none() => {
                return Err(Error::new("embeddings: a model without biases has no baseline of its own biases"));
            }
            Baseline::OwnBiases => {}
        }
        let user_factor = largest_magnitude("user factors", &parts.users.factors)?;
        let item_factor = largest_magnitude("item factors", &parts.items.factors)?;
        let factor = user_factor.max(item_factor);
        // Of any two rows, as users are compared with users and items with items too.
        let mut bound = parts.users.width.max(parts.items.width) as f64 * factor.powi(2);
        match &parts.interaction {
            Interaction::Dot => check_length("item factors in a row", parts.items.width, parts.users.width)?,
            Interaction::Layers(layers) => {
                check_length("inputs of the first layer", layers.n_inputs(), parts.users.width + parts.items.width)?;
                bound = bound.max(layers.bound(factor));
            }
        }
        for (name, values, expected) in columns {
            check_length(name, values.len(), expected)?;
            bound += largest_magnitude(name, values)?;
        }
        if bound <= f64::from(f32::MAX) {
            return Ok(Self { parts, n_users, n_items, prepared: Prepared::default() });
        }
        Err(Error::new("embeddings: ratings would leave the range of 32-bit floats; train the model again"))
    }

    /// `U`.
    pub fn n_users(&self) -> usize {
        self.n_users
    }

    /// `I`.
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// `p_u`: `[K]`.
    pub fn user_factors(&self, user: UserIdx) -> &[f32] {
        row(&self.parts.users.factors, self.parts.users.width, user.index())
    }

    /// `q_i`: `[K]`.
    pub fn item_factors(&self, item: ItemIdx) -> &[f32] {
        row(&self.parts.items.factors, self.parts.items.width, item.index())
    }

    /// `b_u`, or `None` in a model without.
    pub fn user_bias(&self, user: UserIdx) -> Option<f32> {
        self.parts.users.biases.as_ref().map(|biases| biases[user.index()])
    }

    /// `b_i`, or `None` in a model without.
    pub fn item_bias(&self, item: ItemIdx) -> Option<f32> {
        self.parts.items.biases.as_ref().map(|biases| biases[item.index()])
    }

    /// All that the embeddings were made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Table {
    /// The factors of some rows, one behind the other.
    pub fn factors_of(&self, rows: &[u32]) -> Vec<f32> {
        rows.iter().flat_map(|index| row(&self.factors, self.width, *index as usize)).copied().collect()
    }

    /// `N`.
    fn rows(&self, name: &str) -> Result<usize> {
        match self.factors.len().checked_rem(self.width) {
            Some(0) => Ok(self.factors.len() / self.width),
            _ => {
                Err(Error::new(format!("{name}: {} numbers are no rows of {} factors", self.factors.len(), self.width)))
            }
        }
    }
}

/// Row `index` of a table with `width` columns.
fn row(table: &[f32], width: usize, index: usize) -> &[f32] {
    &table[index * width..][..width]
}

fn check_length(name: &str, length: usize, expected: usize) -> Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(Error::new(format!("{name}: {length} numbers: expected {expected}")))
}

/// The largest absolute value; 0 where there are none.
fn largest_magnitude(name: &str, values: &[f32]) -> Result<f64> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => {
            let (name, way_out) = (format!("{name}[{place}]"), "train the model again");
            Err(Error::argument(&name, values[place], "a finite number", way_out))
        }
        None => Ok(values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two users, three items, two factors.
    pub(super) fn parts() -> Parts {
        let table = |factors, biases| Table { width: 2, factors, biases: Some(biases) };
        Parts {
            users: table(vec![0.5, -1.0, 2.0, 0.25], vec![0.25, -0.5]),
            items: table(vec![1.0, 0.5, -0.75, 1.0, 0.0, 0.0], vec![0.125, -0.375, 1.0]),
            interaction: Interaction::Dot,
            mu: 0.5,
            range: Some((0.5, 5.5)),
            classes: None,
            baseline: Baseline::OwnBiases,
        }
    }

    fn refused(change: impl FnOnce(&mut Parts)) -> String {
        let mut parts = parts();
        change(&mut parts);
        Embeddings::new(parts).unwrap_err().to_string()
    }

    #[test]
    fn parts_can_be_read_back_by_index() {
        let model = Embeddings::new(parts()).unwrap();
        assert_eq!((model.n_users(), model.n_items()), (2, 3));
        assert_eq!(
            (model.user_factors(UserIdx(1)), model.item_factors(ItemIdx(1))),
            (&[2.0, 0.25][..], &[-0.75, 1.0][..])
        );
        assert_eq!((model.user_bias(UserIdx(1)), model.item_bias(ItemIdx(2))), (Some(-0.5), Some(1.0)));
        assert_eq!(model.parts().mu, 0.5);
    }

    #[test]
    fn edited_tables_are_refused_with_the_place() {
        let again = "expected a finite number; train the model again";
        assert_eq!(refused(|parts| parts.users.width = 0), "user factors: 4 numbers are no rows of 0 factors");
        assert_eq!(refused(|parts| parts.items.width = 4), "item factors: 6 numbers are no rows of 4 factors");
        assert_eq!(refused(|parts| parts.items.factors[3] = f32::NAN), format!("item factors[3] = NaN: {again}"));
        assert_eq!(refused(|parts| parts.users.factors[0] = f32::INFINITY), format!("user factors[0] = inf: {again}"));
        assert_eq!(refused(|parts| parts.mu = f32::NAN), format!("mu[0] = NaN: {again}"));
        assert_eq!(refused(|parts| parts.users.biases = Some(vec![0.0; 3])), "user biases: 3 numbers: expected 2");
        assert_eq!(
            refused(|parts| parts.items.biases = Some(vec![0.0, f32::NAN, 0.0])),
            format!("item biases[1] = NaN: {again}")
        );
        assert_eq!(
            refused(|parts| parts.items.biases = None),
            "embeddings: a model without biases has no baseline of its own biases"
        );
        let means = |mean, items| Baseline::DampedMeans { mean, users: vec![0.0; 2], items: vec![0.0; items] };
        assert_eq!(refused(|parts| parts.baseline = means(3.0, 2)), "item means: 2 numbers: expected 3");
        assert_eq!(refused(|parts| parts.baseline = means(f32::NAN, 3)), format!("mean[0] = NaN: {again}"));
    }

    #[test]
    fn ranges_are_two_numbers_in_order() {
        let infinite = (f32::MIN, f32::MAX);
        for range in [(5.0, 1.0), (1.0, 1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY), infinite] {
            let message = refused(|parts| parts.range = Some(range));
            assert!(message.ends_with("expected two finite numbers in ascending order"), "{message}");
        }
    }

    #[test]
    fn ratings_that_would_be_infinite_are_refused() {
        let expected = "embeddings: ratings would leave the range of 32-bit floats; train the model again";
        assert_eq!(refused(|parts| parts.users.factors[0] = 1e30), expected);
        assert_eq!(refused(|parts| parts.items.factors[0] = -1e30), expected);
        assert_eq!(refused(|parts| (parts.mu, parts.users.biases) = (3e38, Some(vec![3e38; 2]))), expected);
    }
}
