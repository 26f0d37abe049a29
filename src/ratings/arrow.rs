//! Rows out of Arrow batches: the only file here that knows Arrow.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::row::Row;
use super::{DatasetBuilder, Split};
use crate::error::{Error, Result};
use crate::ids::Id;

impl DatasetBuilder {
    /// Takes a batch of ratings: the columns `user` and `item` as `BIGINT` or `VARCHAR`, `rating` and, where ratings have
    /// weights, `weight` as `DOUBLE`, and `held_out` as `BOOLEAN` where the rows say their side. Rows with a NULL are
    /// counted and left out.
    ///
    /// # Errors
    /// Missing columns or other types, or ones that change from batch to batch; a rating that is not finite or beyond the
    /// range of `f32`, a weight that is that or below 0, with the user, the item and the way out; too many ids or ratings.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).and_then(|columns| columns.with_weights(batch));
        let columns = match self.split {
            Split::Pairs { .. } => columns,
            Split::Given => columns.and_then(|columns| columns.with_sides(batch)),
        };
        let columns = columns.map_err(|error| error.context("ratings"))?;
        self.expect_weights(columns.weights.is_some()).map_err(|error| error.context("ratings"))?;
        columns.rows().try_for_each(|row| self.take(row))
    }

    /// Takes a batch of a separate validation table, which is never learnt from: `user`, `item` and `rating`.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_validation(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).map_err(|error| error.context("validation"))?;
        columns.rows().try_for_each(|row| self.push_validation_row(row.user, row.item, row.rating))
    }
}

/// Goes through the ratings of a batch that are to be measured on: all of them, or those that `split` holds out. Rows with a NULL
/// are left out. The columns are those that [`DatasetBuilder::push`] reads.
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
        match self {
            Self::Integer(column) => column.is_valid(row).then(|| Id::Integer(column.value(row))),
            Self::Text(column) => column.is_valid(row).then(|| Id::Text(column.value(row))),
            Self::LargeText(column) => column.is_valid(row).then(|| Id::Text(column.value(row))),
            Self::TextView(column) => column.is_valid(row).then(|| Id::Text(column.value(row))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{IdKind, Vocabulary};
    use crate::ratings::Dataset;

    const NOTHING: Split = Split::Pairs { fraction: 0.0, seed: 42 };

    fn batch(columns: [(&str, ArrayRef); 3]) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ids(vocabulary: &Vocabulary) -> Vec<String> {
        vocabulary.iter().map(|id| id.to_string()).collect()
    }

    fn dataset(users: ArrayRef, kind: IdKind) -> Dataset {
        let items: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(2), None, Some(2), Some(2)]));
        let ratings: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None, Some(4.0)]));
        let rows = batch([("rating", ratings), ("user", users), ("item", items)]);
        let mut builder = DatasetBuilder::new(kind, IdKind::Integer, NOTHING);
        builder.push(&rows.slice(0, 2)).unwrap();
        builder.push(&rows.slice(2, 3)).unwrap();
        builder.push_validation(&rows.slice(1, 1)).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn all_types_of_ids_are_read_with_their_nulls() {
        let texts = [Some("b"), Some("🎬 long enough not to be inlined in a view"), Some("c"), Some("d"), None];
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter(texts)),
            Arc::new(LargeStringArray::from_iter(texts)),
            Arc::new(StringViewArray::from_iter(texts)),
        ];
        for users in columns {
            let dataset = dataset(users, IdKind::Text);
            assert_eq!(ids(&dataset.users), ["'b'", "'🎬 long enough not to be inlined in a view'"]);
            assert_eq!(ids(&dataset.items), ["2", "9223372036854775807"]);
            assert_eq!(dataset.train.values(), [1.0, 2.0]);
            assert_eq!((dataset.valid.len(), dataset.n_rows, dataset.n_skipped), (1, 6, 3));
        }
        let numbers = Int64Array::from(vec![Some(5_000_000_000), Some(-1), Some(7), Some(7), None]);
        assert_eq!(ids(&dataset(Arc::new(numbers), IdKind::Integer).users), ["-1", "5000000000"]);
    }

    #[test]
    fn other_columns_are_refused() {
        let numbers = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        let floats = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
        let push = |columns: [ArrayRef; 3]| {
            let [users, items, ratings] = columns;
            let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, NOTHING);
            builder.push(&batch([("rating", ratings), ("user", users), ("item", items)])).unwrap_err().to_string()
        };
        assert_eq!(push([floats(), numbers(), floats()]), "ratings: user column = Float64: expected Int64 or text");
        assert_eq!(push([numbers(), numbers(), numbers()]), "ratings: rating column = Int64: expected Float64");
        let text = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
        assert!(push([numbers(), text, floats()]).starts_with("id 'a': expected integer ids"));
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, NOTHING);
        let two = RecordBatch::try_from_iter([("user", numbers()), ("item", numbers())]).unwrap();
        let message = builder.push_validation(&two).unwrap_err().to_string();
        assert_eq!(message, "validation: there is no column rating");

        let push_more = |split: Split, more: &[(&str, ArrayRef)]| {
            let columns = [("user", numbers()), ("item", numbers()), ("rating", floats())];
            let all = columns.into_iter().chain(more.iter().cloned());
            let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
            builder.push(&RecordBatch::try_from_iter(all).unwrap()).map_err(|error| error.to_string())
        };
        let message = push_more(NOTHING, &[("weight", numbers())]).unwrap_err();
        assert_eq!(message, "ratings: weight column = Int64: expected Float64");
        assert_eq!(push_more(Split::Given, &[]).unwrap_err(), "ratings: there is no column held_out");
        let message = push_more(Split::Given, &[("held_out", floats())]).unwrap_err();
        assert_eq!(message, "ratings: held_out column = Float64: expected Boolean");
        assert_eq!(push_more(NOTHING, &[("held_out", floats())]), Ok(()));
    }

    #[test]
    fn weights_and_sides_are_read_with_their_nulls() {
        let numbers = |numbers: [i64; 6]| Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef;
        let weights = [Some(1.0), Some(3.0), None, Some(1.0), Some(1.0), Some(2.0)];
        let sides = [Some(false), Some(false), Some(false), None, Some(true), Some(false)];
        let rows = RecordBatch::try_from_iter([
            ("held_out", Arc::new(BooleanArray::from_iter(sides)) as ArrayRef),
            ("weight", Arc::new(Float64Array::from_iter(weights))),
            ("user", numbers([1, 2, 3, 4, 5, 6])),
            ("item", numbers([1, 2, 3, 4, 5, 6])),
            ("rating", Arc::new(Float64Array::from_iter_values([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))),
        ])
        .unwrap();
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Given);
        builder.push(&rows).unwrap();
        builder.push_validation(&rows.slice(2, 1)).unwrap();
        let message = builder.push(&rows.project(&[0, 2, 3, 4]).unwrap()).unwrap_err().to_string();
        assert_eq!(message, "ratings: some batches have a column of weights and others have not");
        let dataset = builder.finish().unwrap();
        assert_eq!(dataset.train.values(), [1.0, 2.0, 6.0]);
        assert_eq!(dataset.train.weights(), Some([0.5, 1.5, 1.0].as_slice()));
        assert_eq!(dataset.valid.iter().map(|row| row.value).collect::<Vec<_>>(), [3.0, 5.0]);
        assert_eq!((dataset.n_rows, dataset.n_skipped), (7, 2));
    }
}
