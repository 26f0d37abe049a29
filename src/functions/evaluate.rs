//! `cofi_evaluate(ratings, ...)`: how good a model is on ratings of the caller's choice, beside its baselines.

use crate::error::{Error, Result};
use crate::evaluation::{CONTENDERS, RankingOptions, Subject, ranking_metrics, rating_metrics};
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::measured::{Found, MEASURED_ARGUMENTS, Measured};
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::train::OptionValue;

/// Items recommended to each user where nothing else is asked for.
const USUAL_K: usize = 10;

/// The columns of the answer.
const COLUMNS: [Column; 6] = [
    ("metric", Type::Varchar),
    (CONTENDERS[0], Type::Double),
    (CONTENDERS[1], Type::Double),
    (CONTENDERS[2], Type::Double),
    (CONTENDERS[3], Type::Double),
    ("winner", Type::Varchar),
];

/// A row for each metric.
pub struct Evaluate {
    measured: Measured,
    ranking: RankingOptions,
}

impl TableFunction for Evaluate {
    const NAME: &'static str = "cofi_evaluate";
    const POSITIONAL: &'static [&'static str] = &["ratings"];

    fn named() -> Vec<&'static str> {
        [&MEASURED_ARGUMENTS[..], &["k", "relevant_from"]].concat()
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let k = match arguments.named("k") {
            None => USUAL_K,
            Some(OptionValue::Integer(k)) if (1..=100_000).contains(&k) => k as usize,
            Some(other) => return Err(Error::argument("k", other, "a whole number from 1 to 100000", "")),
        };
        let relevant_from = match arguments.named("relevant_from") {
            None | Some(OptionValue::Null) => None,
            Some(value) => match value.as_real().filter(|real| real.is_finite()) {
                Some(real) => Some(real),
                None => return Err(Error::argument("relevant_from", value, "a rating, or NULL for any", "")),
            },
        };
        let ranking = RankingOptions { k, relevant_from };
        Ok((Self { measured: Measured::take(call, &mut arguments)?, ranking }, COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let Found { model, mut predictor, rows } = self.measured.read(&call)?;
        let subject = Subject {
            embeddings: &model.embeddings,
            mean: model.mean,
            levels: model.spec.levels.as_deref(),
            item_counts: &model.item_counts,
            seen: &model.seen,
        };
        let mut metrics = rating_metrics(&mut predictor, subject, &rows)?;
        metrics.extend(ranking_metrics(&mut predictor, subject, &rows, self.ranking)?);
        let row = |metric: crate::evaluation::Metric| {
            let mut cells = vec![Cell::Text(metric.name)];
            cells.extend(metric.values.map(Cell::from));
            cells.push(metric.winner.map_or(Cell::Null, Cell::Text));
            cells
        };
        Ok(Cells::rows(&COLUMNS, metrics.into_iter().map(row).collect()))
    }
}
