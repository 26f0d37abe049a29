//! The end of the process, told to the threads that watch databases.
//!
//! A program that closes its database and ends at once would leave the database open, its log not merged into the file,
//! as cofi's connections still pin it. And a thread that asked the host anything while the host's own globals are
//! destroyed would crash a process that is done. So the process's end waits until every watcher has let go. Each does that
//! on its own thread: the thread that ends the process has lost its thread-local values by then.
//!
//! This is all that the instances of one process share, besides the loaded library.

use std::panic::catch_unwind;
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use crate::ending;

/// How often a watcher looks.
const POLL: Duration = Duration::from_millis(100);

/// How long the end of the process waits for the watchers, which may have a database to close.
const PATIENCE: Duration = Duration::from_secs(10);

static STATE: Mutex<State> = Mutex::new(State { is_exiting: false, n_watchers: 0, process: 0 });
static CHANGED: Condvar = Condvar::new();

struct State {
    is_exiting: bool,
    n_watchers: usize,
    /// Whose threads the watchers are: a process forked from it has none of them.
    process: u32,
}

/// A watcher, counted as long as this value lives.
pub struct Watcher(());

impl Watcher {
    /// Counts one more watcher.
    pub fn count() -> Self {
        static REGISTERED: Once = Once::new();
        // SAFETY: the handler is a plain function of this library, which the host never unloads.
        REGISTERED.call_once(|| {
            unsafe { libc::atexit(wait_for_watchers) };
            // Runs before it: handlers run backwards.
            ending::wait_at_exit();
        });
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != std::process::id() {
            state.process = std::process::id();
            state.n_watchers = 0;
        }
        state.n_watchers += 1;
        Self(())
    }

    /// Sleeps until it is time to look again; whether the process is ending.
    pub fn sleep() -> bool {
        let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = CHANGED.wait_timeout_while(state, POLL, |state| !state.is_exiting);
        let (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        state.is_exiting
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.n_watchers = state.n_watchers.saturating_sub(1);
        CHANGED.notify_all();
    }
}

/// Registered when the host had long begun, so it runs before the host's own globals are destroyed.
extern "C" fn wait_for_watchers() {
    // Nobody may be told anything any more; that nothing unwinds into C is what matters.
    let _ = catch_unwind(|| {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != std::process::id() {
            return;
        }
        state.is_exiting = true;
        CHANGED.notify_all();
        let _ = CHANGED.wait_timeout_while(state, PATIENCE, |state| state.n_watchers > 0);
    });
}
