//! Rows in; a dataset out.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::assemble::assemble;
use super::deal::FITS_CACHE;
use super::enough::{Totals, check_rows};
use super::part::{Part, weights_come_and_go};
use super::row::Row;
use super::{Dataset, Split};
use crate::error::Result;
use crate::ids::{Id, IdKind};
use crate::kernels::{Here, Pool};

/// Reads ratings in one pass, whatever their order, and then puts them in theirs. Neither the order of the rows nor the
/// number of threads changes what comes out.
#[derive(Debug)]
pub struct DatasetBuilder {
    pub(super) split: Split,
    pub(super) user_kind: IdKind,
    pub(super) item_kind: IdKind,
    /// At least one.
    pub(super) parts: Vec<Part>,
    /// Ratings up to which they stay in order.
    pub(super) fits_cache: usize,
}

/// How much has been read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Training ratings.
    pub n_train: usize,
    /// Ratings held out, and those of a validation table.
    pub n_valid: usize,
    /// Users with training ratings; there may be more.
    pub n_users: usize,
    /// Items with training ratings; there may be more.
    pub n_items: usize,
}

impl DatasetBuilder {
    /// A builder for ids of these kinds, of one part. Where validation rows come from a table of their own,
    /// the split is of fraction 0.
    pub fn new(user_kind: IdKind, item_kind: IdKind, split: Split) -> Self {
        let parts = vec![Part::new(user_kind, item_kind)];
        Self { split, user_kind, item_kind, parts, fits_cache: FITS_CACHE }
    }

    /// The builder with so many parts, at least 1, which as many threads can read into side by side.
    #[must_use]
    pub fn in_parts(mut self, n_parts: usize) -> Self {
        self.parts.resize_with(n_parts.max(1), || Part::new(self.user_kind, self.item_kind));
        self
    }

    /// Takes a row of ratings without weights; one with a NULL is counted and left out. Where rows say their side, this
    /// one does not, and is left out too.
    ///
    /// # Errors
    /// A rating that is not a finite number or not in the range of `f32`, an id of the other kind, too many ids or
    /// ratings.
    pub fn push_row(&mut self, user: Option<Id<'_>>, item: Option<Id<'_>>, rating: Option<f64>) -> Result<()> {
        self.take(Row { user, item, rating, weight: Some(1.0), held_out: None })
    }

    /// Takes a row of a separate validation table: nothing is learnt from it, and it is nothing that a user has seen.
    ///
    /// # Errors
    /// As for [`push_row`](Self::push_row).
    pub fn push_validation_row(
        &mut self,
        user: Option<Id<'_>>,
        item: Option<Id<'_>>,
        rating: Option<f64>,
    ) -> Result<()> {
        let row = Row { user, item, rating, weight: Some(1.0), held_out: Some(true) };
        let row = row.complete(Split::Given).map_err(|error| error.context("validation"))?;
        self.parts[0].take_validation(row)
    }

    /// Takes a row of the ratings.
    pub(super) fn take(&mut self, row: Row<'_>) -> Result<()> {
        let row = row.complete(self.split).map_err(|error| error.context("ratings"))?;
        self.parts[0].take(row)
    }

    /// Makes the vocabularies of the training ratings, and puts everything in order.
    ///
    /// # Errors
    /// Too little to learn from: no rows, one rating, one user, one item, one value, no weight above 0, or nothing on the
    /// training side. Rows that say their side, and none is held out.
    pub fn finish(self) -> Result<Dataset> {
        self.finish_on(&Here)
    }

    /// [`finish`](Self::finish) on the threads of a pool.
    ///
    /// # Errors
    /// As there.
    pub fn finish_on(self, pool: &dyn Pool) -> Result<Dataset> {
        let weighted = self.weighted()?;
        let sum = |of: fn(&Part) -> u64| self.parts.iter().map(of).sum::<u64>();
        let (n_rows, n_skipped) = (sum(|part| part.n_rows), sum(|part| part.n_skipped));
        check_rows(Totals {
            n_train: sum(|part| part.train.len() as u64) as usize,
            n_held_out: sum(|part| part.held_out.len() as u64) as usize,
            n_skipped,
            weighted,
            split: self.split,
        })?;
        match weighted {
            false => assemble::<u64>(pool, self.parts, self.fits_cache, n_rows, n_skipped),
            true => assemble::<(u64, u32)>(pool, self.parts, self.fits_cache, n_rows, n_skipped),
        }
    }

