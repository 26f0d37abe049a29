//! Rows in, one at a time; a dataset out.

use std::sync::Arc;

use super::scale::ObservedScale;
use super::{Dataset, HeldOutRating, Ratings, Seen, Split};
use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, ItemIdx, UserIdx, Vocabulary, VocabularyBuilder};

/// Reads ratings in one pass, whatever their order, and then puts them in theirs.
#[derive(Debug)]
pub struct DatasetBuilder {
    split: Split,
    users: VocabularyBuilder,
    items: VocabularyBuilder,
    /// All three with numbers by arrival in place of indices.
    train: Ratings,
    held_out: Ratings,
    validation: Ratings,
    scale: ObservedScale,
    n_rows: u64,
    n_skipped: u64,
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

    /// Takes a row of the ratings; one with a NULL is counted and left out.
    ///
    /// # Errors
    /// A rating that is not a finite number or not in the range of `f32`, an id of the other kind, too many ids or
    /// ratings.
    pub fn push_row(&mut self, user: Option<Id<'_>>, item: Option<Id<'_>>, rating: Option<f64>) -> Result<()> {
        let row = self.checked(user, item, rating).map_err(|error| error.context("ratings"))?;
        let Some((user, item, value)) = row else { return Ok(()) };
        let side = if self.split.holds_out(user, item) { &mut self.held_out } else { &mut self.train };
        // The order of batches is kept as `u32`.
        if side.len() >= u32::MAX as usize {
            return Err(Error::new(format!("ratings: more than {} rows; train on a sample of them", u32::MAX)));
        }
        side.push(self.users.insert(user)?, self.items.insert(item)?, value);
        self.scale.note(value);
        Ok(())
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
        let row = self.checked(user, item, rating).map_err(|error| error.context("validation"))?;
        if let Some((user, item, value)) = row {
            self.validation.push(self.users.insert(user)?, self.items.insert(item)?, value);
        }
        Ok(())
    }

    /// Makes the vocabularies of the training ratings, and puts everything in order.
    ///
    /// # Errors
    /// Too little to learn from: no rows, one rating, one user, one item, one value, or nothing on the training side.
    pub fn finish(self) -> Result<Dataset> {
        self.check_rows()?;
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
    fn checked<'a>(
        &mut self,
        user: Option<Id<'a>>,
        item: Option<Id<'a>>,
        rating: Option<f64>,
    ) -> Result<Option<(Id<'a>, Id<'a>, f32)>> {
        self.n_rows += 1;
        let (Some(user), Some(item), Some(rating)) = (user, item, rating) else {
            self.n_skipped += 1;
            return Ok(None);
        };
        let refused = |allowed: &str, way_out: &str| {
            Error::argument("rating", rating, allowed, way_out).context(format!("user {user}, item {item}"))
        };
        if !rating.is_finite() {
            return Err(refused("a finite number", "leave such rows out with WHERE isfinite(rating)"));
        }
        if rating.abs() > f64::from(f32::MAX) {
            return Err(refused("a number from -3.4e38 to 3.4e38", "divide the ratings by a constant"));
        }
        // Adding 0 makes one value of the two zeros.
        Ok(Some((user, item, rating as f32 + 0.0)))
    }

    fn check_rows(&self) -> Result<()> {
        let n_ratings = self.train.len() + self.held_out.len();
        let reason = match (n_ratings, self.train.len(), self.n_skipped) {
            (0, _, 0) => "no rows; expected at least two ratings".to_owned(),
            (0, _, skipped) => {
                format!("no row has a user, an item and a rating; {skipped} with a NULL were skipped")
            }
            (1, ..) => "only one rating; expected at least two".to_owned(),
            (_, 0, _) => format!("all {n_ratings} rows fell to the validation side; use a smaller validation_fraction"),
            _ => return Ok(()),
        };
        Err(Error::new(format!("ratings: {reason}")))
    }
}

