//! Models taken out of the database.

use crate::error::Result;
use crate::store::names::ModelName;
use crate::store::schema::{ModelVersion, Store};
use crate::store::session::Session;

/// Drops a model with all its tables, in one transaction, and tells its id.
///
/// # Errors
/// No such model; a database that cannot be written.
pub fn drop_model(session: &Session, model: &ModelName) -> Result<i64> {
    let store = Store::for_model(session, model)?;
    let Some(version) = store.find(session, &model.name)? else {
        return Err(store.missing(session, &model.name));
    };
    let transaction = session.begin()?;
    remove(&transaction, &store, version)?;
    transaction.commit()?;
    Ok(version.id)
}

/// Drops the tables and rows of a model, within the session's transaction.
pub(super) fn remove(session: &Session, store: &Store, version: ModelVersion) -> Result<()> {
    session.execute(&store.sql(include_str!("../../sql/drop_model.sql"), &[("id", &version.id.to_string())]))
}
