//! What is stored, as rows.

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::store::names::ModelName;
use crate::store::schema::Store;
use crate::store::session::{Session, is_missing};

/// The models of the current database, in the columns of `sql/list_models.sql`; none where nothing was ever trained.
pub fn list_models(session: &Session) -> Result<Vec<Vec<Value>>> {
    let store = Store::of(session.current_database()?);
    match session.rows(&store.sql(include_str!("../../sql/list_models.sql"), &[]), Vec::new()) {
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        other => other,
    }
}

/// The epochs of a model, in the columns of `sql/list_history.sql`.
///
/// # Errors
/// No such model.
pub fn list_history(session: &Session, model: &ModelName) -> Result<Vec<Vec<Value>>> {
    let store = Store::for_model(session, model)?;
    if store.find(session, &model.name)?.is_none() {
        return Err(store.missing(session, &model.name));
    }
    let sql = store.sql(include_str!("../../sql/list_history.sql"), &[]);
    session
        .rows(&sql, vec![Value::Text(model.name.clone())])
        .map_err(|error| Error::new("the history of the model cannot be read").with_source(error))
}