fn check_training_side(train: &Ratings, users: &Vocabulary, items: &Vocabulary) -> Result<()> {
    let first = |vocabulary: &Vocabulary| vocabulary.id(0).map(|id| id.to_string()).unwrap_or_default();
    let value = train.values.first().copied().unwrap_or_default();
    let only = if users.len() < 2 {
        format!("user, {}", first(users))
    } else if items.len() < 2 {
        format!("item, {}", first(items))
    } else if train.values.iter().all(|other| *other == value) {
        format!("value, {value}")
    } else {
        return Ok(());
    };
    let n_ratings = train.len();
    Err(Error::new(format!("ratings: the {n_ratings} training ratings have only one {only}; expected at least two")))
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
mod tests {
    use super::*;
    use crate::rng::Rng;

    const NOTHING: Split = Split { fraction: 0.0, seed: 42 };

    fn builder(split: Split, rows: &[(i64, i64, f64)]) -> DatasetBuilder {
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
        for &(user, item, rating) in rows {
            builder.push_row(Some(Id::Integer(user)), Some(Id::Integer(item)), Some(rating)).unwrap();
        }
        builder
    }

    fn refused(builder: DatasetBuilder) -> String {
        builder.finish().unwrap_err().to_string()
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
        let split = Split { fraction: 0.3, seed: 1 };
        let rows: Vec<_> =
            (0..40).flat_map(|user| (0..5).map(move |n| (user, (user * 7 + n) % 60, n as f64))).collect();
        let held_out = |row: &&(i64, i64, f64)| split.holds_out(Id::Integer(row.0), Id::Integer(row.1));
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
        let split = Split { fraction: 0.2, seed: 3 };
        let expected = builder(split, &rows).finish().unwrap();
        let mut order: Vec<u32> = (0..500).collect();
        rng.shuffle(&mut order);
        let shuffled: Vec<_> = order.iter().map(|&row| rows[row as usize]).collect();
        let dataset = builder(split, &shuffled).finish().unwrap();
        assert_eq!((dataset.train, dataset.valid, dataset.seen), (expected.train, expected.valid, expected.seen));
        assert!(dataset.users.iter().eq(expected.users.iter()) && dataset.items.iter().eq(expected.items.iter()));
    }

    #[test]
    fn ratings_that_are_no_numbers_are_refused_by_name() {
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Text, NOTHING);
        let mut push = |rating| {
            let error = builder.push_row(Some(Id::Integer(5)), Some(Id::Text("it's")), Some(rating)).unwrap_err();
            error.to_string()
        };
        let finite = "expected a finite number; leave such rows out with WHERE isfinite(rating)";
        assert_eq!(push(f64::NAN), format!("ratings: user 5, item 'it''s': rating = NaN: {finite}"));
        assert_eq!(push(f64::NEG_INFINITY), format!("ratings: user 5, item 'it''s': rating = -inf: {finite}"));
        assert!(push(4e38).ends_with("expected a number from -3.4e38 to 3.4e38; divide the ratings by a constant"));
        let error = builder.push_validation_row(Some(Id::Integer(5)), Some(Id::Text("x")), Some(f64::NAN));
        assert!(error.unwrap_err().to_string().starts_with("validation: user 5, item 'x': rating = NaN"));
    }

    #[test]
    fn too_little_is_refused_with_the_reason() {
        assert_eq!(refused(builder(NOTHING, &[])), "ratings: no rows; expected at least two ratings");
        let mut nulls = builder(NOTHING, &[]);
        nulls.push_row(None, None, None).unwrap();
        let expected = "ratings: no row has a user, an item and a rating; 1 with a NULL were skipped";
        assert_eq!(refused(nulls), expected);
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 1.0)])), "ratings: only one rating; expected at least two");

        let only = |what: &str| format!("ratings: the 2 training ratings have only one {what}; expected at least two");
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 1.0), (1, 2, 2.0)])), only("user, 1"));
        assert_eq!(refused(builder(NOTHING, &[(1, 3, 1.0), (2, 3, 2.0)])), only("item, 3"));
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 4.5), (2, 2, 4.5)])), only("value, 4.5"));

        let nearly_all = Split { fraction: 1.0 - 1e-12, seed: 1 };
        let expected = "ratings: all 2 rows fell to the validation side; use a smaller validation_fraction";
        assert_eq!(refused(builder(nearly_all, &[(1, 1, 1.0), (2, 2, 2.0)])), expected);
    }

    #[test]
    fn a_split_that_leaves_too_little_says_how_to_keep_all() {
        let split = Split { fraction: 0.5, seed: 1 };
        let held_out = |user: &i64| split.holds_out(Id::Integer(*user), Id::Integer(*user));
        let out = (0..).find(held_out).unwrap();
        let kept = (0..).find(|user| !held_out(user)).unwrap();
        let message = refused(builder(split, &[(kept, kept, 1.0), (kept, kept, 2.0), (out, out, 3.0)]));
        assert!(message.contains("only one user"), "{message}");
        assert!(message.ends_with("expected at least two; validation_fraction := 0 trains on all rows"), "{message}");
    }
}
