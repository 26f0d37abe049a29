//! `cofi_lr_find(ratings, n_factors, ...)`: how the loss goes with a growing learning rate, to choose one by.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::request::{Begun, Request};
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::train::{OPTIONS, find_rates};

/// The columns of the answer.
const COLUMNS: [Column; 3] = [("lr", Type::Double), ("loss", Type::Double), ("suggested", Type::Boolean)];

/// Options of a training that have no meaning here: the search chooses the rate and when to stop.
const WITHOUT: [&str; 4] = ["epochs", "learning_rate", "schedule", "patience"];

/// A row for each rate tried, on a model that nobody stores.
pub struct LrFind(Request);

impl TableFunction for LrFind {
    const NAME: &'static str = "cofi_lr_find";
    const POSITIONAL: &'static [&'static str] = &["ratings", "n_factors"];

    fn named() -> Vec<&'static str> {
        OPTIONS.iter().map(|row| row.name).filter(|name| !WITHOUT.contains(name)).collect()
    }

    fn bind(call: &Call<'_>, arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let mut request = Request::read(call, arguments)?;
        // The search takes about the steps of one, by which 'auto' chooses the device.
        request.config.epochs = 1;
        Ok((Self(request), COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let Begun { training, memory, .. } = self.0.begin(&call)?;
        let rates = find_rates(training).map_err(|error| memory.explain(error))?;
        let row = |(place, (rate, loss)): (usize, &(f64, f64))| {
            vec![Cell::Double(*rate), Cell::Double(*loss), Cell::Boolean(Some(place) == rates.suggested)]
        };
        Ok(Cells::rows(&COLUMNS, rates.tried.iter().enumerate().map(row).collect()))
    }
}
