//! The connections that cofi keeps to the database instance that loaded it.
//!
//! A function cannot run a query on its caller's connection, and the handle that the entry point is given does not
//! outlive loading, so the connections are opened then and kept: one to read models, one for trainings, one to watch.
//! A kept connection pins the database: its file would stay locked after the user's last `close()`. So a small thread
//! counts the connections, and when only ours have existed for half a second it drops them, which closes the database. The same
//! thread feels the host's pulse (`pulse.rs`).
//! `SET GLOBAL cofi_keep_connection = true` keeps them for hosts that hold a database open without any connection.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use duckdb::{Connection, ffi, types::Value};

use crate::ending;
use crate::error::{Error, Result};
use crate::ratings::Intake;
use crate::store::cache::ModelCache;
use crate::store::exit::Watcher;
use crate::store::helper::Tasks;
use crate::store::pulse::{Beat, Pulse};
use crate::store::session::{Session, Transaction};

/// The setting that keeps the connections.
pub const KEEP_CONNECTION: &str = "cofi_keep_connection";

/// How long nobody else must have been connected before ours are dropped.
const GRACE: Duration = Duration::from_millis(500);

/// How long the end of the process waits for whatever still uses them, a helper that has not seen yet that it is done.
const AT_EXIT: Duration = Duration::from_secs(1);

/// One database instance of the host, as cofi sees it.
pub struct Database {
    reading: Mutex<Option<Session>>,
    training: Mutex<Option<Session>>,
    /// Whose threads the connections have: a process forked from it has none of them, and maybe a lock that nobody gives back.
    process: u32,
    /// The host's numbers of the connections above, to recognise a function called from one of them.
    reading_id: u64,
    training_id: u64,
    /// Where the ratings go that the connection for trainings reads just now, and the number that its query shows for it.
    intake: Mutex<Option<(u64, Arc<Intake>)>>,
    tasks: Arc<Tasks>,
    pulse: Arc<Pulse>,
    cache: ModelCache,
}

impl Database {
    /// Opens cofi's connections, and starts the thread that drops them when they are the last ones.
    ///
    /// # Safety
    /// `handle` is the database handle of a host that is loading this extension right now.
    pub unsafe fn open(handle: ffi::duckdb_database) -> Result<Arc<Self>> {
        ending::begin_process();
        // SAFETY: the caller's promise, three times.
        let (reading, training, watching) = unsafe { (connect(handle)?, connect(handle)?, connect(handle)?) };
        let pulse = Arc::default();
        let (reading, training) = (Session::new(reading, &pulse)?, Session::new(training, &pulse)?);
        let database = Arc::new(Self {
            process: std::process::id(),
            reading_id: connection_id(&reading)?,
            training_id: connection_id(&training)?,
            reading: Mutex::new(Some(reading)),
            training: Mutex::new(Some(training)),
            intake: Mutex::new(None),
            // SAFETY: the caller's promise.
            tasks: unsafe { Tasks::of(handle) },
            pulse,
            cache: ModelCache::default(),
        });
        let watched = Arc::downgrade(&database);
        let watcher = Watcher::count();
        thread::Builder::new()
            .name("cofi-watch".to_owned())
            .spawn(move || watch(watcher, watching, &watched))
            .map_err(|error| {
                Error::new("cofi could not start the thread that watches for the last connection").with_source(error)
            })?;
        Ok(database)
    }

    /// The connection that reads models, all as of one moment.
    ///
    /// # Errors
    /// The connections were released; `caller` is this very connection.
    pub fn reading(&self, caller: u64) -> Result<Kept<'_>> {
        if caller == self.reading_id {
            return Err(Error::new(
                "cofi functions cannot be used in views that stand in for the tables of cofi_store",
            ));
        }
        self.lock(&self.reading)
    }

    /// The connection for trainings, reading all as of one moment; held while ratings are read and while a model is saved, not in between.
    ///
    /// # Errors
    /// The connections were released; `caller` is one of cofi's own.
    pub fn training(&self, caller: u64) -> Result<Kept<'_>> {
        if caller == self.training_id || caller == self.reading_id {
            return Err(Error::new(
                "a table function of cofi cannot be called inside a query that cofi itself reads; store its result in a table first",
            ));
        }
        self.lock(&self.training)
    }

    fn lock<'a>(&self, slot: &'a Mutex<Option<Session>>) -> Result<Kept<'a>> {
        if self.process != std::process::id() {
            return Err(Error::given_up(
                "this process was forked from one that had loaded cofi, whose threads it has not; open the database anew in it",
            ));
        }
        Kept::lock(slot)
    }

    /// Runs a query on the connection for trainings whose rows the function `__cofi_read` brings to `intake`, on the host's threads
    /// and out of the host's own memory. `sql` is given the number that the function wants to see.
    ///
    /// # Errors
    /// Those of the host, and of the function in the host's words.
    pub fn bring(&self, training: &Kept<'_>, intake: &Arc<Intake>, sql: impl FnOnce(u64) -> String) -> Result<()> {
        // Nobody can guess it, so that the function cannot be called in the query that the ratings come from.
        let number = RandomState::new().build_hasher().finish() >> 2;
        let _taken_back = Finally(|| *self.shown() = None);
        *self.shown() = Some((number, Arc::clone(intake)));
        let _help = (intake.threads() > 1).then(|| self.tasks.help());
        training.execute(&sql(number))
    }

    /// Where ratings go that are read on the connection `caller` by a query that shows `number`.
    ///
    /// # Errors
    /// No such query runs there.
    pub fn intake(&self, caller: u64, number: Option<u64>) -> Result<Arc<Intake>> {
        let shown =
            self.shown().clone().filter(|(of_query, _)| caller == self.training_id && Some(*of_query) == number);
        shown.map(|(_, intake)| intake).ok_or_else(|| {
            Error::new(
                "only cofi itself can call it, while it reads the ratings of a training; call cofi_train instead",
            )
        })
    }

    fn shown(&self) -> MutexGuard<'_, Option<(u64, Arc<Intake>)>> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asked now and then by what works for long without asking the host for anything.
    ///
    /// # Errors
    /// The host ends no statements any more.
    pub fn check_pulse(&self) -> Result<()> {
        self.pulse.check(&[Beat::End])
    }

    /// The models read so far.
    pub fn cache(&self) -> &ModelCache {
        &self.cache
    }

    /// Drops the connections, unless one is in use, or a thread still helps the host.
    fn release(&self) -> bool {
        let (Some(mut reading), Some(mut training)) = (try_lock(&self.reading), try_lock(&self.training)) else {
            return false;
        };
        if !self.tasks.are_alone() {
            return false;
        }
        *reading = None;
        *training = None;
        true
    }
}

