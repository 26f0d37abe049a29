//! The training ratings in random order, a batch at a time.

use std::ops::Range;
use std::sync::Arc;

use super::Ratings;
use crate::kernels::prefetch_all;
use crate::rng::Rng;

/// Neighbours that are read at once where ratings are dealt: four cache lines of each array.
const RUN: usize = 64;

/// How many runs ahead of their use runs are asked for.
const RUNS_AHEAD: usize = 2;

/// Ratings that are mixed at once where ratings are dealt, or a batch where that is more: about 1 MiB.
const WINDOW: usize = 1 << 16;

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
    #[inline]
    pub fn apply(&self, rating: f32) -> f32 {
        ((f64::from(rating) - self.origin) * self.factor) as f32
    }
}

/// Deals out training ratings: every epoch all of them once, in a new order.
///
/// Ratings that are in order are all shuffled: every order is equally likely. That takes 4 bytes a rating, and goes through
/// them at random, so it is done for those that fit a cache. Ratings that were dealt when they were read are taken in runs of
/// 64 neighbours: an epoch shuffles the runs, and then the ratings of a thousand runs at a time. It takes half a bit a rating, and
/// the loss goes down as with the other (`curve/tests.rs`).
#[derive(Debug)]
pub struct Batches {
    dealer: Dealer,
    /// The batch that was asked for last.
    columns: Columns,
    /// The one after it, where it was dealt ahead; else empty.
    ahead: Columns,
}

/// Some ratings, `B` of each.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Rows of the users' tables.
    pub users: &'a [i32],
    /// Rows of the items' tables.
    pub items: &'a [i32],
    /// The ratings in their own unit.
    pub values: &'a [f32],
    /// The ratings on the working scale.
    pub ratings: &'a [f32],
    /// Their weights, 1 on average over an epoch; empty where the ratings have none.
    pub weights: &'a [f32],
}

impl Batches {
    /// Batches of `batch_size` ratings (at least 1), of which an epoch's last one may be shorter.
    pub fn new(train: Arc<Ratings>, batch_size: usize, scale: WorkingScale, rng: Rng) -> Self {
        let batch_size = batch_size.clamp(1, train.len().max(1));
        let n_pieces = if train.is_dealt { train.len().div_ceil(RUN) } else { train.len() };
        let order = (0..n_pieces as u32).collect();
        let dealer =
            Dealer { train, scale, rng, batch_size, order, taken: n_pieces, window: Window::default(), dealt: 0 };
        Self { dealer, columns: Columns::default(), ahead: Columns::default() }
    }

    /// Ratings in all batches but an epoch's last.
    pub fn batch_size(&self) -> usize {
        self.dealer.batch_size
    }

    /// How many batches make an epoch.
    pub fn per_epoch(&self) -> usize {
        self.dealer.train.len().div_ceil(self.dealer.batch_size)
    }

    /// Shuffles all ratings; what is left of the epoch before is forgotten.
    pub fn start_epoch(&mut self) {
        self.ahead.clear();
        self.dealer.start_epoch();
    }

    /// The next batch of the epoch, or `None` at its end and before the first one is started.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        self.next_batch_and_ahead().map(|(batch, _)| batch)
    }

    /// The same, and what deals the batch after it ahead of time, for whoever has a thread to spare; batches are the same
    /// whether it is called or not.
    pub fn next_batch_and_ahead(&mut self) -> Option<(Batch<'_>, impl FnMut() + Send)> {
        let Self { dealer, columns, ahead } = self;
        if ahead.users.is_empty() {
            dealer.deal(columns);
        } else {
            std::mem::swap(columns, ahead);
            ahead.clear();
        }
        let Columns { users, items, values, ratings, weights } = &*columns;
        let batch = Batch { users, items, values, ratings, weights };
        (!users.is_empty()).then_some((batch, || dealer.deal(ahead)))
    }
}

/// A batch.
#[derive(Debug, Default)]
struct Columns {
    users: Vec<i32>,
    items: Vec<i32>,
    values: Vec<f32>,
    ratings: Vec<f32>,
    weights: Vec<f32>,
}

impl Columns {
    fn clear(&mut self) {
        let Self { users, items, values, ratings, weights } = self;
        users.clear();
        items.clear();
        values.clear();
        ratings.clear();
        weights.clear();
    }
}

/// What has the ratings, and where in their order it is.
#[derive(Debug)]
struct Dealer {
    train: Arc<Ratings>,
    scale: WorkingScale,
    rng: Rng,
    batch_size: usize,
    /// The order of the ratings, or of the runs.
    order: Vec<u32>,
    /// How much of the order was taken in this epoch.
    taken: usize,
    window: Window,
    /// Ratings of the window that were dealt.
    dealt: usize,
}