    /// Whether the rows have weights.
    fn weighted(&self) -> Result<bool> {
        let mut known = self.parts.iter().filter_map(|part| part.weighted);
        let first = known.next().unwrap_or(false);
        if known.any(|other| other != first) { Err(weights_come_and_go().context("ratings")) } else { Ok(first) }
    }
}

/// What is in all parts together.
#[derive(Default)]
pub(super) struct Progress {
    n_train: AtomicUsize,
    n_valid: AtomicUsize,
    n_users: AtomicUsize,
    n_items: AtomicUsize,
}

impl Progress {
    /// Notes what a part had and now has. Ratings add up; of ids, the part that knows most counts.
    pub(super) fn add(&self, before: Held, now: Held) {
        // Nothing else is read by what these numbers say.
        self.n_train.fetch_add(now.n_train - before.n_train, Ordering::Relaxed);
        self.n_valid.fetch_add(now.n_valid - before.n_valid, Ordering::Relaxed);
        self.n_users.fetch_max(now.n_users, Ordering::Relaxed);
        self.n_items.fetch_max(now.n_items, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Held {
        let [n_train, n_valid, n_users, n_items] =
            [&self.n_train, &self.n_valid, &self.n_users, &self.n_items].map(|number| number.load(Ordering::Relaxed));
        Held { n_train, n_valid, n_users, n_items }
    }
}

impl Held {
    pub(super) fn of(part: &Part) -> Self {
        Self {
            n_train: part.train.len(),
            n_valid: part.held_out.len() + part.validation.len(),
            n_users: part.users.n_trained,
            n_items: part.items.n_trained,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::{ItemIdx, UserIdx};
    use crate::ratings::HeldOutRating;
    use crate::rng::Rng;

    pub(in crate::ratings) const NOTHING: Split = Split::Pairs { fraction: 0.0, seed: 42 };

    pub(in crate::ratings) fn builder(split: Split, rows: &[(i64, i64, f64)]) -> DatasetBuilder {
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
        for &(user, item, rating) in rows {
            builder.push_row(Some(Id::Integer(user)), Some(Id::Integer(item)), Some(rating)).unwrap();
        }
        builder
    }

    #[test]
    fn rows_become_ratings_by_dense_index() {
        let mut builder = builder(NOTHING, &[(20, 7, 4.0), (-5, 9, 2.5), (20, 7, -0.0), (20, 3, 4.0)]);
        for (user, item, rating) in [(None, Some(7), Some(1.0)), (Some(20), None, Some(1.0)), (Some(21), Some(8), None)]
        {
            builder.push_row(user.map(Id::Integer), item.map(Id::Integer), rating).unwrap();
        }
        let dataset = builder.finish().unwrap();
        assert_eq!(dataset.users.iter().collect::<Vec<_>>(), [-5, 20].map(Id::Integer));
        assert_eq!(dataset.items.iter().collect::<Vec<_>>(), [3, 7, 9].map(Id::Integer));
        let rows: Vec<_> = dataset.train.iter().map(|(user, item, value)| (user.0, item.0, value)).collect();
        assert_eq!(rows, [(0, 2, 2.5), (1, 0, 4.0), (1, 1, 0.0), (1, 1, 4.0)]);
        assert_eq!((dataset.user_counts, dataset.item_counts), (vec![1, 3], vec![1, 2, 1]));
        assert_eq!(dataset.seen.pairs().collect::<Vec<_>>(), [(0, 2), (1, 0), (1, 1)]);
        assert_eq!(dataset.levels, Some(vec![0.0, 2.5, 4.0]));
        assert_eq!((dataset.lowest, dataset.highest), (0.0, 4.0));
        assert!(dataset.lowest.is_sign_positive() && dataset.valid.is_empty());
        assert_eq!((dataset.n_rows, dataset.n_skipped), (7, 3));
    }

    #[test]
    fn held_out_rows_teach_nothing_but_are_seen() {
        let split = Split::Pairs { fraction: 0.3, seed: 1 };
        let rows: Vec<_> =
            (0..40).flat_map(|user| (0..5).map(move |n| (user, (user * 7 + n) % 60, n as f64))).collect();
        let held_out = |row: &&(i64, i64, f64)| split.holds_out(Id::Integer(row.0), Id::Integer(row.1)) == Some(true);
        let dataset = builder(split, &rows).finish().unwrap();
        assert_eq!(dataset.valid.len(), rows.iter().filter(held_out).count());
        assert_eq!(dataset.train.len() + dataset.valid.len(), rows.len());
        assert_eq!(dataset.items.len(), dataset.item_counts.len());
        assert!(dataset.item_counts.iter().chain(&dataset.user_counts).all(|&n| n > 0));
        let unknown = dataset.valid.iter().filter(|row| row.user.is_none() || row.item.is_none()).count();
        assert!(unknown > 0);
        assert_eq!(dataset.seen.len(), rows.len() - unknown);
    }

    #[test]
    fn a_validation_table_is_neither_learnt_from_nor_seen() {
        let mut builder = builder(NOTHING, &[(1, 1, 1.0), (2, 2, 2.0)]);
        for (user, item, rating) in [(9, 1, 7.0), (1, 2, 3.0)] {
            builder.push_validation_row(Some(Id::Integer(user)), Some(Id::Integer(item)), Some(rating)).unwrap();
        }
        builder.push_validation_row(None, Some(Id::Integer(1)), Some(7.0)).unwrap();
        let dataset = builder.finish().unwrap();
        let unknown_user = HeldOutRating { user: None, item: Some(ItemIdx(0)), value: 7.0 };
        let known = HeldOutRating { user: Some(UserIdx(0)), item: Some(ItemIdx(1)), value: 3.0 };
        assert_eq!(dataset.valid, [unknown_user, known]);
        assert_eq!((dataset.users.len(), dataset.train.len(), dataset.seen.len()), (2, 2, 2));
        assert_eq!((dataset.levels, dataset.highest), (Some(vec![1.0, 2.0]), 2.0));
        assert_eq!((dataset.n_rows, dataset.n_skipped), (5, 1));
    }

    #[test]
    fn the_order_of_rows_changes_nothing() {
        let mut rng = Rng::new(4);
        let rows: Vec<_> =
            (0..500).map(|_| (rng.below(20).into(), rng.below(30).into(), f64::from(rng.below(5)))).collect();
        let split = Split::Pairs { fraction: 0.2, seed: 3 };
        let expected = builder(split, &rows).finish().unwrap();
        let mut order: Vec<u32> = (0..500).collect();
        rng.shuffle(&mut order);
        let shuffled: Vec<_> = order.iter().map(|&row| rows[row as usize]).collect();
        let dataset = builder(split, &shuffled).finish().unwrap();
        assert_eq!((dataset.train, dataset.valid, dataset.seen), (expected.train, expected.valid, expected.seen));
        assert!(dataset.users.iter().eq(expected.users.iter()) && dataset.items.iter().eq(expected.items.iter()));
    }

    #[test]
    fn a_wrong_number_is_said_with_its_table() {
        let mut builder = builder(NOTHING, &[]);
        let id = Some(Id::Integer(5));
        let error = builder.push_row(id, id, Some(f64::NAN)).unwrap_err().to_string();
        assert!(error.starts_with("ratings: user 5, item 5: rating = NaN"), "{error}");
        let error = builder.push_validation_row(id, id, Some(f64::NAN)).unwrap_err().to_string();
        assert!(error.starts_with("validation: user 5, item 5: rating = NaN"), "{error}");
    }

    /// Rows with a weight and a side.
    pub(in crate::ratings) fn weighted(split: Split, rows: &[(i64, i64, f64, f64, Option<bool>)]) -> DatasetBuilder {
        let mut builder = builder(split, &[]);
        builder.parts[0].expect_weights(true).unwrap();
        for &(user, item, rating, weight, held_out) in rows {
            let (user, item) = (Some(Id::Integer(user)), Some(Id::Integer(item)));
            builder.take(Row { user, item, rating: Some(rating), weight: Some(weight), held_out }).unwrap();
        }
        builder
    }

    #[test]
    fn weights_are_of_the_training_rows_and_change_nothing_else() {
        let rows = [
            (1, 1, 1.0, 2.0, Some(false)),
            (2, 2, 2.0, 0.0, Some(false)),
            (2, 1, 3.0, 100.0, Some(true)),
            (3, 2, 3.0, 4.0, Some(false)),
            (4, 4, 9.0, 4.0, None),
        ];
        let dataset = weighted(Split::Given, &rows).finish().unwrap();
        assert_eq!(dataset.train.weights(), Some([1.0, 0.0, 2.0].as_slice()));
        assert_eq!((dataset.user_counts, dataset.item_counts), (vec![1, 1, 1], vec![1, 2]));
        assert_eq!((dataset.train.mean(), dataset.levels), (2.0, Some(vec![1.0, 2.0, 3.0])));
        let held_out = HeldOutRating { user: Some(UserIdx(1)), item: Some(ItemIdx(0)), value: 3.0 };
        assert_eq!(dataset.valid, [held_out]);
        assert_eq!((dataset.n_rows, dataset.n_skipped, dataset.seen.len()), (5, 1, 4));
    }
}
