//! The end of the process, which finds threads in the middle of something: the globals of the host and of ONNX Runtime are destroyed then,
//! and a thread that went on with them would crash a process that is done.
//!
//! So every statement of cofi's own and every call into ONNX Runtime is counted. When the process ends, no new one is let in, and those under
//! way are waited for: steps, mostly, of milliseconds, and statements, which are interrupted.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use crate::error::{Error, Result};

/// How long the end of the process waits for a call, which may be compiling a large step.
const PATIENCE: Duration = Duration::from_secs(3);

/// The calls that are under way, and [`ENDING`] on top when the process ends.
static CALLS: AtomicUsize = AtomicUsize::new(0);
const ENDING: usize = 1 << (usize::BITS - 1);

/// Whose calls they are: a process forked from it has none of its threads.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// A call that is under way as long as this value lives.
pub struct Call(());

impl Call {
    /// Counts one more call.
    ///
    /// # Errors
    /// The process is ending.
    pub fn begin() -> Result<Self> {
        // Counted before anybody looks: either the end sees the call, or the call the end.
        CALLS.fetch_add(1, Ordering::SeqCst);
        let call = Self(());
        check().map(|()| call)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Asked by whatever takes long.
///
/// # Errors
/// The process is ending.
pub fn check() -> Result<()> {
    match CALLS.load(Ordering::SeqCst) & ENDING {
        0 => Ok(()),
        _ => Err(Error::given_up("the process is ending")),
    }
}

/// Makes a thread wait that would go back to the host with an error while the process is ending, long enough for that: what it would find there
/// may be destroyed already.
pub fn stay_out() {
    if check().is_err() {
        thread::sleep(PATIENCE);
    }
}

/// Says, before the first of them, that calls are those of this process: those that were under way in one that it was forked from never end here.
pub fn begin_process() {
    let before = PROCESS.swap(process::id(), Ordering::SeqCst);
    if before != 0 && before != process::id() {
        CALLS.store(0, Ordering::SeqCst);
    }
}

/// Has the end of the process wait for calls, before the globals are destroyed that have been made until now. Those of a library may be made as
/// late as when they are first needed, so this is said again after that: a process that ends while its first session is being made may
/// still crash.
pub fn wait_at_exit() {
    // SAFETY: the handler is a plain function of this library, which the host never unloads; it does not panic.
    unsafe { libc::atexit(wait_for_calls) };
}

/// The same, for the last time in a process: nothing of a library is made any later.
pub fn all_is_made() {
    static ONCE: Once = Once::new();
    ONCE.call_once(wait_at_exit);
}

extern "C" fn wait_for_calls() {
    if PROCESS.load(Ordering::SeqCst) != process::id() {
        return;
    }
    CALLS.fetch_or(ENDING, Ordering::SeqCst);
    let begun = Instant::now();
    while CALLS.load(Ordering::SeqCst) != ENDING && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
}
