//! Rows out of Arrow batches: the only file here that knows Arrow.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::builder::Progress;
use super::part::{Part, Rating, Side};
use super::row::{Row, check_values, place};
use super::split::PairHash;
use super::{DatasetBuilder, Held, Split};
use crate::error::{Error, Result};
use crate::ids::Id;

/// What puts a batch into a part.
pub type Take<'a> = &'a (dyn Fn(&mut Part, &RecordBatch) -> Result<()> + Sync);

/// What must be asked now and then whether to go on.
pub type Watch<'a> = &'a dyn Fn() -> Result<()>;

impl DatasetBuilder {
    /// Reads ratings: the columns `user` and `item` as `BIGINT` or `VARCHAR`, `rating` and, where ratings have weights, `weight` as
    /// `DOUBLE`, and `held_out` as `BOOLEAN` where the rows say their side. Rows with a NULL are counted and left out.
    ///
    /// `stream` hands out batches, any to any of the parts, which threads may have side by side; `watch` is told how much there is
    /// when `stream` asks, and at the end.
    ///
    /// # Errors
    /// Those of `stream` and `watch`. Of a batch: missing columns or other types, or ones that change from batch to batch; a rating
    /// that is not finite or beyond the range of `f32`, a weight that is that or below 0, with the user, the item and the way
    /// out; too many ids or ratings.
    pub fn read(
        &mut self,
        watch: impl Fn(Held) -> Result<()>,
        stream: impl FnOnce(&mut [Part], Take<'_>, Watch<'_>) -> Result<()>,
    ) -> Result<()> {
        let split = self.split;
        self.read_with(&|part, batch| part.push(split, batch), watch, stream)
    }

    /// Reads a separate validation table, which is never learnt from: `user`, `item` and `rating`.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_validation(
        &mut self,
        watch: impl Fn(Held) -> Result<()>,
        stream: impl FnOnce(&mut [Part], Take<'_>, Watch<'_>) -> Result<()>,
    ) -> Result<()> {
        self.read_with(&Part::push_validation, watch, stream)
    }

    fn read_with(
        &mut self,
        push: Take<'_>,
        watch: impl Fn(Held) -> Result<()>,
        stream: impl FnOnce(&mut [Part], Take<'_>, Watch<'_>) -> Result<()>,
    ) -> Result<()> {
        let progress = Progress::default();
        self.parts.iter().for_each(|part| progress.add(Held::default(), Held::of(part)));
        let take = |part: &mut Part, batch: &RecordBatch| {
            let before = Held::of(part);
            push(part, batch)?;
            progress.add(before, Held::of(part));
            Ok(())
        };
        let watch = || {
            let held = progress.get();
            // The places of ratings are kept as `u32`.
            if held.n_train.max(held.n_valid) > u32::MAX as usize {
                return Err(Error::new(format!("ratings: more than {} rows; train on a sample of them", u32::MAX)));
            }
            watch(held)
        };
        stream(&mut self.parts, &take, &watch)?;
        watch()
    }
}

impl Part {
    fn push(&mut self, split: Split, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).and_then(|columns| columns.with_weights(batch));
        let columns = columns.and_then(|columns| match split {
            Split::Pairs { .. } => Ok(columns),
            Split::Given => columns.with_sides(batch),
        });
        let columns = columns.map_err(|error| error.context("ratings"))?;
        self.expect_weights(columns.weights.is_some()).map_err(|error| error.context("ratings"))?;
        let rows = columns.complete_rows();
        self.n_rows += batch.num_rows() as u64;
        self.n_skipped += (batch.num_rows() - rows.len()) as u64;
        let values = columns.values(&rows).map_err(|error| error.context("ratings"))?;
        let held_out = columns.sides(&rows, split);
        let users = columns.users.numbers(&rows, &mut self.users)?;
        let items = columns.items.numbers(&rows, &mut self.items)?;
        let pairs = users.into_iter().zip(items);
        for (((user, item), (value, weight)), is_held_out) in pairs.zip(values).zip(held_out) {
            self.add(Rating { user, item, value }, weight, is_held_out);
        }
        Ok(())
    }

    fn push_validation(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).map_err(|error| error.context("validation"))?;
        columns.rows().try_for_each(|row| {
            let row = row.complete(Split::Pairs { fraction: 0.0, seed: 0 });
            self.take_validation(row.map_err(|error| error.context("validation"))?)
        })
    }
}