impl Dealer {
    fn start_epoch(&mut self) {
        self.rng.shuffle(&mut self.order);
        self.taken = 0;
        self.window.clear();
        self.dealt = 0;
    }

    /// Replaces a batch by the next one, or by none at the end of the epoch.
    fn deal(&mut self, batch: &mut Columns) {
        if self.window.rows.len() - self.dealt < self.batch_size && self.taken < self.order.len() {
            self.window.forget(self.dealt);
            self.dealt = 0;
            if self.train.is_dealt { self.mix_runs() } else { self.take_batch() }
        }
        let dealt = self.dealt..self.window.rows.len().min(self.dealt + self.batch_size);
        self.dealt = dealt.end;
        batch.clear();
        let rows = &self.window.rows[dealt.clone()];
        batch.users.extend(rows.iter().map(|row| row.user));
        batch.items.extend(rows.iter().map(|row| row.item));
        batch.values.extend(rows.iter().map(|row| row.value));
        batch.ratings.extend(batch.values.iter().map(|&value| self.scale.apply(value)));
        if !self.window.weights.is_empty() {
            batch.weights.extend_from_slice(&self.window.weights[dealt]);
        }
    }

    /// Fills the window with ratings in the order.
    fn take_batch(&mut self) {
        let end = self.order.len().min(self.taken + self.batch_size);
        let rows = &self.order[self.taken..end];
        self.taken = end;
        let (train, window) = (&self.train, &mut self.window);
        window.rows.extend(rows.iter().map(|&row| Row::of(train, row as usize)));
        if let Some(weights) = &train.weights {
            window.weights.extend(rows.iter().map(|&row| weights[row as usize]));
        }
    }

    /// Fills the window with runs, and mixes their ratings with what is left in it.
    fn mix_runs(&mut self) {
        let Self { train, window, rng, order, taken, .. } = self;
        let enough = WINDOW.max(self.batch_size);
        let run = |number: u32| number as usize * RUN..train.len().min((number as usize + 1) * RUN);
        while let Some(number) = order.get(*taken).filter(|_| window.rows.len() < enough) {
            if let Some(ahead) = order.get(*taken + RUNS_AHEAD) {
                prefetch_all(&train.users[run(*ahead)]);
                prefetch_all(&train.items[run(*ahead)]);
                prefetch_all(&train.values[run(*ahead)]);
            }
            *taken += 1;
            window.insert(train, run(*number), rng);
        }
    }
}

/// Ratings that will be dealt next, in order.
#[derive(Debug, Default)]
struct Window {
    /// All of a rating side by side: they are put in random places.
    rows: Vec<Row>,
    /// Empty where ratings have none.
    weights: Vec<f32>,
}

/// A rating of a window.
#[derive(Clone, Copy, Debug)]
struct Row {
    user: i32,
    item: i32,
    value: f32,
}

impl Row {
    fn of(train: &Ratings, row: usize) -> Self {
        // Indices are below 2^31 - 1, as the vocabularies give out no others.
        Self { user: train.users[row] as i32, item: train.items[row] as i32, value: train.values[row] }
    }
}

impl Window {
    /// Puts each of some ratings in a random place, and what is there at the end: after the last one, every order is equally likely
    /// (Fisher and Yates, inside out).
    fn insert(&mut self, train: &Ratings, rows: Range<usize>, rng: &mut Rng) {
        for row in rows {
            let place = rng.below(self.rows.len() as u32 + 1) as usize;
            put(&mut self.rows, place, Row::of(train, row));
            if let Some(weights) = &train.weights {
                put(&mut self.weights, place, weights[row]);
            }
        }
    }

    /// Forgets the first `n` ratings.
    fn forget(&mut self, n: usize) {
        self.rows.drain(..n);
        self.weights.drain(..n.min(self.weights.len()));
    }

    fn clear(&mut self) {
        self.forget(self.rows.len());
    }
}

