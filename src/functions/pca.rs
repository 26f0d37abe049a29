//! `cofi_pca(n_components, ...)`: where the factors of items differ most, in a few numbers each.

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction, id_column};
use crate::ids::Id;
use crate::score::{most_rated, principal_components};
use crate::store::{ModelName, Side, StoredModel};
use crate::train::OptionValue;

/// Names of the components, as columns have static ones.
const NAMES: [&str; 16] = [
    "pc1", "pc2", "pc3", "pc4", "pc5", "pc6", "pc7", "pc8", "pc9", "pc10", "pc11", "pc12", "pc13", "pc14", "pc15",
    "pc16",
];

/// A row for each item, the most rated first, with its place on the principal components of all of them.
pub struct Pca {
    name: ModelName,
    side: Side,
    n_components: usize,
    top: Option<usize>,
    columns: Vec<Column>,
}

impl TableFunction for Pca {
    const NAME: &'static str = "cofi_pca";
    const POSITIONAL: &'static [&'static str] = &["n_components"];

    fn named() -> Vec<&'static str> {
        vec!["model", "side", "top"]
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let name = arguments.model()?;
        let side = match arguments.named_text("side")?.as_deref() {
            None | Some("items") => Side::Items,
            Some("users") => Side::Users,
            Some(other) => return Err(Error::argument("side", crate::error::quoted(other), "'items' or 'users'", "")),
        };
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &name)?;
        let most = NAMES.len().min(model.table(side).width);
        let n_components = match arguments.positional("n_components") {
            OptionValue::Integer(n) if n >= 1 && n <= most as i64 => n as usize,
            other => {
                let allowed = format!("a whole number from 1 to {most}");
                return Err(Error::argument("n_components", other, allowed, ""));
            }
        };
        let top = match arguments.named("top") {
            None | Some(OptionValue::Null) => None,
            Some(OptionValue::Integer(top)) if top >= 2 => Some(top as usize),
            Some(other) => {
                return Err(Error::argument("top", other, "a whole number of at least 2, or NULL for all", ""));
            }
        };
        let columns = columns(&model, side, n_components);
        Ok((Self { name, side, n_components, top, columns: columns.clone() }, columns))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.name)?;
        let table = model.table(self.side);
        if columns(&model, self.side, self.n_components) != self.columns || self.n_components > table.width {
            return Err(Error::new(format!(
                "model '{}' has been trained again with other ids since this statement was prepared; prepare it again",
                self.name
            )));
        }
        let counts = model.counts(self.side);
        let mut chosen = most_rated(counts);
        chosen.truncate(self.top.unwrap_or(counts.len()));
        let components = principal_components(&table.factors_of(&chosen), table.width, self.n_components)?;
        let row = |(index, scores): (&u32, &[f32])| {
            let id = match model.vocabulary(self.side).id(*index) {
                Some(Id::Integer(id)) => Cell::Bigint(id),
                Some(Id::Text(id)) => Cell::from(id),
                None => Cell::Null,
            };
            let mut cells = vec![id, Cell::Bigint(i64::from(counts[*index as usize]))];
            cells.extend(scores.iter().map(|score| Cell::Float(*score)));
            cells
        };
        let rows = chosen.iter().zip(components.scores.chunks_exact(self.n_components)).map(row);
        Ok(Cells::rows(&self.columns, rows.collect()))
    }
}

fn columns(model: &StoredModel, side: Side, n_components: usize) -> Vec<Column> {
    let id = id_column(model.vocabulary(side).kind());
    let name = match side {
        Side::Users => "user",
        Side::Items => "item",
    };
    let components = NAMES.iter().take(n_components).map(|name| (*name, Type::Float));
    [(name, id), ("n_ratings", Type::Bigint)].into_iter().chain(components).collect()
}
