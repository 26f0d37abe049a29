//! The schema `cofi_store` of one database: what models it has.

use duckdb::types::Value;

use crate::error::{Error, Result, quoted};
use crate::store::names::{ModelName, fill, quote_identifier};
use crate::store::session::{Session, is_missing, text};

/// The version of the tables that this release writes.
pub const FORMAT_VERSION: i64 = 1;

/// The schema of all that cofi stores.
const SCHEMA: &str = "cofi_store";

/// Where models of one database are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    database: String,
}

/// One stored model as long as it is the same: an id alone comes again in a store that was dropped and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// `n` in the names of its tables.
    pub id: i64,
    /// Microseconds since 1970.
    pub created_at: i64,
}

impl Store {
    /// The store of an attached database.
    pub fn of(database: String) -> Self {
        Self { database }
    }

    /// The store that a model's name means, looked up with the session's search path.
    pub fn for_model(session: &Session, model: &ModelName) -> Result<Self> {
        match &model.database {
            Some(database) => session.attached(database).map(|attached| Self::of(attached.name)),
            None => session.current_database().map(Self::of),
        }
    }

    /// The same, of a database that can be written.
    ///
    /// # Errors
    /// A database that is not there or read-only.
    pub fn writable(session: &Session, model: &ModelName) -> Result<Self> {
        let store = Self::for_model(session, model)?;
        if session.attached(&store.database)?.is_read_only {
            return Err(Error::new(format!(
                "database '{}' is read-only: no model can be stored or dropped there; open it for writing, or name another attached \
                 database with 'database.model'",
                store.database
            )));
        }
        Ok(store)
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The schema's name.
    pub fn schema(&self) -> &'static str {
        SCHEMA
    }

    /// A file of `sql/` with its placeholders filled, `{store}` among them.
    pub fn sql(&self, template: &str, placeholders: &[(&str, &str)]) -> String {
        let schema = format!("{}.{SCHEMA}", quote_identifier(&self.database));
        fill(template, &[placeholders, &[("store", schema.as_str())]].concat())
    }

    /// Whether nothing was ever trained there.
    pub fn is_empty(&self, session: &Session) -> bool {
        session.prepare(&self.sql("SELECT name FROM {store}.models", &[])).is_err_and(|error| is_missing(&error))
    }

    /// Which model has a name now, if any.
    ///
    /// # Errors
    /// A model of a format that this release does not know.
    pub fn find(&self, session: &Session, name: &str) -> Result<Option<ModelVersion>> {
        let sql = self.sql(include_str!("../../sql/find_model.sql"), &[]);
        let rows = match session.rows(&sql, vec![Value::Text(name.to_owned())]) {
            Ok(rows) => rows,
            // The message is the host's when the schema or the table is not there: nothing was ever trained.
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match rows.as_slice() {
            [] => Ok(None),
            [row] => match row.as_slice() {
                [Value::BigInt(id @ 0..), Value::Int(format), Value::BigInt(created_at)] => {
                    let format = i64::from(*format);
                    if format == FORMAT_VERSION {
                        return Ok(Some(ModelVersion { id: *id, created_at: *created_at }));
                    }
                    Err(Error::new(format!(
                        "model '{name}' is stored in format {format}: this release of cofi reads format {FORMAT_VERSION}; use a newer \
                         release or train the model again"
                    )))
                }
                _ => Err(edited(name, "its row in cofi_store.models")),
            },
            _ => Err(edited(name, "cofi_store.models, which has several rows of that name")),
        }
    }

    /// The same, where one that cannot be read is as good as none: a training is the way out of that.
    ///
    /// # Errors
    /// An answer that was given up.
    pub fn find_readable(&self, session: &Session, name: &str) -> Result<Option<ModelVersion>> {
        self.find(session, name).or_else(|error| if error.is_given_up() { Err(error) } else { Ok(None) })
    }

    /// What to say when a model is not there.
    pub fn missing(&self, session: &Session, name: &str) -> Error {
        let known = match session.rows(&self.sql("SELECT name FROM {store}.models ORDER BY name", &[]), Vec::new()) {
            Err(error) if error.is_given_up() => return error,
            known => known.unwrap_or_default(),
        };
        let names: Vec<_> = known.iter().filter_map(|row| text(row.first()?)).collect();
        if names.contains(&name) {
            return Error::new(format!("model '{name}' was stored in this very moment; run the statement again"));
        }
        let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
        let known = match names.as_slice() {
            [] => "nothing is trained there yet".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        Error::new(format!(
            "no model '{name}' in database {}; {known}; train one with SELECT * FROM cofi_train('ratings', 50) and read its rows to the \
             end (or CALL it): a training that is not read to its end stores nothing",
            quote_identifier(&self.database)
        ))
    }
}

/// A stored model that is not as cofi wrote it.
pub fn edited(name: &str, what: &str) -> Error {
    Error::new(format!(
        "model '{name}' cannot be read: {what} is not as cofi wrote it; train the model again, drop it with cofi_drop, or drop the schema cofi_store"
    ))
}
