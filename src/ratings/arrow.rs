//! Ratings to measure on, out of Arrow batches: the only file here that knows Arrow.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::Split;
use super::row::Row;
use crate::error::{Error, Result};
use crate::ids::Id;

/// Goes through the ratings of a batch that are to be measured on: all of them, or those that `split` holds out. Rows with a NULL
/// are left out. The columns are `user` and `item`, `BIGINT` or `VARCHAR`, `rating`, `DOUBLE`, and `held_out`, `BOOLEAN`, where the
/// rows say their side.
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
    held_out: Option<&'a BooleanArray>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            users: IdColumn::of("user", column(batch, "user")?)?,
            items: IdColumn::of("item", column(batch, "item")?)?,
            ratings: numbers("rating", column(batch, "rating")?)?,
            held_out: None,
        })
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
            weight: Some(1.0),
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

    /// What is read of rows, as text.
    fn read(split: Option<Split>, columns: &[(&str, ArrayRef)]) -> Result<Vec<String>> {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let mut found = Vec::new();
        for_each_rating(&batch, split, |user, item, value| {
            found.push(format!("{user} {item} {value}"));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn all_types_of_ids_are_read_with_their_nulls() {
        let texts = [Some("b"), Some("🎬 long enough not to be inlined in a view"), Some("c"), Some("d"), None];
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter(texts)),
            Arc::new(LargeStringArray::from_iter(texts)),
            Arc::new(StringViewArray::from_iter(texts)),
        ];
        let items = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(2), None, Some(2), Some(2)]));
        let ratings = Arc::new(Float64Array::from(vec![Some(1.5), Some(2.0), Some(3.0), None, Some(4.0)]));
        for users in columns {
            let rows = read(None, &[("rating", ratings.clone()), ("user", users), ("item", items.clone())]).unwrap();
            let expected = ["'b' 9223372036854775807 1.5", "'🎬 long enough not to be inlined in a view' 2 2"];
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn other_columns_are_refused() {
        let numbers = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        let floats = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
        let refused = |split, columns: &[(&str, ArrayRef)]| read(split, columns).unwrap_err().to_string();
        let message = refused(None, &[("user", floats()), ("item", numbers()), ("rating", floats())]);
        assert_eq!(message, "ratings: user column = Float64: expected Int64 or text");
        let message = refused(None, &[("user", numbers()), ("item", numbers()), ("rating", numbers())]);
        assert_eq!(message, "ratings: rating column = Int64: expected Float64");
        let three = [("user", numbers()), ("item", numbers()), ("rating", floats())];
        assert_eq!(refused(None, &three[..2]), "ratings: there is no column rating");
        assert_eq!(refused(Some(Split::Given), &three), "ratings: there is no column held_out");
        let message = refused(Some(Split::Given), &[&three[..], &[("held_out", floats())]].concat());
        assert_eq!(message, "ratings: held_out column = Float64: expected Boolean");
    }

    #[test]
    fn the_held_out_rows_alone_are_measured_on() {
        let numbers = || Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
        let ratings = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        let sides = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
        let columns = [("user", numbers()), ("item", numbers()), ("rating", ratings as ArrayRef), ("held_out", sides)];
        assert_eq!(read(Some(Split::Given), &columns).unwrap(), ["1 1 1"]);
        assert_eq!(read(None, &columns).unwrap().len(), 3);
    }
}
