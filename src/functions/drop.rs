//! `cofi_drop(model)`: takes a model out of the database.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::store::{ModelName, drop_model};

/// The columns of the answer.
const COLUMNS: [Column; 2] = [("model", Type::Varchar), ("id", Type::Bigint)];

/// Drops a model with its tables when the statement runs, and returns its name and id.
pub struct Drop(ModelName);

impl TableFunction for Drop {
    const NAME: &'static str = "cofi_drop";
    const POSITIONAL: &'static [&'static str] = &["model"];

    fn bind(_call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let model = ModelName::parse(&arguments.positional_text("model")?)?;
        Ok((Self(model), COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let (id, store) = drop_model(&session, &self.0)?;
        call.database.cache().forget(&store, &self.0.name);
        Ok(Cells::rows(&COLUMNS, vec![vec![Cell::Text(self.0.to_string()), id.map_or(Cell::Null, Cell::Bigint)]]))
    }
}
