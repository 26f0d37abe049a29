//! The training ratings in random order, a batch at a time.

use std::ops::Range;
use std::sync::Arc;

use super::Ratings;
use crate::kernels::prefetch_all;
use crate::rng::Rng;

/// Neighbours that are read at once where ratings are dealt: four cache lines of each array.
pub(super) const RUN: usize = 64;

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
mod tests;
