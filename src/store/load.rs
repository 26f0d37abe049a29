//! A stored model out of the database: what is asked of the host. `stored.rs` checks what comes.

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::IdKind;
use crate::store::model::StoredModel;
use crate::store::schema::{ModelVersion, Store, edited};
use crate::store::session::{Session, text};
use crate::store::source::id_type;
use crate::store::stored::{LayerRows, ModelRows, SideRows, push_seen};
use crate::train::Spec;

/// Reads the model that has a name now; `None` where there is none. The session's transaction is the caller's: a training that replaces the
/// model meanwhile cannot be seen half.
///
/// # Errors
/// Tables that are not as cofi wrote them.
pub fn load_model(session: &Session, store: &Store, name: &str) -> Result<Option<StoredModel>> {
    let Some(version) = store.find(session, name)? else { return Ok(None) };
    read(session, store, version).map(Some).map_err(|error| match error.is_given_up() {
        true => error,
        false => edited(name, "one of its tables").with_source(error),
    })
}

fn read(session: &Session, store: &Store, version: ModelVersion) -> Result<StoredModel> {
    let id = version.id.to_string();
    let rows = session.rows(&store.sql(include_str!("../../sql/load_model.sql"), &[("id", &id)]), Vec::new())?;
    let [row] = rows.as_slice() else { return Err(Error::new("its row in cofi_store.models is gone")) };
    let [spec, Value::Double(mean), Value::Float(mu), lo, hi] = row.as_slice() else {
        return Err(Error::new("its row in cofi_store.models has other types"));
    };
    let spec = Spec::from_json(text(spec).unwrap_or_default())?;
    let range = match (lo, hi) {
        (Value::Float(lo), Value::Float(hi)) => Some((*lo, *hi)),
        (Value::Null, Value::Null) => None,
        _ => return Err(Error::new("only one of lo and hi is NULL")),
    };
    let users = read_side(session, store, format!("users_{id}"), spec.user_width)?;
    let items = read_side(session, store, format!("items_{id}"), spec.item_width)?;
    let mut layers = LayerRows::default();
    if LayerRows::are_there(&spec) {
        let sql = store.sql(include_str!("../../sql/load_layers.sql"), &[("id", &id)]);
        session.stream(&sql, |batch| layers.push(batch))?;
    }
    let rows = ModelRows { version, spec, mean: *mean, mu: *mu, range, users, items, layers };
    rows.into_model(|seen| {
        let sql = store.sql(include_str!("../../sql/load_seen.sql"), &[("id", &id)]);
        session.stream(&sql, |batch| push_seen(batch, seen))
    })
}

fn read_side(session: &Session, store: &Store, table: String, width: usize) -> Result<SideRows> {
    let kind = side_kind(session, store, &table)?;
    let placeholders = [("table", table.as_str()), ("id_type", id_type(kind)), ("width", &width.to_string())];
    let sql = store.sql(include_str!("../../sql/load_side.sql"), &placeholders);
    let mut rows = SideRows::new(table, kind, width);
    session.stream(&sql, |batch| rows.push(batch))?;
    Ok(rows)
}

/// The kind of ids that a table has.
fn side_kind(session: &Session, store: &Store, table: &str) -> Result<IdKind> {
    let described =
        session.rows(&store.sql("DESCRIBE SELECT id FROM {store}.{table}", &[("table", table)]), Vec::new())?;
    match described.first().and_then(|row| text(row.get(1)?)) {
        Some("BIGINT") => Ok(IdKind::Integer),
        Some("VARCHAR") => Ok(IdKind::Text),
        other => Err(Error::new(format!("the ids of {table} are of type {}", other.unwrap_or("unknown")))),
    }
}
