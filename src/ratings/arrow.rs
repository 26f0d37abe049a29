//! Rows out of Arrow batches: the only file here that knows Arrow.

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::DatasetBuilder;
use crate::error::{Error, Result};
use crate::ids::Id;

impl DatasetBuilder {
    /// Takes a batch of ratings: user and item as `BIGINT` or `VARCHAR`, the rating as `DOUBLE`, in this order. Rows
    /// with a NULL are counted and left out.
    ///
    /// # Errors
    /// Other columns or types than these, or types that change from batch to batch; a rating that is not finite or
    /// beyond the range of `f32`, with the user, the item and the way out; too many ids or ratings.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).map_err(|error| error.context("ratings"))?;
        columns.rows().try_for_each(|(user, item, rating)| self.push_row(user, item, rating))
    }

    /// Takes a batch of a separate validation table, which is never learnt from.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_validation(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch).map_err(|error| error.context("validation"))?;
        columns.rows().try_for_each(|(user, item, rating)| self.push_validation_row(user, item, rating))
    }
}

struct Columns<'a> {
    users: IdColumn<'a>,
    items: IdColumn<'a>,
    ratings: &'a Float64Array,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let [users, items, ratings] = batch.columns() else {
            let message = format!("{} columns: expected a user, an item and a rating", batch.num_columns());
            return Err(Error::new(message));
        };
        Ok(Self {
            users: IdColumn::of("user", users)?,
            items: IdColumn::of("item", items)?,
            ratings: ratings
                .as_primitive_opt::<Float64Type>()
                .ok_or_else(|| Error::argument("rating column", ratings.data_type(), "Float64", ""))?,
        })
    }

    fn rows(&self) -> impl Iterator<Item = (Option<Id<'a>>, Option<Id<'a>>, Option<f64>)> {
        // A batch's columns are all of one length.
        (0..self.ratings.len()).map(|row| {
            let rating = self.ratings.is_valid(row).then(|| self.ratings.value(row));
            (self.users.id(row), self.items.id(row), rating)
        })
    }
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
    use crate::ratings::{Dataset, Split};

    const NOTHING: Split = Split { fraction: 0.0, seed: 42 };

    fn batch(columns: [(&str, ArrayRef); 3]) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ids(vocabulary: &Vocabulary) -> Vec<String> {
        vocabulary.iter().map(|id| id.to_string()).collect()
    }

    fn dataset(users: ArrayRef, kind: IdKind) -> Dataset {
        let items: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(2), None, Some(2), Some(2)]));
        let ratings: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None, Some(4.0)]));
        let rows = batch([("u", users), ("i", items), ("r", ratings)]);
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
            builder.push(&batch([("u", users), ("i", items), ("r", ratings)])).unwrap_err().to_string()
        };
        assert_eq!(push([floats(), numbers(), floats()]), "ratings: user column = Float64: expected Int64 or text");
        assert_eq!(push([numbers(), numbers(), numbers()]), "ratings: rating column = Int64: expected Float64");
        let text = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
        assert!(push([numbers(), text, floats()]).starts_with("id 'a': expected integer ids"));
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, NOTHING);
        let two = RecordBatch::try_from_iter([("u", numbers()), ("i", numbers())]).unwrap();
        let message = builder.push_validation(&two).unwrap_err().to_string();
        assert_eq!(message, "validation: 2 columns: expected a user, an item and a rating");
    }
}
