//! Models taken out of the database.

use duckdb::types::Value;

use crate::error::Result;
use crate::store::names::ModelName;
use crate::store::schema::Store;
use crate::store::session::Session;

/// Drops a model with all its tables, in one transaction, and tells its id and where it was.
///
/// # Errors
/// No such model; a database that cannot be written.
pub fn drop_model(session: &Session, model: &ModelName) -> Result<(i64, Store)> {
    let store = Store::for_model(session, model)?;
    if store.is_empty(session) {
        return Err(store.missing(session, &model.name));
    }
    let transaction = session.begin()?;
    // Makes what somebody has dropped of the store by hand, so that nothing stands in the way.
    transaction.execute(&store.sql(include_str!("../../sql/create_store.sql"), &[]))?;
    let ids = remove(&transaction, &store, &model.name)?;
    transaction.commit()?;
    let id = ids.last().copied().ok_or_else(|| store.missing(session, &model.name))?;
    Ok((id, store))
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
