//! `cofi_confusion(ratings, ...)`: which ratings a model takes for which.

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::measured::{Found, MEASURED_ARGUMENTS, Measured, as_written};
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::metrics::{Confusion as Counts, Judged};

/// The columns of the answer.
const COLUMNS: [Column; 3] = [("actual", Type::Double), ("predicted", Type::Double), ("n", Type::Bigint)];

/// The most ratings that are no value the model knows, each of which has rows of its own.
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
        let pairs: Vec<_> = rows.iter().map(|row| (row.user, row.item.known())).collect();
        let mut counts = Counts::new(levels);
        for (row, prediction) in rows.iter().zip(predictor.judge(&pairs)?) {
            counts.add(Judged { rating: row.value, prediction: prediction.rating, level: prediction.level });
            if counts.n_actual() > levels.len() + MOST_OTHERS {
                return Err(Error::new(format!(
                    "ratings: more than {MOST_OTHERS} distinct ratings are none that the model was trained on: expected at most so many, as \
                     each has rows of its own; round the ratings in a query"
                )));
            }
        }
        let cells = counts.cells().map(|cell| {
            let real = |value: f32| Cell::Double(as_written(value));
            vec![real(cell.actual), real(cell.predicted), Cell::Bigint(cell.n as i64)]
        });
        Ok(Cells::rows(&COLUMNS, cells.collect()))
    }
}