/// Goes through the ratings of a batch that are to be measured on: all of them, or those that `split` holds out. Rows with a NULL
/// are left out. The columns are those that [`DatasetBuilder::read`] reads.
///
/// # Errors
/// Missing columns or other types; a rating that is not finite or beyond the range of `f32`; those of `each`.
pub fn for_each_rating(
    batch: &RecordBatch,
    split: Option<Split>,
    mut each: impl FnMut(Id<'_>, Id<'_>, f32) -> Result<()>,
) -> Result<()> {
    let columns = Columns::of(batch).and_then(|columns| match split {
        Some(Split::Given) => columns.with_sides(batch),
        _ => Ok(columns),
    });
    let columns = columns.map_err(|error| error.context("ratings"))?;
    let everything = Split::Pairs { fraction: 0.0, seed: 0 };
    for row in columns.rows() {
        let row = row.complete(split.unwrap_or(everything)).map_err(|error| error.context("ratings"))?;
        if let Some(row) = row.filter(|row| split.is_none() || row.is_held_out) {
            each(row.user, row.item, row.value)?;
        }
    }
    Ok(())
}

struct Columns<'a> {
    users: IdColumn<'a>,
    items: IdColumn<'a>,
    ratings: &'a Float64Array,
    weights: Option<&'a Float64Array>,
    held_out: Option<&'a BooleanArray>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            users: IdColumn::of("user", column(batch, "user")?)?,
            items: IdColumn::of("item", column(batch, "item")?)?,
            ratings: numbers("rating", column(batch, "rating")?)?,
            weights: None,
            held_out: None,
        })
    }

    fn with_weights(mut self, batch: &'a RecordBatch) -> Result<Self> {
        self.weights = batch.column_by_name("weight").map(|column| numbers("weight", column)).transpose()?;
        Ok(self)
    }

    fn with_sides(mut self, batch: &'a RecordBatch) -> Result<Self> {
        let column = column(batch, "held_out")?;
        let wrong = || Error::argument("held_out column", column.data_type(), "Boolean", "");
        self.held_out = Some(column.as_boolean_opt().ok_or_else(wrong)?);
        Ok(self)
    }

    /// The rows in which nothing that is read is NULL.
    fn complete_rows(&self) -> Vec<usize> {
        let nulls = [
            self.users.nulls(),
            self.items.nulls(),
            self.ratings.nulls(),
            self.weights.and_then(|weights| weights.nulls()),
            self.held_out.and_then(|sides| sides.nulls()),
        ];
        let nulls = nulls.into_iter().fold(None, |all, some| NullBuffer::union(all.as_ref(), some));
        match nulls {
            None => (0..self.ratings.len()).collect(),
            Some(nulls) => nulls.valid_indices().collect(),
        }
    }

    /// Ratings and weights of complete rows.
    fn values(&self, rows: &[usize]) -> Result<Vec<(f32, f32)>> {
        let value = |&row: &usize| {
            let weight = self.weights.map_or(1.0, |weights| weights.value(row));
            check_values(self.ratings.value(row), weight)
                .map_err(|error| error.context(place(self.users.value(row), self.items.value(row))))
        };
        rows.iter().map(value).collect()
    }

    /// Which of complete rows are held out.
    fn sides(&self, rows: &[usize], split: Split) -> Vec<bool> {
        match (split, self.held_out) {
            (Split::Given, Some(sides)) => rows.iter().map(|&row| sides.value(row)).collect(),
            (Split::Pairs { fraction, seed }, _) if fraction > 0.0 => {
                let mut pairs = vec![PairHash::new(seed); rows.len()];
                for column in [&self.users, &self.items] {
                    column.add_to(rows, &mut pairs);
                }
                pairs.into_iter().map(|pair| pair.fraction() < fraction).collect()
            }
            _ => vec![false; rows.len()],
        }
    }

    fn rows(&self) -> impl Iterator<Item = Row<'a>> {
        let number = |column: &Float64Array, row| column.is_valid(row).then(|| column.value(row));
        // A batch's columns are all of one length.
        (0..self.ratings.len()).map(move |row| Row {
            user: self.users.id(row),
            item: self.items.id(row),
            rating: number(self.ratings, row),
            weight: self.weights.map_or(Some(1.0), |weights| number(weights, row)),
            held_out: self.held_out.and_then(|sides| sides.is_valid(row).then(|| sides.value(row))),
        })
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::new(format!("there is no column {name}")))
}