/// What is done at the end of a scope, also when it ends in a panic.
struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Drops the connections, its own last, when nobody else has been connected for a while or the process ends.
///
/// With the last connection goes the database, on this thread; `_watcher` is told of it when that is done.
fn watch(_watcher: Watcher, watching: Connection, database: &Weak<Database>) {
    let mut alone_since = None;
    loop {
        let is_exiting = Watcher::sleep();
        let Some(database) = database.upgrade() else { return };
        database.pulse.take(Beat::End, || drop(watching.execute_batch("SELECT 1")));
        if !database.pulse.take(Beat::Begin, || may_release(&watching, is_exiting)) {
            alone_since = None;
        } else if is_exiting {
            let begun = Instant::now();
            while !database.release() && begun.elapsed() < AT_EXIT {
                thread::sleep(Duration::from_millis(1));
            }
        } else if alone_since.get_or_insert_with(Instant::now).elapsed() >= GRACE && database.release() {
            return;
        }
        if is_exiting {
            return;
        }
    }
}

/// Whether nobody else is connected and nobody asked to keep the connections, which counts while the process lives. A
/// question that cannot be answered is no reason to let go. The names are whole, for a macro of a user's could have the short ones.
fn may_release(watching: &Connection, is_exiting: bool) -> bool {
    let is_kept = || is_true(watching, &format!("SELECT system.main.current_setting('{KEEP_CONNECTION}')::INTEGER"));
    is_true(watching, "SELECT (count <= 3)::INTEGER FROM system.main.duckdb_connection_count()") == Some(true)
        && (is_exiting || is_kept() == Some(false))
}

const BEGIN_READING: &str = "BEGIN TRANSACTION READ ONLY";

/// A locked connection, on which all that is asked is of one moment.
pub struct Kept<'a> {
    slot: MutexGuard<'a, Option<Session>>,
}

impl<'a> Kept<'a> {
    fn lock(slot: &'a Mutex<Option<Session>>) -> Result<Self> {
        // A panic while it was held left no transaction behind that the next statement would not report itself.
        let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            return Err(Error::new(format!(
                "cofi let go of its connections when this database had no other connection for half a second; open the database \
                 anew, and where a database is kept open without a connection (a pool, say) run SET GLOBAL {KEEP_CONNECTION} = \
                 true right after LOAD cofi"
            )));
        }
        // There before the moment has begun: where nobody waits for that any more, it still has to end.
        let kept = Self { slot };
        // Nothing that waits for others to end holds up a transaction that cannot write, a forced checkpoint least of all.
        kept.execute(BEGIN_READING)?;
        Ok(kept)
    }

    /// As of a new moment from now on, also where an error has ended the old one.
    pub fn anew(&self) -> Result<()> {
        self.execute("ROLLBACK")?;
        self.execute(BEGIN_READING)
    }

    /// Ends the moment, and begins a transaction that may write.
    ///
    /// # Errors
    /// Those of [`Session::begin`].
    pub fn write(&self) -> Result<Transaction<'_>> {
        self.execute("ROLLBACK")?;
        self.begin()
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // There is nothing to undo, nor anything open where something was written; an error has been told already.
        let _ = self.execute("ROLLBACK");
    }
}

impl std::ops::Deref for Kept<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self.slot.as_ref() {
            Some(session) => session,
            None => unreachable!("checked when it was locked, and only its holder could empty it"),
        }
    }
}

/// # Safety
/// `handle` is the database handle of a host that is loading this extension right now.
unsafe fn connect(handle: ffi::duckdb_database) -> Result<Connection> {
    // SAFETY: the handle is valid while the extension is being loaded; the connection does not close it.
    let connection = unsafe { Connection::open_from_raw(handle) };
    connection
        .map_err(|error| Error::new("cofi could not open a connection of its own to the database").with_source(error))
}

/// The host's number for a connection, the one that the context of a function called from it shows.
fn connection_id(session: &Session) -> Result<u64> {
    match session.rows("SELECT current_connection_id()", Vec::new())?.pop().and_then(|mut row| row.pop()) {
        Some(Value::UBigInt(id)) => Ok(id),
        _ => Err(Error::new("the host did not number cofi's connection")),
    }
}

fn is_true(connection: &Connection, question: &str) -> Option<bool> {
    connection.query_row(question, [], |row| row.get::<_, i32>(0)).ok().map(|answer| answer != 0)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
