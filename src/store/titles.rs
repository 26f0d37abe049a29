//! Names of items, out of a table of the caller's.

use std::collections::HashMap;

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::Id;
use crate::store::columns::{ITEM_NAMES, list, position};
use crate::store::model::StoredModel;
use crate::store::names::{fill, quote_identifier};
use crate::store::session::{Session, text};
use crate::store::source::{Relation, described_columns, id_type};

/// Column names that are taken for titles.
const TITLE_NAMES: &[&str] = &["title", "name", "label", "item_name", "movie_title", "product_name"];

/// The title of each item of a model that the relation names, by dense index: columns by the usual names, else the first two.
///
/// # Errors
/// No such relation; fewer than two columns; ids that cannot be cast to the model's kind.
pub fn read_titles(session: &Session, relation: &Relation, model: &StoredModel) -> Result<HashMap<u32, String>> {
    let (item, title) = title_columns(session, relation)?;
    let sql = fill(
        include_str!("../../sql/read_titles.sql"),
        &[
            ("item", &quote_identifier(&item)),
            ("title", &quote_identifier(&title)),
            ("item_type", id_type(model.items.kind())),
            ("relation", &relation.to_sql()),
        ],
    );
    let rows = session.rows(&sql, Vec::new()).map_err(|error| error.context("titles"))?;
    let named = rows.iter().filter_map(|row| {
        let item = match row.first()? {
            Value::BigInt(id) => model.item(Id::Integer(*id))?,
            other => model.item(Id::Text(text(other)?))?,
        };
        Some((item.0, text(row.get(1)?)?.to_owned()))
    });
    Ok(named.collect())
}

/// The names of the columns of items and of titles.
///
/// # Errors
/// No such relation, in the host's words; fewer than two columns.
pub fn title_columns(session: &Session, relation: &Relation) -> Result<(String, String)> {
    let described = described_columns(session, "titles", relation)?;
    let columns: Vec<(&str, &str)> = described.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let by_name = |names: &[&str]| names.iter().find_map(|name| position(&columns, name));
    let title = by_name(TITLE_NAMES).or((columns.len() > 1).then_some(1));
    let item = by_name(ITEM_NAMES).filter(|item| Some(*item) != title).or(Some(0));
    let (Some(item), Some(title)) = (item, title.filter(|title| Some(*title) != item)) else {
        return Err(Error::new(format!(
            "titles: expected a column of items and one of titles, found: {}; give a query, as in '(SELECT item, title FROM ...)'",
            list(&columns)
        )));
    };
    Ok((columns[item].0.to_owned(), columns[title].0.to_owned()))
}
