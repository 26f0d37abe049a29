//! `cofi_options()`: every option of a training.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::train::OPTIONS;

/// The columns of the answer.
const COLUMNS: [Column; 5] = [
    ("name", Type::Varchar),
    ("type", Type::Varchar),
    ("default", Type::Varchar),
    ("range", Type::Varchar),
    ("meaning", Type::Varchar),
];

/// The table of options that checks them, as rows.
pub struct Options;

impl TableFunction for Options {
    const NAME: &'static str = "cofi_options";
    const POSITIONAL: &'static [&'static str] = &[];

    fn bind(_call: &Call<'_>, _arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        Ok((Self, COLUMNS.to_vec()))
    }

    fn start(&self, _call: Execution) -> Result<Box<dyn Rows>> {
        let rows = OPTIONS.iter().map(|row| {
            [row.name, row.kind.sql_type(), row.default, &row.kind.to_string(), row.meaning].map(Cell::from).to_vec()
        });
        Ok(Cells::rows(&COLUMNS, rows.collect()))
    }
}
