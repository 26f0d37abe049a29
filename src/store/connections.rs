//! The connections that cofi keeps to the database instance that loaded it.
//!
//! A function cannot run a query on its caller's connection, and the handle that the entry point is given does not
//! outlive loading, so the connections are opened then and kept: one to read models, one for trainings, one to watch.
//! A kept connection pins the database: its file would stay locked after the user's last `close()`. So a small thread
//! counts the connections, and when only ours have existed for half a second it drops them, which closes the database.
//! `SET GLOBAL cofi_keep_connection = true` keeps them for hosts that hold a database open without any connection.

use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError, Weak};
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
    watching: Mutex<Option<Session>>,
    /// The host's numbers of the first two, to recognise a function called from one of them.
    reading_id: u64,
    training_id: u64,
    cache: ModelCache,
}

impl Database {
    /// Opens cofi's connections.
    ///
    /// # Safety
    /// `handle` is the database handle of a host that is loading this extension right now.
    pub unsafe fn open(handle: ffi::duckdb_database) -> Result<Arc<Self>> {
        // SAFETY: the caller's promise, three times.
        let (reading, training, watching) = unsafe { (connect(handle)?, connect(handle)?, connect(handle)?) };
        Ok(Arc::new(Self {
            reading_id: connection_id(&reading)?,
            training_id: connection_id(&training)?,
            reading: Mutex::new(Some(reading)),
            training: Mutex::new(Some(training)),
            watching: Mutex::new(Some(watching)),
            cache: ModelCache::default(),
        }))
    }

    /// Starts the thread that drops the connections when they are the last ones.
    pub fn watch(self: &Arc<Self>) -> Result<()> {
        release_at_exit(Arc::downgrade(self));
        let database = Arc::downgrade(self);
        thread::Builder::new()
            .name("cofi-watch".to_owned())
            .spawn(move || {
                let mut alone_since = None;
                loop {
                    thread::sleep(POLL);
                    let Some(database) = database.upgrade() else { return };
                    let mut watching = database.watching.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(session) = &*watching else { return };
                    if is_kept(session) || others_are_connected(session) {
                        alone_since = None;
                    } else if alone_since.get_or_insert_with(Instant::now).elapsed() >= GRACE
                        && database.release(&mut watching)
                    {
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

    /// Drops the connections, unless one is in use. With the last one goes the database, if nobody else is connected.
    fn release(&self, watching: &mut Option<Session>) -> bool {
        let (Some(mut reading), Some(mut training)) = (try_lock(&self.reading), try_lock(&self.training)) else {
            return false;
        };
        *reading = None;
        *training = None;
        *watching = None;
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

/// Whether somebody besides cofi is connected; a question that cannot be answered is no reason to let go.
fn others_are_connected(session: &Session) -> bool {
    is_true(session, "SELECT count > 3 FROM duckdb_connection_count()").unwrap_or(true)
}

fn is_kept(session: &Session) -> bool {
    is_true(session, &format!("SELECT current_setting('{KEEP_CONNECTION}')")).unwrap_or(true)
}

fn is_true(session: &Session, question: &str) -> Option<bool> {
    match session.rows(question, Vec::new()).ok()?.into_iter().flatten().next() {
        Some(Value::Boolean(answer)) => Some(answer),
        _ => None,
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The instances that have connections of cofi: the one thing that all share, for the end of a process comes to all.
static LIVE: Mutex<Vec<Weak<Database>>> = Mutex::new(Vec::new());

/// Has the connections dropped when the process ends, if they are the last ones: a program that closes its database and
/// ends within half a second finds it closed, its log merged into the file.
fn release_at_exit(database: Weak<Database>) {
    static REGISTERED: Once = Once::new();
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|database| database.strong_count() > 0);
    live.push(database);
    // SAFETY: the handler is a plain function of this library, which the host never unloads.
    REGISTERED.call_once(|| {
        unsafe { libc::atexit(at_exit) };
    });
}

/// Registered when the host had long begun, so it runs before the host's own globals are destroyed.
extern "C" fn at_exit() {
    // Nobody may be told anything any more; that nothing unwinds into C is what matters.
    let _ = catch_unwind(|| {
        let live = std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner));
        for database in live.iter().filter_map(Weak::upgrade) {
            let Some(mut watching) = lock_patiently(&database.watching) else { continue };
            if watching.as_ref().is_some_and(|session| !others_are_connected(session)) {
                database.release(&mut watching);
            }
            // Kept for good: a watcher that asked the host again while its globals are destroyed would crash the process.
            std::mem::forget(watching);
            std::mem::forget(Arc::clone(&database));
        }
    });
}

fn lock_patiently<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let waiting_since = Instant::now();
    loop {
        match try_lock(mutex) {
            Some(guard) => return Some(guard),
            None if waiting_since.elapsed() >= EXIT_PATIENCE => return None,
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}
