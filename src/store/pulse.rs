//! Whether the host still ends statements and begins transactions.
//!
//! When `threads` is changed, the statement that did it, and any other that ends then, waits for all threads of the host's pool to
//! leave, behind a lock that every statement takes when it ends. A function of cofi's on one of these threads that waits for
//! a statement of cofi's own would keep that lock for ever. Nothing of the host's tells that this is so; that a statement which
//! needs nothing does not end does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long it must last that it looks so: a process that was stopped goes on in any order.
const TO_BE_SURE: Duration = Duration::from_millis(500);

/// What a statement needs of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// That it ends; it reads no table, not even the host's own.
    End,
    /// A transaction, too, which a checkpoint may hold up for a while.
    Begin,
}

impl Beat {
    /// How long such a statement must have been held up.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Beat::End => 10,
            Beat::Begin => 60,
        })
    }

    fn stopped(self) -> Error {
        let seconds = self.patience().as_secs();
        let given_up = "it is given up, though what it had begun may still take effect; run it again, and";
        Error::given_up(match self {
            Beat::End => format!(
                "DuckDB has not ended any statement for {seconds} seconds; the setting threads was changed, it seems, for which it waits until \
                 this one leaves its threads: {given_up} change threads while no function of cofi runs"
            ),
            Beat::Begin => format!(
                "DuckDB has not begun any transaction for {seconds} seconds; it waits, it seems, until this one ends: {given_up} change threads \
                 or FORCE CHECKPOINT while no function of cofi runs"
            ),
        })
    }
}

/// Statements that one thread runs now and then to see whether they end.
#[derive(Default)]
pub(super) struct Pulse {
    running: Mutex<Option<(Beat, Instant)>>,
}

impl Pulse {
    /// Runs such a statement.
    pub(super) fn take<R>(&self, beat: Beat, statement: impl FnOnce() -> R) -> R {
        *self.lock() = Some((beat, Instant::now()));
        let answer = statement();
        *self.lock() = None;
        answer
    }

    /// Errors where a statement that needs one of `beats` has been held up for too long.
    ///
    /// # Errors
    /// That, with the reason.
    pub(super) fn check(&self, beats: &[Beat]) -> Result<()> {
        let stopped = || self.stopped().filter(|beat| beats.contains(beat));
        if stopped().is_none() {
            return Ok(());
        }
        std::thread::sleep(TO_BE_SURE);
        stopped().map_or(Ok(()), |beat| Err(beat.stopped()))
    }

    fn stopped(&self) -> Option<Beat> {
        let (beat, since) = (*self.lock())?;
        (since.elapsed() >= beat.patience()).then_some(beat)
    }

    /// Nothing here is half done when its holder panics.
    fn lock(&self) -> MutexGuard<'_, Option<(Beat, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