/// Replaces the value of a place, which moves to the end; the end may be that place.
#[inline]
fn put<T>(values: &mut Vec<T>, place: usize, mut value: T) {
    if let Some(there) = values.get_mut(place) {
        std::mem::swap(there, &mut value);
    }
    values.push(value);
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

    /// As if they had been dealt.
    fn dealt(n: u32) -> Arc<Ratings> {
        Arc::new(Ratings { is_dealt: true, ..Ratings::clone(&ratings(n)) })
    }

    fn epoch(batches: &mut Batches) -> (Vec<usize>, Vec<f32>) {
        batches.start_epoch();
        let (mut sizes, mut values) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.next_batch() {
            let fields = batch.users.iter().zip(batch.items).zip(batch.values).zip(batch.ratings);
            for (((&user, &item), &value), &rating) in fields {
                assert_eq!((user, item, value), (rating as i32 / 3, rating as i32 % 3, rating));
            }
            assert!(batch.weights.is_empty());
            sizes.push(batch.ratings.len());
            values.extend_from_slice(batch.ratings);
        }
        (sizes, values)
    }

    #[test]
    fn an_epoch_deals_every_rating_once_in_a_new_order() {
        let many = 3 * WINDOW + 1_000;
        for (train, batch_size) in [
            (ratings(10), 4),
            (dealt(10), 4),
            (dealt(1_000), 1),
            (dealt(many as u32), 100),
            (dealt(many as u32), WINDOW - 1),
            (dealt(many as u32), 2 * WINDOW),
            (dealt(many as u32), many),
        ] {
            let mut batches = Batches::new(Arc::clone(&train), batch_size, AS_IS, Rng::new(1));
            assert!(batches.next_batch().is_none());
            let (sizes, first) = epoch(&mut batches);
            let (_, second) = epoch(&mut batches);
            assert_eq!(sizes.len(), batches.per_epoch());
            assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == batch_size));
            assert!(first != second && first != train.values());
            for mut values in [first, second] {
                values.sort_by(f32::total_cmp);
                assert_eq!(values, train.values());
            }
        }
    }

    #[test]
    fn runs_are_far_apart_after_an_epoch_was_shuffled() {
        let n = 8 * WINDOW;
        let (_, values) = epoch(&mut Batches::new(dealt(n as u32), 256, AS_IS, Rng::new(5)));
        let run = |value: &f32| *value as usize / RUN;
        let same = values.windows(2).filter(|pair| run(&pair[0]) == run(&pair[1])).count() as f64;
        // In a window each of the 63 others of a rating's run is its neighbour with probability 1 / 65,536.
        let expected = n as f64 * 63.0 / WINDOW as f64;
        assert!((same - expected).abs() < 5.0 * expected.sqrt(), "{same}, not {expected}");
        // Each of the eight windows has its share of every eighth of the ratings.
        for window in values.chunks(WINDOW) {
            for eighth in 0..8 {
                let share = window.iter().filter(|value| **value as usize / WINDOW == eighth).count() as f64;
                // 1,024 runs in eight cells: deviation sqrt(1,024 * 7 / 64) runs.
                assert!((share - WINDOW as f64 / 8.0).abs() < 5.0 * 10.6 * RUN as f64, "{share}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_order_and_another_seed_another() {
        for train in [ratings(50), dealt(500)] {
            let order = |seed| epoch(&mut Batches::new(Arc::clone(&train), 7, AS_IS, Rng::new(seed))).1;
            assert_eq!(order(1), order(1));
            assert_ne!(order(1), order(2));
        }
    }

    #[test]
    fn ratings_in_order_are_dealt_as_they_always_were() {
        // From an implementation of the generator and the shuffle in Python; models were trained in this order.
        let (_, values) = epoch(&mut Batches::new(ratings(8), 3, AS_IS, Rng::new(42)));
        assert_eq!(values, [7.0, 0.0, 1.0, 4.0, 3.0, 5.0, 2.0, 6.0]);
    }

    #[test]
    fn weights_go_with_their_ratings() {
        for is_dealt in [false, true] {
            let mut train = Ratings { weights: Some(Vec::new()), is_dealt, ..Ratings::default() };
            (0..100).for_each(|row| train.push(row / 3, row % 3, row as f32, row as f32 / 4.5));
            let mut batches = Batches::new(Arc::new(train), 4, AS_IS, Rng::new(1));
            batches.start_epoch();
            while let Some(batch) = batches.next_batch() {
                let expected: Vec<f32> = batch.ratings.iter().map(|rating| rating / 4.5).collect();
                assert_eq!(batch.weights, expected);
            }
        }
    }

    #[test]
    fn odd_batch_sizes_work() {
        for train in [ratings(3), dealt(3)] {
            assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), usize::MAX, AS_IS, Rng::new(1))).0, [3]);
            assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), 0, AS_IS, Rng::new(1))).0, [1, 1, 1]);
        }
        assert!(epoch(&mut Batches::new(Arc::default(), 4, AS_IS, Rng::new(1))).0.is_empty());
    }

    #[test]
    fn the_working_scale_is_exact_where_32_bits_would_not_be() {
        let scale = WorkingScale { origin: f64::from(f32::MIN), factor: 1.0 / (2.0 * f64::from(f32::MAX)) };
        assert_eq!((scale.apply(f32::MIN), scale.apply(0.0), scale.apply(f32::MAX)), (0.0, 0.5, 1.0));
    }
}
