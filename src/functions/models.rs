//! `cofi_models()`: what is stored in the current database.

use duckdb::types::Value;

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::store::{list_models, text};
use crate::train::{OptionValue, Spec};

/// A row for each model, with what it is, how it was trained and how well.
pub struct Models {
    columns: Vec<Column>,
}

impl TableFunction for Models {
    const NAME: &'static str = "cofi_models";
    const POSITIONAL: &'static [&'static str] = &[];

    fn bind(_call: &Call<'_>, _arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let mut columns: Vec<Column> = vec![
            ("model", Type::Varchar),
            ("id", Type::Bigint),
            ("n_users", Type::Bigint),
            ("n_items", Type::Bigint),
            ("n_ratings", Type::Bigint),
            ("n_validation", Type::Bigint),
            ("n_skipped", Type::Bigint),
            ("valid_loss", Type::Double),
            ("rmse", Type::Double),
            ("mae", Type::Double),
            ("accuracy", Type::Double),
            ("mu", Type::Float),
            ("lo", Type::Float),
            ("hi", Type::Float),
            ("device", Type::Varchar),
            ("operators", Type::Varchar),
            ("updates", Type::Varchar),
            ("seed", Type::Bigint),
            ("spec", Type::Varchar),
            ("format_version", Type::Integer),
            ("cofi_version", Type::Varchar),
            ("duckdb_version", Type::Varchar),
            ("onnxruntime_version", Type::Varchar),
            ("created_at", Type::Timestamp),
        ];
        columns.splice(2..2, FROM_SPEC);
        Ok((Self { columns: columns.clone() }, columns))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let session = call.database.reading(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let models = list_models(&session)?;
        Ok(Cells::rows(&self.columns, models.into_iter().map(with_spec).collect()))
    }
}

/// The columns that the spec has, not the table: NULL where somebody has edited it.
const FROM_SPEC: [Column; 5] = [
    ("architecture", Type::Varchar),
    ("loss", Type::Varchar),
    ("optimizer", Type::Varchar),
    ("n_factors", Type::Bigint),
    ("epochs", Type::Bigint),
];

fn with_spec(row: Vec<Value>) -> Vec<Cell> {
    let spec = row.iter().filter_map(text).find_map(|text| Spec::from_json(text).ok());
    let from_spec = spec.map_or([const { Cell::Null }; FROM_SPEC.len()], |spec| {
        let word = |option| Cell::from(spec.word(option));
        [
            word("architecture"),
            word("loss"),
            word("optimizer"),
            Cell::from((spec.user_width == spec.item_width).then_some(Cell::Bigint(spec.user_width as i64))),
            match spec.options.get("epochs") {
                Some(OptionValue::Integer(epochs)) => Cell::Bigint(*epochs),
                _ => Cell::Null,
            },
        ]
    });
    let mut cells: Vec<Cell> = row.into_iter().map(cell).collect();
    cells.splice(2..2, from_spec);
    cells
}

/// A stored value as a cell of its own type.
pub fn cell(value: Value) -> Cell {
    match value {
        Value::Text(text) => Cell::Text(text),
        Value::BigInt(whole) => Cell::Bigint(whole),
        Value::Int(whole) => Cell::Integer(whole),
        Value::Float(real) => Cell::Float(real),
        Value::Double(real) => Cell::Double(real),
        Value::Boolean(truth) => Cell::Boolean(truth),
        Value::Timestamp(_, micros) => Cell::Timestamp(micros),
        _ => Cell::Null,
    }
}
