//! Whether the host still ends statements.
//!
//! When `threads` is changed, the statement that did it, and any other that ends then, waits for all threads of the host's pool to
//! leave, behind a lock that every statement takes when it ends. A function of cofi's on one of these threads that waits for
//! a statement of cofi's own would keep that lock for ever. Nothing of the host's tells that this is so; that a statement which needs nothing does not
//! end does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long the host must not have ended a statement.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it must last that it looks so: a process that was stopped goes on in any order.
const TO_BE_SURE: Duration = Duration::from_millis(500);

/// Statements that need nothing, run by one thread now and then.
#[derive(Default)]
pub(super) struct Pulse {
    running_since: Mutex<Option<Instant>>,
}

impl Pulse {
    /// Runs such a statement.
    pub(super) fn take(&self, statement: impl FnOnce()) {
        *self.lock() = Some(Instant::now());
        statement();
        *self.lock() = None;
    }

    /// Errors where the host has not ended a statement for a long time.
    ///
    /// # Errors
    /// That, with the reason.
    pub(super) fn check(&self) -> Result<()> {
        if !self.has_stopped() {
            return Ok(());
        }
        std::thread::sleep(TO_BE_SURE);
        if !self.has_stopped() {
            return Ok(());
        }
        Err(Error::new(format!(
            "DuckDB has not ended any statement for {} seconds; the setting threads was changed, it seems, for which it waits until this one leaves \
             its threads: it is given up, though what it had begun may still take effect; run it again, and change threads while no function of cofi runs",
            PATIENCE.as_secs()
        )))
    }

    fn has_stopped(&self) -> bool {
        self.lock().is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Nothing here is half done when its holder panics.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.running_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
