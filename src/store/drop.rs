//! Models taken out of the database.

use duckdb::types::Value;

use crate::error::Result;
use crate::store::names::ModelName;
use crate::store::schema::Store;
use crate::store::session::{Session, is_missing};

/// Drops a model with all its tables, in one transaction, and tells its id.
///
/// # Errors
/// No such model; a database that cannot be written.
pub fn drop_model(session: &Session, model: &ModelName) -> Result<i64> {
    let store = Store::for_model(session, model)?;
    let transaction = session.begin()?;
    match remove(&transaction, &store, &model.name) {
        Ok(ids) => {
            transaction.commit()?;
            ids.last().copied().ok_or_else(|| store.missing(session, &model.name))
        }
        Err(error) if is_missing(&error) => {
            // Nothing was ever trained there. The host may have ended the transaction with the error.
            drop(transaction);
            Err(store.missing(session, &model.name))
        }
        Err(error) => Err(error),
    }
}

/// Drops the tables and rows of every model of a name, within the session's transaction, and tells their ids.
///
/// That is one at most, unless somebody has edited `models`; this is the way out of that.
pub(super) fn remove(session: &Session, store: &Store, name: &str) -> Result<Vec<i64>> {
    let name = || vec![Value::Text(name.to_owned())];
    let sql =
        store.sql("SELECT DISTINCT id::BIGINT FROM {store}.models WHERE name = ? AND id IS NOT NULL ORDER BY 1", &[]);
    let rows = session.rows(&sql, name())?;
    let ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [Value::BigInt(id)] => Some(*id),
            _ => None,
        })
        .collect();
    for id in &ids {
        session.execute(&store.sql(include_str!("../../sql/drop_model.sql"), &[("id", &id.to_string())]))?;
    }
    session.execute_with(&store.sql("DELETE FROM {store}.models WHERE name = ?", &[]), name())?;
    Ok(ids)
}
