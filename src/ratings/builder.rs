//! Rows in, one at a time; a dataset out.

use std::sync::Arc;

use super::enough::{check_rows, check_training_side, check_weights};
use super::row::{CompleteRow, Row};
use super::scale::ObservedScale;
use super::{Dataset, HeldOutRating, Ratings, Seen, Split};
use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, ItemIdx, UserIdx, VocabularyBuilder};

/// Reads ratings in one pass, whatever their order, and then puts them in theirs.
#[derive(Debug)]
pub struct DatasetBuilder {
    pub(super) split: Split,
    users: VocabularyBuilder,
    items: VocabularyBuilder,
    /// All three with numbers by arrival in place of indices.
    pub(super) train: Ratings,
    pub(super) held_out: Ratings,
    validation: Ratings,
    scale: ObservedScale,
    n_rows: u64,
    pub(super) n_skipped: u64,
}

impl DatasetBuilder {
    /// A builder for ids of these kinds. Where validation rows come from a table of their own, the split is of
    /// fraction 0.
    pub fn new(user_kind: IdKind, item_kind: IdKind, split: Split) -> Self {
        Self {
            split,
            users: VocabularyBuilder::new(user_kind),
            items: VocabularyBuilder::new(item_kind),
            train: Ratings::default(),
            held_out: Ratings::default(),
            validation: Ratings::default(),
            scale: ObservedScale::new(),
            n_rows: 0,
            n_skipped: 0,
        }
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
        let row = self.complete(row, Split::Given).map_err(|error| error.context("validation"))?;
        if let Some(row) = row {
            self.validation.push(self.users.insert(row.user)?, self.items.insert(row.item)?, row.value, row.weight);
        }
        Ok(())
    }

    /// Whether the next rows have weights; all rows do, or none.
    pub(super) fn expect_weights(&mut self, have_weights: bool) -> Result<()> {
        if have_weights && self.train.is_empty() && self.held_out.is_empty() {
            self.train.weights.get_or_insert_default();
        }
        match have_weights == self.train.weights.is_some() {
            true => Ok(()),
            false => Err(Error::new("some batches have a column of weights and others have not")),
        }
    }

    /// Takes a row of the ratings.
    pub(super) fn take(&mut self, row: Row<'_>) -> Result<()> {
        let row = self.complete(row, self.split).map_err(|error| error.context("ratings"))?;
        let Some(row) = row else { return Ok(()) };
        let side = if row.is_held_out { &mut self.held_out } else { &mut self.train };
        // The order of batches is kept as `u32`.
        if side.len() >= u32::MAX as usize {
            return Err(Error::new(format!("ratings: more than {} rows; train on a sample of them", u32::MAX)));
        }
        side.push(self.users.insert(row.user)?, self.items.insert(row.item)?, row.value, row.weight);
        self.scale.note(row.value);
        Ok(())
    }

    /// Makes the vocabularies of the training ratings, and puts everything in order.
    ///
    /// # Errors
    /// Too little to learn from: no rows, one rating, one user, one item, one value, no weight above 0, or nothing on the
    /// training side. Rows that say their side, and none is held out.
    pub fn finish(self) -> Result<Dataset> {
        check_rows(&self)?;
        let Self { mut train, held_out, validation, .. } = self;
        let (users, user_index) = self.users.finish(numbers_in(&train.users))?;
        let (items, item_index) = self.items.finish(numbers_in(&train.items))?;
        let indexed = |user: UserIdx, item: ItemIdx| (user_index[user.index()], item_index[item.index()]);

        for (user, item) in train.users.iter_mut().zip(&mut train.items) {
            if let (Some(known_user), Some(known_item)) = indexed(UserIdx(*user), ItemIdx(*item)) {
                (*user, *item) = (known_user, known_item);
            }
        }
        train.sort(users.len());
        check_training_side(&train, &users, &items).map_err(|error| {
            let way_out = "validation_fraction := 0 trains on all rows";
            if held_out.is_empty() { error } else { Error::new(format!("{error}; {way_out}")) }
        })?;
        check_weights(&train)?;
        train.normalise_weights();

        let held_out_row = |(user, item, value): (UserIdx, ItemIdx, f32)| {
            let (user, item) = indexed(user, item);
            HeldOutRating { user: user.map(UserIdx), item: item.map(ItemIdx), value }
        };
        let mut valid: Vec<HeldOutRating> = held_out.iter().map(held_out_row).collect();
        let train_pairs = train.users.iter().copied().zip(train.items.iter().copied());
        let held_out_pairs = valid.iter().filter_map(|row| Some((row.user?.0, row.item?.0)));
        let seen = Seen::collect(users.len(), train_pairs.chain(held_out_pairs));
        valid.extend(validation.iter().map(held_out_row));
        valid.sort_unstable_by(|a, b| (a.user, a.item).cmp(&(b.user, b.item)).then(a.value.total_cmp(&b.value)));

        Ok(Dataset {
            user_counts: counts(users.len(), &train.users),
            item_counts: counts(items.len(), &train.items),
            users,
            items,
            train: Arc::new(train),
            valid,
            seen,
            lowest: self.scale.lowest,
            highest: self.scale.highest,
            levels: self.scale.levels,
            n_rows: self.n_rows,
            n_skipped: self.n_skipped,
        })
    }

    /// Counts a row, and gives it back if it has everything.
    fn complete<'a>(&mut self, row: Row<'a>, split: Split) -> Result<Option<CompleteRow<'a>>> {
        let row = row.complete(split)?;
        self.n_rows += 1;
        self.n_skipped += u64::from(row.is_none());
        Ok(row)
    }
}

/// Which numbers by arrival occur.
fn numbers_in(numbers: &[u32]) -> impl Fn(u32) -> bool + use<> {
    let highest = numbers.iter().max().map_or(0, |&number| number as usize + 1);
    let mut occurs = vec![false; highest];
    numbers.iter().for_each(|&number| occurs[number as usize] = true);
    move |number| occurs.get(number as usize).is_some_and(|occurs| *occurs)
}

fn counts(len: usize, indices: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; len];
    indices.iter().for_each(|&index| counts[index as usize] += 1);
    counts
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
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
        builder.expect_weights(true).unwrap();
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
