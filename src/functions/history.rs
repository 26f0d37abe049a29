//! `cofi_history([model :=])`: the epochs of a stored model's training.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::models::cell;
use crate::functions::table::{Call, Cells, Column, Execution, Rows, TableFunction};
use crate::functions::train::EPOCH_COLUMNS;
use crate::store::{ModelName, list_history};

/// A row for each epoch, with the columns of `cofi_train`.
pub struct History(ModelName);

impl TableFunction for History {
    const NAME: &'static str = "cofi_history";
    const POSITIONAL: &'static [&'static str] = &[];

    fn named() -> Vec<&'static str> {
        vec!["model"]
    }

    fn bind(_call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        Ok((Self(arguments.model()?), EPOCH_COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let session = call.database.reading(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let epochs = list_history(&session, &self.0)?;
        Ok(Cells::rows(&EPOCH_COLUMNS, epochs.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()))
    }
}
