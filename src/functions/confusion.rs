//! `cofi_confusion(ratings, ...)`: which ratings a model takes for which.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::measured::{Found, MEASURED_ARGUMENTS, Measured};
use crate::functions::prediction::as_double;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::metrics::{Confusion as Counts, Judged};
use crate::ratings::class_of;
use crate::score::Prediction;

/// The columns of the answer.
const COLUMNS: [Column; 3] = [("actual", Type::Double), ("predicted", Type::Double), ("n", Type::Bigint)];

/// The most rating values besides those that the model was trained on.
const MOST_OTHERS: usize = 1000;

/// A row for each actual and each predicted rating value: the nearest to the prediction, of a classifier the most probable one.
pub struct Confusion(Measured);

impl TableFunction for Confusion {
    const NAME: &'static str = "cofi_confusion";
    const POSITIONAL: &'static [&'static str] = &["ratings"];

    fn named() -> Vec<&'static str> {
        MEASURED_ARGUMENTS.to_vec()
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        Ok((Self(Measured::take(call, &mut arguments)?), COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let Found { model, mut predictor, rows } = self.0.read(&call)?;
        let Some(levels) = &model.spec.levels else {
            return Err(Error::new(
                "the model was trained on more than 1000 distinct ratings: there is nothing to round a prediction to; cofi_evaluate \
                 measures how far predictions are off",
            ));
        };
        let mut others = HashSet::new();
        for row in rows.iter().filter(|row| class_of(levels, row.value).is_none()) {
            // Each has a row of its own in the table.
            if others.insert(row.value.to_bits()) && others.len() > MOST_OTHERS {
                return Err(Error::new(format!(
                    "ratings: more than {MOST_OTHERS} distinct ratings that the model was not trained on: expected a table that can be \
                     looked through; round the ratings in a query"
                )));
            }
        }
        let mut counts = Counts::new(levels);
        predictor.judge(
            &rows,
            |row| (row.user, row.item.known()),
            |row, Prediction { rating, level, .. }| {
                counts.add(Judged { rating: row.value, prediction: rating, level });
            },
        )?;
        let cells = counts.cells().map(|cell| {
            let real = |value: f32| Cell::Double(as_double(value));
            vec![real(cell.actual), real(cell.predicted), Cell::Bigint(cell.n as i64)]
        });
        Ok(Cells::rows(&COLUMNS, cells.collect()))
    }
}
