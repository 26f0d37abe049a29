//! The connections that cofi keeps to the database instance that loaded it.
//!
//! A function cannot run a query on its caller's connection, and the handle that the entry point is given does not
//! outlive loading, so the connections are opened then and kept: one to read models, one for trainings, one to watch.
//! A kept connection pins the database: its file would stay locked after the user's last `close()`. So a small thread
//! counts the connections, and when only ours have existed for half a second it drops them, which closes the database.
//! `SET GLOBAL cofi_keep_connection = true` keeps them for hosts that hold a database open without any connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use duckdb::{Connection, ffi, types::Value};

use crate::error::{Error, Result};
use crate::store::cache::ModelCache;
use crate::store::session::Session;

/// The setting that keeps the connections.
pub const KEEP_CONNECTION: &str = "cofi_keep_connection";

/// How often the watcher counts connections.
const POLL: Duration = Duration::from_millis(100);

/// How long nobody else must have been connected before ours are dropped.
const GRACE: Duration = Duration::from_millis(500);

/// How long the end of the process waits for a watcher in the middle of a query.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// One database instance of the host, as cofi sees it.
pub struct Database {
    reading: Mutex<Option<Session>>,
    training: Mutex<Option<Session>>,
    /// The host's numbers of the connections above, to recognise a function called from one of them.
    reading_id: u64,
    training_id: u64,
    cache: ModelCache,
}

impl Database {
    /// Opens cofi's connections and starts to watch when they are the last ones.
    ///
    /// # Safety
    /// `handle` is the database handle of a host that is loading this extension right now.
    pub unsafe fn open(handle: ffi::duckdb_database) -> Result<(Arc<Self>, Session)> {
        // SAFETY: the caller's promise, three times.
        let (reading, training, watching) = unsafe { (connect(handle)?, connect(handle)?, connect(handle)?) };
        let database = Arc::new(Self {
            reading_id: connection_id(&reading)?,
            training_id: connection_id(&training)?,
            reading: Mutex::new(Some(reading)),
            training: Mutex::new(Some(training)),
            cache: ModelCache::default(),
        });
        Ok((database, watching))
    }

    /// Starts the thread that drops the connections when they are the last ones.
    pub fn watch(self: &Arc<Self>, watching: Session) -> Result<()> {
        let database = Arc::downgrade(self);
        let _ = exit_gate();
        thread::Builder::new()
            .name("cofi-watch".to_owned())
            .spawn(move || {
                let mut alone_since = None;
                loop {
                    thread::sleep(POLL);
                    let _gate = exit_gate().lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(database) = database.upgrade() else { return };
                    if others_are_connected(&watching) {
                        alone_since = None;
                        continue;
                    }
                    if alone_since.get_or_insert_with(Instant::now).elapsed() >= GRACE && database.release() {
                        // The last connection goes with `watching`, and with it perhaps the database and its functions.
                        return;
                    }
                }
            })
            .map(|_| ())
            .map_err(|error| {
                Error::new("cofi could not start the thread that watches for the last connection").with_source(error)
            })
    }

    /// The connection that reads models.
    ///
    /// # Errors
    /// The connections were released; `caller` is this very connection.
    pub fn reading(&self, caller: u64) -> Result<Kept<'_>> {
        if caller == self.reading_id {
            return Err(Error::new(
                "cofi functions cannot be used in views that stand in for the tables of cofi_store",
            ));
        }
        Kept::lock(&self.reading)
    }

    /// The connection for trainings; held while ratings are read and while a model is saved, not in between.
    ///
    /// # Errors
    /// The connections were released; `caller` is one of cofi's own.
    pub fn training(&self, caller: u64) -> Result<Kept<'_>> {
        if caller == self.training_id || caller == self.reading_id {
            return Err(Error::new(
                "a function that writes cannot be called inside the query of a training; store its result in a table first",
            ));
        }
        Kept::lock(&self.training)
    }

    /// The models read so far.
    pub fn cache(&self) -> &ModelCache {
        &self.cache
    }

    /// Drops the connections, unless one is in use.
    fn release(&self) -> bool {
        let (Some(mut reading), Some(mut training)) = (try_lock(&self.reading), try_lock(&self.training)) else {
            return false;
        };
        *reading = None;
        *training = None;
        true
    }
}

/// A locked connection.
pub struct Kept<'a>(MutexGuard<'a, Option<Session>>);

impl<'a> Kept<'a> {
    fn lock(slot: &'a Mutex<Option<Session>>) -> Result<Self> {
        // A panic while it was held left no transaction behind that the next statement would not report itself.
        let guard = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            return Err(Error::new(format!(
                "cofi let go of its connections when this database had no other connection for half a second; open the database \
                 anew, and where a database is kept open without a connection (a pool, say) run SET GLOBAL {KEEP_CONNECTION} = \
                 true right after LOAD cofi"
            )));
        }
        Ok(Self(guard))
    }
}

impl std::ops::Deref for Kept<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self.0.as_ref() {
            Some(session) => session,
            None => unreachable!("checked when it was locked, and only its holder could empty it"),
        }
    }
}

/// # Safety
/// `handle` is the database handle of a host that is loading this extension right now.
unsafe fn connect(handle: ffi::duckdb_database) -> Result<Session> {
    // SAFETY: the handle is valid while the extension is being loaded; the connection does not close it.
    match unsafe { Connection::open_from_raw(handle) } {
        Ok(connection) => Ok(Session::new(connection)),
        Err(error) => Err(Error::new("cofi could not open a connection of its own to the database").with_source(error)),
    }
}

/// The host's number for a connection, the one that the context of a function called from it shows.
fn connection_id(session: &Session) -> Result<u64> {
    match session.rows("SELECT current_connection_id()", Vec::new())?.pop().and_then(|mut row| row.pop()) {
        Some(Value::UBigInt(id)) => Ok(id),
        _ => Err(Error::new("the host did not number cofi's connection")),
    }
}

fn others_are_connected(session: &Session) -> bool {
    let sql = format!("SELECT count > 3 OR current_setting('{KEEP_CONNECTION}') FROM duckdb_connection_count()");
    // A question that cannot be answered is no reason to let go.
    !matches!(
        session.rows(&sql, Vec::new()).ok().and_then(|rows| rows.into_iter().flatten().next()),
        Some(Value::Boolean(false))
    )
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Held by a watcher that is inside the host, and for good once the process ends: a query that ran on while the host's
/// own globals are destroyed would crash a process that is done. The one thing shared by all instances, for the
/// end of a process comes to all of them.
fn exit_gate() -> &'static Mutex<()> {
    static GATE: OnceLock<Mutex<()>> = OnceLock::new();
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    let gate = GATE.get_or_init(Mutex::default);
    if !REGISTERED.swap(true, Ordering::SeqCst) {
        // SAFETY: the handler is a plain function of this library, which the host never unloads.
        unsafe { libc::atexit(close_exit_gate) };
    }
    gate
}

extern "C" fn close_exit_gate() {
    let waiting_since = Instant::now();
    while waiting_since.elapsed() < EXIT_PATIENCE {
        match exit_gate().try_lock() {
            Ok(guard) => return std::mem::forget(guard),
            Err(TryLockError::Poisoned(poisoned)) => return std::mem::forget(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    }
}
