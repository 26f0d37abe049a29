//! What answers where a model does not know the user or the item.

use crate::ratings::Ratings;

/// As many ratings at the mean are added to those of each user and item (Y. Koren: "Factor in the neighbors: scalable
/// and accurate collaborative filtering", ACM TKDD 4, 2010, section 2.1, with one constant for both sides).
const DAMPING: f64 = 5.0;

/// The rule for a rating without factors.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// `range(mu + b_u + b_i)` with the biases of the model itself, those of unknown sides being 0.
    OwnBiases,
    /// `mean + b_u + b_i`, cut to the model's range where it has one; deviations of unknown sides are 0.
    DampedMeans {
        /// The mean of the training ratings.
        mean: f32,
        /// `b_u = sum(r - mean - b_i) / (5 + n_u)`: `[U]`.
        users: Vec<f32>,
        /// `b_i = sum(r - mean) / (5 + n_i)`: `[I]`.
        items: Vec<f32>,
    },
}

impl Baseline {
    /// The damped means of `U` users and `I` items.
    pub fn damped_means(train: &Ratings, n_users: usize, n_items: usize) -> Self {
        let mean = train.mean();
        let items = damped(n_items, train.iter().map(|(_, item, value)| (item.index(), f64::from(value) - mean)));
        let users = damped(
            n_users,
            train.iter().map(|(user, item, value)| (user.index(), f64::from(value) - mean - items[item.index()])),
        );
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Baseline::DampedMeans { mean: mean as f32, users: single(users), items: single(items) }
    }
}

fn damped(len: usize, deviations: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums = vec![(0.0, DAMPING); len];
    for (index, deviation) in deviations {
        sums[index].0 += deviation;
        sums[index].1 += 1.0;
    }
    sums.into_iter().map(|(sum, weight)| sum / weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Id, IdKind};
    use crate::ratings::{DatasetBuilder, Split};

    #[test]
    fn damped_means_are_korens() {
        let mut builder =
            DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Pairs { fraction: 0.0, seed: 1 });
        for (user, item, rating) in [(0, 0, 5.0), (0, 1, 3.0), (1, 0, 4.0), (1, 1, 1.0), (1, 1, 2.0)] {
            builder.push_row(Some(Id::Integer(user)), Some(Id::Integer(item)), Some(rating)).unwrap();
        }
        let dataset = builder.finish().unwrap();
        // By hand: mean 3; items (2 + 1) / 7 and (0 - 2 - 1) / 8;
        // users (2 - 3/7 + 0 + 3/8) / 7 and (1 - 3/7 - 2 + 3/8 - 1 + 3/8) / 8.
        let expected = Baseline::DampedMeans {
            mean: 3.0,
            users: vec![(109.0f64 / 56.0 / 7.0) as f32, (-94.0f64 / 56.0 / 8.0) as f32],
            items: vec![(3.0f64 / 7.0) as f32, -0.375],
        };
        assert_eq!(Baseline::damped_means(&dataset.train, 2, 2), expected);
    }
}
