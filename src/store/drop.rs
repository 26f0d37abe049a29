//! Models taken out of the database.

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::store::connections::Kept;
use crate::store::names::{ModelName, quote_identifier};
use crate::store::schema::Store;
use crate::store::session::{Session, text};

/// Drops a model with all its tables, in one transaction, and tells its id, where its row still has one, and where it was.
///
/// # Errors
/// No such model; a database that cannot be written.
pub fn drop_model(session: &Kept<'_>, model: &ModelName) -> Result<(Option<i64>, Store)> {
    let store = Store::writable(session, model)?;
    if store.is_empty(session) {
        return Err(store.missing(session, &model.name));
    }
    let transaction = session.write()?;
    complete(&transaction, &store)?;
    let ids = remove(&transaction, &store, &model.name)?;
    transaction.commit()?;
    let id = ids.last().copied().ok_or_else(|| store.missing(session, &model.name))?;
    Ok((id, store))
}

/// Makes what a store lacks, all of it or what somebody has dropped by hand, within the session's transaction.
///
/// # Errors
/// A view in the place of `models`.
pub(super) fn complete(session: &Session, store: &Store) -> Result<()> {
    let views = views(session, store)?;
    if views.iter().any(|view| view == "models") {
        return Err(Error::new(
            "cofi_store.models is a view, whose rows cannot be changed; drop the schema cofi_store, or put the table back",
        ));
    }
    drop_views(session, store, &views, &["history".to_owned()])?;
    session.execute(&store.sql(include_str!("../../sql/create_store.sql"), &[]))
}

/// Drops the tables and rows of every model of a name, within the session's transaction, and tells their ids.
///
/// That is one at most, unless somebody has edited `models`; this is the way out of that, and of an id that is none.
pub(super) fn remove(session: &Session, store: &Store, name: &str) -> Result<Vec<Option<i64>>> {
    let name = || vec![Value::Text(name.to_owned())];
    let sql = store
        .sql("SELECT DISTINCT TRY_CAST(id AS BIGINT) FROM {store}.models WHERE name = ? ORDER BY 1 NULLS FIRST", &[]);
    let rows = session.rows(&sql, name())?;
    let ids: Vec<Option<i64>> = rows
        .iter()
        .map(|row| match row.as_slice() {
            [Value::BigInt(id)] => Some(*id),
            _ => None,
        })
        .collect();
    let views = views(session, store)?;
    for id in ids.iter().flatten() {
        // No table has the name of an id below 0.
        if *id >= 0 {
            drop_views(
                session,
                store,
                &views,
                &["users", "items", "seen", "layers"].map(|table| format!("{table}_{id}")),
            )?;
            session.execute(&store.sql(include_str!("../../sql/drop_model.sql"), &[("id", &id.to_string())]))?;
        }
        let sql = store.sql("DELETE FROM {store}.history WHERE model_id = ?", &[]);
        session.execute_with(&sql, vec![Value::BigInt(*id)])?;
    }
    session.execute_with(&store.sql("DELETE FROM {store}.models WHERE name = ?", &[]), name())?;
    Ok(ids)
}

/// Drops what somebody has put in the place of tables, where it is one of the `views`: as a table it cannot be dropped.
fn drop_views(session: &Session, store: &Store, views: &[String], names: &[String]) -> Result<()> {
    names.iter().filter(|name| views.contains(name)).try_for_each(|name| {
        session.execute(&store.sql("DROP VIEW {store}.{name}", &[("name", &quote_identifier(name))]))
    })
}

/// The views in the place of a store's tables, their names in lower case: the host finds them in any.
fn views(session: &Session, store: &Store) -> Result<Vec<String>> {
    let sql = "SELECT lower(view_name) FROM duckdb_views() WHERE database_name = $1 AND lower(schema_name) = $2";
    let place = [store.database(), store.schema()].map(|name| Value::Text(name.to_owned()));
    let rows = session.rows(sql, place.to_vec())?;
    Ok(rows.iter().filter_map(|row| text(row.first()?)).map(str::to_owned).collect())
}
