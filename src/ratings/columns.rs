//! Ratings by column, as a thread that reads them has them before it.

use super::Split;
use super::part::{Part, Rating, Side};
use super::row::{check_rating, check_weight, place};
use super::split::PairHash;
use crate::error::{Error, Result};
use crate::ids::Id;

/// Rows without a NULL, by column; all columns are of one length.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Who rated.
    pub users: Ids<'a>,
    /// What was rated.
    pub items: Ids<'a>,
    /// The ratings.
    pub ratings: &'a [f64],
    /// How much each rating counts in the loss, where there is a column of weights.
    pub weights: Option<&'a [f64]>,
    /// Which ratings are held out, where the rows say it.
    pub held_out: Option<&'a [bool]>,
}

/// A column of external ids.
#[derive(Clone, Copy, Debug)]
pub enum Ids<'a> {
    /// Of a column of integers.
    Integers(&'a [i64]),
    /// Of a column of text, UTF-8.
    Texts(&'a [&'a [u8]]),
}

impl Columns<'_> {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.ratings.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ratings.is_empty()
    }

    /// # Errors
    /// Columns of different lengths.
    pub(super) fn check(&self) -> Result<()> {
        let lengths = [self.users.len(), self.items.len()].into_iter();
        let lengths = lengths.chain(self.weights.map(<[_]>::len)).chain(self.held_out.map(<[_]>::len));
        match lengths.into_iter().all(|len| len == self.len()) {
            true => Ok(()),
            false => Err(Error::new("the columns of the ratings are of different lengths")),
        }
    }

    /// Which rows are held out; `users` are numbers of the users.
    fn sides(&self, split: Split, users: &[u32]) -> Result<Vec<bool>> {
        match (split, self.held_out) {
            (Split::Given, Some(sides)) => Ok(sides.to_vec()),
            (Split::Given, None) => Err(Error::new("the rows do not say which of them are held out")),
            (Split::Pairs { fraction, seed }, _) if fraction > 0.0 => {
                let mut pairs = vec![PairHash::new(seed); self.len()];
                self.users.add_to(&mut pairs, |row| row > 0 && users[row] == users[row - 1]);
                self.items.add_to(&mut pairs, |_| false);
                Ok(pairs.into_iter().map(|pair| pair.fraction() < fraction).collect())
            }
            _ => Ok(vec![false; self.len()]),
        }
    }

    /// The numbers of a column in the types that a training keeps.
    fn checked(&self, numbers: &[f64], check: impl Fn(f64) -> Result<f32>) -> Result<Vec<f32>> {
        let checked = |(row, &number)| {
            check(number).map_err(|error| error.context(place(self.users.id(row), self.items.id(row))))
        };
        numbers.iter().enumerate().map(checked).collect()
    }
}

impl Ids<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Integers(ids) => ids.len(),
            Self::Texts(ids) => ids.len(),
        }
    }

    /// The id of a row, to be shown.
    fn id(&self, row: usize) -> Id<'_> {
        match self {
            Self::Integers(ids) => Id::Integer(ids[row]),
            Self::Texts(ids) => Id::Text(str::from_utf8(ids[row]).unwrap_or("text that is not UTF-8")),
        }
    }

    /// Adds the ids to the hashes of their pairs; a text for which `repeats` says so makes the pair of the row before it.
    fn add_to(&self, pairs: &mut [PairHash], repeats: impl Fn(usize) -> bool) {
        match self {
            Self::Integers(ids) => pairs.iter_mut().zip(*ids).for_each(|(pair, id)| *pair = pair.with_integer(*id)),
            Self::Texts(ids) => {
                for (row, id) in ids.iter().enumerate() {
                    pairs[row] = if repeats(row) { pairs[row - 1] } else { pairs[row].with_text(id) };
                }
            }
        }
    }

    /// The numbers of the ids.
    fn numbers(&self, side: &mut Side) -> Result<Vec<u32>> {
        side.numbers(self.len(), |known, numbers| match self {
            Self::Integers(ids) => known.insert_integers(ids.iter().copied(), numbers),
            Self::Texts(ids) => known.insert_texts(ids, numbers),
        })
    }
}

impl Part {
    /// Takes rows of the ratings, beside which `n_skipped` had a NULL.
    ///
    /// # Errors
    /// As for [`Intake::take`](super::Intake::take).
    pub(super) fn push(&mut self, split: Split, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        self.count(rows.len() + n_skipped, n_skipped);
        self.expect_weights(rows.weights.is_some())?;
        let values = rows.checked(rows.ratings, check_rating)?;
        let weights = rows.weights.map(|weights| rows.checked(weights, check_weight)).transpose()?;
        let (users, items) = (rows.users.numbers(&mut self.users)?, rows.items.numbers(&mut self.items)?);
        let is_held_out = rows.sides(split, &users)?;
        let (train, held_out) = apart(together(users, items, values), &is_held_out);
        // A weight counts in training alone.
        let weights = weights.map(|weights| apart(weights.into_iter(), &is_held_out).0);
        self.add(&train, weights.as_deref(), &held_out);
        Ok(())
    }

    /// Takes rows of a validation table.
    ///
    /// # Errors
    /// As for [`Intake::take`](super::Intake::take).
    pub(super) fn push_validation(&mut self, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        self.count(rows.len() + n_skipped, n_skipped);
        let values = rows.checked(rows.ratings, check_rating)?;
        let (users, items) = (rows.users.numbers(&mut self.users)?, rows.items.numbers(&mut self.items)?);
        self.validation.extend(&together(users, items, values).collect::<Vec<_>>(), None);
        Ok(())
    }
}

fn together(users: Vec<u32>, items: Vec<u32>, values: Vec<f32>) -> impl Iterator<Item = Rating> {
    users.into_iter().zip(items).zip(values).map(|((user, item), value)| Rating { user, item, value })
}

/// Those of some values that are not held out, and those that are. Nobody can guess which comes next, so each is written to both sides, and
/// stays on one.
fn apart<T: Copy + Default>(values: impl Iterator<Item = T>, is_held_out: &[bool]) -> (Vec<T>, Vec<T>) {
    let (mut train, mut held_out) = (vec![T::default(); is_held_out.len()], vec![T::default(); is_held_out.len()]);
    let (mut n_train, mut n_held_out) = (0, 0);
    for (value, &is_held_out) in values.zip(is_held_out) {
        train[n_train] = value;
        held_out[n_held_out] = value;
        n_train += usize::from(!is_held_out);
        n_held_out += usize::from(is_held_out);
    }
    train.truncate(n_train);
    held_out.truncate(n_held_out);
    (train, held_out)
}