fn numbers<'a>(name: &str, column: &'a ArrayRef) -> Result<&'a Float64Array> {
    let wrong = || Error::argument(&format!("{name} column"), column.data_type(), "Float64", "");
    column.as_primitive_opt::<Float64Type>().ok_or_else(wrong)
}

enum IdColumn<'a> {
    Integer(&'a Int64Array),
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
}

impl<'a> IdColumn<'a> {
    fn of(name: &str, column: &'a ArrayRef) -> Result<Self> {
        match column.data_type() {
            DataType::Int64 => Ok(Self::Integer(column.as_primitive::<Int64Type>())),
            DataType::Utf8 => Ok(Self::Text(column.as_string())),
            DataType::LargeUtf8 => Ok(Self::LargeText(column.as_string())),
            DataType::Utf8View => Ok(Self::TextView(column.as_string_view())),
            other => Err(Error::argument(&format!("{name} column"), other, "Int64 or text", "")),
        }
    }

    fn id(&self, row: usize) -> Option<Id<'a>> {
        self.nulls().is_none_or(|nulls| nulls.is_valid(row)).then(|| self.value(row))
    }

    /// The id of a row that has one.
    fn value(&self, row: usize) -> Id<'a> {
        match self {
            Self::Integer(column) => Id::Integer(column.value(row)),
            Self::Text(column) => Id::Text(column.value(row)),
            Self::LargeText(column) => Id::Text(column.value(row)),
            Self::TextView(column) => Id::Text(column.value(row)),
        }
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Integer(column) => column.nulls(),
            Self::Text(column) => column.nulls(),
            Self::LargeText(column) => column.nulls(),
            Self::TextView(column) => column.nulls(),
        }
    }

    /// Adds the ids of complete rows to the hashes of their pairs. The column's type is asked for once and not for each row.
    fn add_to(&self, rows: &[usize], pairs: &mut [PairHash]) {
        let rows = rows.iter().zip(pairs);
        match self {
            Self::Integer(column) => rows.for_each(|(&row, pair)| *pair = pair.with(Id::Integer(column.value(row)))),
            Self::Text(column) => rows.for_each(|(&row, pair)| *pair = pair.with(Id::Text(column.value(row)))),
            Self::LargeText(column) => rows.for_each(|(&row, pair)| *pair = pair.with(Id::Text(column.value(row)))),
            Self::TextView(column) => rows.for_each(|(&row, pair)| *pair = pair.with(Id::Text(column.value(row)))),
        }
    }

    /// The numbers of the ids of complete rows.
    fn numbers(&self, rows: &[usize], side: &mut Side) -> Result<Vec<u32>> {
        let n_ids = rows.len();
        let rows = rows.iter().copied();
        side.numbers(n_ids, |ids, numbers| match self {
            Self::Integer(column) => ids.insert_integers(rows.map(|row| column.value(row)), numbers),
            Self::Text(column) => ids.insert_texts(rows.map(|row| column.value(row)), numbers),
            Self::LargeText(column) => ids.insert_texts(rows.map(|row| column.value(row)), numbers),
            Self::TextView(column) => ids.insert_texts(rows.map(|row| column.value(row)), numbers),
        })
    }
}

#[cfg(test)]
mod tests;
