//! A thread that works for the host while cofi keeps one of the host's waiting.
//!
//! A function that runs a query does so on one of the host's threads, and the thread on which the function's caller
//! waits takes tasks of the caller's query only. So of the threads that the user allowed one would stand idle: one of two, often.
//! The host lets others run its tasks; it does not say whose. A helper may therefore be in the middle of somebody
//! else's query when its own is done, and is not waited for, lest two trainings wait for each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use duckdb::ffi;

use crate::store::worker::STACK_BYTES;

/// How long a helper that found nothing to do waits before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// The tasks that wait to be run by any thread in one database instance of the host.
pub(super) struct Tasks {
    state: ffi::duckdb_task_state,
    /// Threads that help, and some that have.
    helpers: Mutex<Vec<JoinHandle<()>>>,
}

// SAFETY: the host's task state is made for being shared by threads: a reference to its scheduler and an atomic flag.
unsafe impl Send for Tasks {}
// SAFETY: as above.
unsafe impl Sync for Tasks {}

impl Tasks {
    /// # Safety
    /// `database` is the database handle of a host that is loading this extension right now.
    pub(super) unsafe fn of(database: ffi::duckdb_database) -> Arc<Self> {
        // SAFETY: the caller's promise; the state refers to the database instance, not to the handle.
        let state = unsafe { ffi::duckdb_create_task_state(database) };
        Arc::new(Self { state, helpers: Mutex::default() })
    }

    /// Has a thread run tasks until the returned value is dropped. If the system gives no thread, there is no help.
    ///
    /// The caller keeps the database open until [`are_alone`](Self::are_alone).
    pub(super) fn help(self: &Arc<Self>) -> Helper {
        let is_done = Arc::new(AtomicBool::new(false));
        let (tasks, until) = (Arc::clone(self), Arc::clone(&is_done));
        let helping = thread::Builder::new().name("cofi-help".to_owned()).stack_size(STACK_BYTES);
        let thread = helping.spawn(move || tasks.run(&until)).ok().map(|helping| {
            let thread = helping.thread().clone();
            self.still_helping().push(helping);
            thread
        });
        Helper { is_done, thread }
    }

    /// Whether no helper is left, nor anything that the host keeps for one.
    pub(super) fn are_alone(&self) -> bool {
        self.still_helping().is_empty()
    }

    fn still_helping(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        let mut helpers = self.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in helpers.extract_if(.., |helper| helper.is_finished()) {
            // Nothing in it panics; its end is waited for, as the host's thread-local values go with it.
            drop(gone.join());
        }
        helpers
    }

    fn run(&self, is_done: &AtomicBool) {
        while !is_done.load(Ordering::Acquire) {
            // SAFETY: the database is open, as the caller of `help` promised. The host's tasks (ExecutorTask, BaseExecutorTask) contain
            // what they throw; from others an exception would end the process here as on the host's own threads.
            if unsafe { ffi::duckdb_execute_n_tasks_state(self.state, 1) } == 0 {
                thread::park_timeout(PAUSE);
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // SAFETY: it was created once, is destroyed once, and no thread has it any more.
        unsafe { ffi::duckdb_destroy_task_state(self.state) };
    }
}

/// Help that ends with this value, after the task that is being run.
pub(super) struct Helper {
    is_done: Arc<AtomicBool>,
    thread: Option<Thread>,
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
