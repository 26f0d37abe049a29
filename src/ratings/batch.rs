//! The training ratings in random order, a batch at a time.

use std::sync::Arc;

use super::Ratings;
use crate::rng::Rng;

/// The line that takes ratings to the scale on which a model trains: `(rating - origin) * factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkingScale {
    /// The rating that becomes 0.
    pub origin: f64,
    /// What a unit of rating becomes.
    pub factor: f64,
}

impl WorkingScale {
    /// A rating on the working scale.
    pub fn apply(&self, rating: f32) -> f32 {
        ((f64::from(rating) - self.origin) * self.factor) as f32
    }
}

/// Deals out training ratings: every epoch all of them once, in a new order.
///
/// The order takes 4 bytes a rating; the buffers of one batch are used again and again.
#[derive(Debug)]
pub struct Batches {
    train: Arc<Ratings>,
    scale: WorkingScale,
    rng: Rng,
    order: Vec<u32>,
    batch_size: usize,
    dealt: usize,
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    weights: Vec<f32>,
}

/// Some ratings, `B` of each.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The places of the batch's ratings among the training ratings, to look things up by.
    pub rows: &'a [u32],
    /// Rows of the users' tables.
    pub users: &'a [i32],
    /// Rows of the items' tables.
    pub items: &'a [i32],
    /// The ratings on the working scale.
    pub ratings: &'a [f32],
    /// Their weights, 1 on average over an epoch; empty where the ratings have none.
    pub weights: &'a [f32],
}

impl Batches {
    /// Batches of `batch_size` ratings (at least 1), of which an epoch's last one may be shorter.
    pub fn new(train: Arc<Ratings>, batch_size: usize, scale: WorkingScale, rng: Rng) -> Self {
        let batch_size = batch_size.clamp(1, train.len().max(1));
        let n_ratings = train.len();
        let n_weights = train.weights.as_ref().map_or(0, |_| batch_size);
        Self {
            train,
            scale,
            rng,
            order: (0..n_ratings as u32).collect(),
            batch_size,
            dealt: n_ratings,
            users: Vec::with_capacity(batch_size),
            items: Vec::with_capacity(batch_size),
            ratings: Vec::with_capacity(batch_size),
            weights: Vec::with_capacity(n_weights),
        }
    }

    /// Ratings in all batches but an epoch's last.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// How many batches make an epoch.
    pub fn per_epoch(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Shuffles all ratings; what is left of the epoch before is forgotten.
    pub fn start_epoch(&mut self) {
        self.rng.shuffle(&mut self.order);
        self.dealt = 0;
    }

    /// The next batch of the epoch, or `None` at its end and before the first one is started.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        let end = self.order.len().min(self.dealt + self.batch_size);
        let rows = self.order.get(self.dealt..end).filter(|rows| !rows.is_empty())?;
        self.dealt = end;
        self.users.clear();
        self.items.clear();
        self.ratings.clear();
        self.weights.clear();
        // Indices are below 2^31 - 1, as the vocabularies give out no others.
        self.users.extend(rows.iter().map(|&row| self.train.users[row as usize] as i32));
        self.items.extend(rows.iter().map(|&row| self.train.items[row as usize] as i32));
        self.ratings.extend(rows.iter().map(|&row| self.scale.apply(self.train.values[row as usize])));
        if let Some(weights) = &self.train.weights {
            self.weights.extend(rows.iter().map(|&row| weights[row as usize]));
        }
        let Self { users, items, ratings, weights, .. } = self;
        Some(Batch { rows, users, items, ratings, weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS_IS: WorkingScale = WorkingScale { origin: 0.0, factor: 1.0 };

    fn ratings(n: u32) -> Arc<Ratings> {
        let mut ratings = Ratings::default();
        (0..n).for_each(|row| ratings.push(row / 3, row % 3, row as f32, 1.0));
        Arc::new(ratings)
    }

    fn epoch(batches: &mut Batches) -> (Vec<usize>, Vec<f32>) {
        batches.start_epoch();
        let (mut sizes, mut values) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.next_batch() {
            for (((&row, &user), &item), &rating) in
                batch.rows.iter().zip(batch.users).zip(batch.items).zip(batch.ratings)
            {
                assert_eq!((row, user, item), (rating as u32, rating as i32 / 3, rating as i32 % 3));
            }
            assert!(batch.weights.is_empty());
            sizes.push(batch.ratings.len());
            values.extend_from_slice(batch.ratings);
        }
        (sizes, values)
    }

    #[test]
    fn an_epoch_deals_every_rating_once_in_a_new_order() {
        let train = ratings(10);
        let mut batches = Batches::new(Arc::clone(&train), 4, AS_IS, Rng::new(1));
        assert!(batches.next_batch().is_none());
        let (sizes, first) = epoch(&mut batches);
        let (_, second) = epoch(&mut batches);
        assert_eq!((sizes, batches.per_epoch()), (vec![4, 4, 2], 3));
        assert_ne!(first, second);
        for mut values in [first, second] {
            values.sort_by(f32::total_cmp);
            assert_eq!(values, train.values());
        }
    }

    #[test]
    fn a_seed_gives_the_same_order_and_another_seed_another() {
        let train = ratings(50);
        let order = |seed| epoch(&mut Batches::new(Arc::clone(&train), 7, AS_IS, Rng::new(seed))).1;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn weights_go_with_their_ratings() {
        let mut train = Ratings { weights: Some(Vec::new()), ..Ratings::default() };
        (0..10).for_each(|row| train.push(row / 3, row % 3, row as f32, row as f32 / 4.5));
        let mut batches = Batches::new(Arc::new(train), 4, AS_IS, Rng::new(1));
        batches.start_epoch();
        while let Some(batch) = batches.next_batch() {
            let expected: Vec<f32> = batch.ratings.iter().map(|rating| rating / 4.5).collect();
            assert_eq!(batch.weights, expected);
        }
    }

    #[test]
    fn odd_batch_sizes_work() {
        let train = ratings(3);
        assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), usize::MAX, AS_IS, Rng::new(1))).0, [3]);
        assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), 0, AS_IS, Rng::new(1))).0, [1, 1, 1]);
        assert!(epoch(&mut Batches::new(Arc::default(), 4, AS_IS, Rng::new(1))).0.is_empty());
    }

    #[test]
    fn the_working_scale_is_exact_where_32_bits_would_not_be() {
        let scale = WorkingScale { origin: f64::from(f32::MIN), factor: 1.0 / (2.0 * f64::from(f32::MAX)) };
        assert_eq!((scale.apply(f32::MIN), scale.apply(0.0), scale.apply(f32::MAX)), (0.0, 0.5, 1.0));
    }
}
