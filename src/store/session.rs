//! One connection of cofi's own, with the few things that cofi does on one.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use arrow::array::RecordBatch;
use duckdb::{Connection, ffi, params_from_iter, types::Value};

use crate::error::{Error, Result};
use crate::store::names::{quote_identifier, quote_literal};
use crate::store::pulse::Pulse;
use crate::store::worker::Worker;

/// A connection to the database instance that loaded the extension.
///
/// It sees what is committed, not the caller's own transaction, and no temporary tables. Everything here also fails where the
/// host ends no statements any more.
pub struct Session {
    worker: Worker,
}

impl Session {
    /// Takes over an open connection.
    pub(super) fn new(connection: Connection, pulse: &Arc<Pulse>) -> Result<Self> {
        Ok(Self { worker: Worker::start(connection, pulse)? })
    }

    /// Runs one or several statements whose results nobody reads.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        self.worker.ask(move |connection| connection.execute_batch(&sql).map_err(failed))
    }

    /// Runs a statement with values bound to its `?`.
    pub fn execute_with(&self, sql: &str, values: Vec<Value>) -> Result<()> {
        let sql = sql.to_owned();
        let run = move |connection: &Connection| connection.execute(&sql, params_from_iter(values)).map_err(failed);
        self.worker.ask(run).map(|_| ())
    }

    /// Checks that a query can be prepared, without running it.
    pub fn prepare(&self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        self.worker.ask(move |connection| connection.prepare(&sql).map(|_| ()).map_err(failed))
    }

    /// All rows of a small result.
    pub fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        let sql = sql.to_owned();
        self.worker.ask(move |connection| rows(connection, &sql, values))
    }

    /// Streams a large result: DuckDB never holds it whole.
    pub fn stream(&self, sql: &str, mut each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let sql = sql.to_owned();
        let read = move |connection: &Connection, hand_over: &dyn Fn(RecordBatch) -> bool| {
            let mut statement = connection.prepare(&sql).map_err(failed)?;
            for batch in statement.stream_arrow([]).map_err(failed)? {
                if !hand_over(batch.map_err(failed)?) {
                    break;
                }
            }
            Ok(())
        };
        self.worker.stream(read, |batch| each(&batch))
    }

    /// Appends rows to a table of a database and schema, until `next` has no more.
    ///
    /// # Errors
    /// The host's, those of `next`.
    pub fn append(
        &self,
        [database, schema, table]: [&str; 3],
        mut next: impl FnMut() -> Result<Option<RecordBatch>>,
    ) -> Result<()> {
        let [database, schema, table] = [database, schema, table].map(str::to_owned);
        let (sender, batches) = channel::<RecordBatch>();
        let mut sender = Some(sender);
        let write = move |connection: &Connection, ask_for_more: &dyn Fn(()) -> bool| {
            let mut appender = connection.appender_to_catalog_and_db(&table, &database, &schema).map_err(failed)?;
            while ask_for_more(()) {
                match batches.recv() {
                    Ok(batch) => appender.append_record_batch(batch).map_err(failed)?,
                    Err(_) => break,
                }
            }
            appender.flush().map_err(failed)
        };
        self.worker.stream(write, |()| {
            match (next()?, &sender) {
                // Nobody has gone who has just asked.
                (Some(batch), Some(open)) => drop(open.send(batch)),
                _ => sender = None,
            }
            Ok(())
        })
    }

    /// The setting that keeps everybody from the host's local files, in words; `None` where they are open. It lasts as long as the
    /// database is open.
    ///
    /// The names are whole, for a macro of the caller's could have the short ones.
    pub fn files_closed_by(&self) -> Result<Option<&'static str>> {
        let sql = "SELECT system.main.current_setting('enable_external_access')::INTEGER";
        let answer = self.rows(sql, Vec::new())?.into_iter().flatten().next();
        if !matches!(answer, Some(Value::Int(1))) {
            return Ok(Some("enable_external_access is false"));
        }
        // The host shows nobody which file systems are disabled, only what it refuses.
        match self.prepare("SELECT file FROM system.main.glob('')") {
            Ok(()) => Ok(None),
            Err(error) if error.is_given_up() => Err(error),
            Err(_) => Ok(Some("disabled_filesystems has LocalFileSystem")),
        }
    }

    /// Begins a transaction that may write, which is rolled back unless it is committed.
    ///
    /// A checkpoint that is forced meanwhile lets none begin until all older ones have ended, the caller's among them, maybe. So it begins in
    /// all databases at once, which listing their schemas makes it do, and how long that takes is watched.
    ///
    /// # Errors
    /// Also when it has not begun after a minute.
    pub fn begin(&self) -> Result<Transaction<'_>> {
        // There before it has begun: where nobody waits for that any more, it still has to end.
        let transaction = Transaction { session: self, open: true };
        let sql = "BEGIN TRANSACTION; SELECT count(*) FROM system.main.duckdb_schemas()";
        self.worker.ask_to_begin(|connection| connection.execute_batch(sql).map_err(failed))?;
        Ok(transaction)
    }

    /// Looks names up in one schema of one database from now on.
    pub fn use_place(&self, (database, schema): &(String, String)) -> Result<()> {
        self.use_search_path(&format!("{}.{}", quote_identifier(database), quote_identifier(schema)))
    }

    /// Looks names up as the caller would: `search_path` is the caller's setting, empty where it was never set.
    pub fn use_search_path(&self, search_path: &str) -> Result<()> {
        match search_path {
            "" => self.execute("RESET search_path"),
            path => self.execute(&format!("SET search_path = {}", quote_literal(path))),
        }
    }

    /// The database in which unqualified names are looked up first.
    pub fn current_database(&self) -> Result<String> {
        self.current_place().map(|(database, _)| database)
    }

    /// Whether a table or view of a name is committed anywhere, whatever may be wrong with it.
    pub fn knows(&self, name: &str) -> Result<bool> {
        let sql = "SELECT table_name FROM duckdb_tables() WHERE lower(table_name) = lower($1) UNION ALL \
                   SELECT view_name FROM duckdb_views() WHERE lower(view_name) = lower($1)";
        Ok(!self.rows(sql, vec![Value::Text(name.to_owned())])?.is_empty())
    }

    /// About how many rows the largest table of a name has; `None` where no table has it.
    pub fn estimated_rows(&self, name: &str) -> Result<Option<u64>> {
        let sql = "SELECT max(estimated_size)::BIGINT FROM duckdb_tables() WHERE lower(table_name) = lower($1)";
        match self.rows(sql, vec![Value::Text(name.to_owned())])?.first().map(Vec::as_slice) {
            Some([Value::BigInt(rows)]) => Ok(u64::try_from(*rows).ok()),
            _ => Ok(None),
        }
    }

    /// The database and schema in which unqualified names are looked up first.
    pub fn current_place(&self) -> Result<(String, String)> {
        match self.rows("SELECT current_database(), current_schema()", Vec::new())?.first().map(Vec::as_slice) {
            Some([Value::Text(database), Value::Text(schema)]) => Ok((database.clone(), schema.clone())),
            _ => Err(Error::new("the host did not say which schema is current")),
        }
    }

    /// An attached database, its name found as the host finds names: in any case.
    ///
    /// # Errors
    /// No such database; the message lists those that are attached.
    pub fn attached(&self, database: &str) -> Result<Attached> {
        let sql = "SELECT database_name, readonly::INTEGER FROM duckdb_databases() WHERE NOT internal ORDER BY database_name ASC";
        let all = self.rows(sql, Vec::new())?;
        let all = all.iter().filter_map(|row| match row.as_slice() {
            [Value::Text(name), Value::Int(is_read_only)] => Some((name, *is_read_only != 0)),
            _ => None,
        });
        let lower = database.to_lowercase();
        match all.clone().find(|(name, _)| name.to_lowercase() == lower) {
            Some((name, is_read_only)) => Ok(Attached { name: name.clone(), is_read_only }),
            None => Err(Error::new(format!(
                "there is no attached database {}; attached are: {}",
                quote_identifier(database),
                all.map(|(name, _)| quote_identifier(name)).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

/// A database that the host has attached.
pub struct Attached {
    /// Its name as the host spells it.
    pub name: String,
    /// Whether nothing can be stored there.
    pub is_read_only: bool,
}

/// The host's version: `v2.0.0`.
pub fn host_version() -> String {
    // SAFETY: a constant string of the host's.
    unsafe { CStr::from_ptr(ffi::duckdb_library_version()) }.to_string_lossy().into_owned()
}

/// An open transaction of a session.
pub struct Transaction<'a> {
    session: &'a Session,
    open: bool,
}

impl Transaction<'_> {
    /// Makes everything since [`Session::begin`] last.
    pub fn commit(mut self) -> Result<()> {
        self.session.execute("COMMIT")?;
        self.open = false;
        Ok(())
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // A transaction that the host has ended itself cannot be rolled back again, and need not be. Where the wait for it is given
            // up, it is still done behind what was asked for before.
            let _ = self.session.execute("ROLLBACK");
        }
    }
}

fn rows(connection: &Connection, sql: &str, values: Vec<Value>) -> Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let n_columns = row.as_ref().column_count();
        all.push((0..n_columns).map(|column| row.get(column).map_err(failed)).collect::<Result<Vec<Value>>>()?);
    }
    Ok(all)
}

/// The text of a value that is one.
pub fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Whether an error says that a schema, table or database is not there.
pub fn is_missing(error: &Error) -> bool {
    let text = error.to_string();
    text.starts_with("Catalog Error") || (text.starts_with("Binder Error: Catalog") && text.contains("does not exist"))
}

/// The host's own words, without the crate's.
fn failed(error: duckdb::Error) -> Error {
    match error {
        // What follows quotes a statement of ours, which says nothing to the caller.
        duckdb::Error::DuckDBFailure(_, Some(message)) => {
            Error::new(message.split("\n\nLINE ").next().unwrap_or_default().trim())
        }
        other => Error::new("the host could not run a statement of cofi's").with_source(other),
    }
}
