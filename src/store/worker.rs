//! A connection on a thread of its own: a function that asks for something there can stop waiting (`pulse.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use duckdb::{Connection, InterruptHandle};

use crate::ending::{self, Call};
use crate::error::{Error, Result};
use crate::store::pulse::{Beat, Pulse};

/// How long an answer is awaited before anybody asks whether there can be one.
const POLL: Duration = Duration::from_millis(500);

/// The stack of a thread that runs what is the host's: what the host's own have, which Rust's do not.
pub(super) const STACK_BYTES: usize = 8 << 20;

/// A job and its number.
type Job = (u64, Box<dyn FnOnce(&Connection) + Send>);

/// The thread that has a connection and does one job after the other.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    n_jobs: AtomicU64,
    /// The number of the job that is being done.
    running: Arc<Mutex<Option<u64>>>,
    interrupt: Arc<InterruptHandle>,
    thread: Option<JoinHandle<()>>,
    /// Whose thread it is: a process forked from it has none.
    process: u32,
    /// Of the host.
    pulse: Arc<Pulse>,
    /// Of the transactions that begin here.
    own_pulse: Arc<Pulse>,
}

impl Worker {
    /// Hands a connection over to a new thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(connection: Connection, pulse: &Arc<Pulse>) -> Result<Self> {
        let (sender, jobs) = channel::<Job>();
        let (interrupt, running) = (connection.interrupt_handle(), Arc::default());
        let now = Arc::clone(&running);
        let work = move || {
            for (number, job) in jobs {
                // Whoever waits for a job that is dropped sees that no answer will come.
                let Ok(_call) = Call::begin() else { continue };
                *lock(&now) = Some(number);
                // Whoever waits for the answer of a job that panics sees that none will come.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&connection)));
                *lock(&now) = None;
            }
        };
        let thread = thread::Builder::new().name("cofi-statements".to_owned()).stack_size(STACK_BYTES).spawn(work);
        let thread = thread.map_err(|error| {
            Error::new("cofi could not start the thread of a connection of its own").with_source(error)
        })?;
        Ok(Self {
            jobs: Some(sender),
            n_jobs: AtomicU64::new(0),
            running,
            interrupt,
            thread: Some(thread),
            process: process::id(),
            pulse: Arc::clone(pulse),
            own_pulse: Arc::default(),
        })
    }

    /// Has a job done, and waits for what becomes of it.
    ///
    /// # Errors
    /// The job's; the host ends no statements any more, or begins no transactions: then the job is interrupted and may still be done later.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (answer, answers) = sync_channel(1);
        // An answer may have nobody any more who waits for it.
        let number = self.tell(move |connection| drop(answer.send(job(connection))));
        self.next(number, &answers)?
    }

    /// The same of a job that begins a transaction and does nothing else: here it is known how long that takes at most.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(super) fn ask_to_begin(&self, job: impl FnOnce(&Connection) -> Result<()> + Send + 'static) -> Result<()> {
        let pulse = Arc::clone(&self.own_pulse);
        self.ask(move |connection| pulse.take(Beat::Begin, || job(connection)))
    }

    /// Has a job done that hands over one thing after the other, as long as somebody takes them; each is given to `take`.
    ///
    /// # Errors
    /// The job's, `take`'s, and as for [`ask`](Self::ask).
    pub(super) fn stream<R: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection, &dyn Fn(R) -> bool) -> Result<()> + Send + 'static,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let (answer, answers) = sync_channel(1);
        let number = self.tell(move |connection| {
            let done = job(connection, &|each| answer.send(Ok(Some(each))).is_ok());
            drop(answer.send(done.map(|()| None)));
        });
        while let Some(each) = self.next(number, &answers)?? {
            take(each)?;
        }
        Ok(())
    }

    fn tell(&self, job: impl FnOnce(&Connection) + Send + 'static) -> u64 {
        let number = self.n_jobs.fetch_add(1, Ordering::Relaxed);
        if let Some(jobs) = &self.jobs {
            // The thread lives as long as this does.
            let _ = jobs.send((number, Box::new(job)));
        }
        number
    }

    fn next<R>(&self, number: u64, answers: &Receiver<R>) -> Result<R> {
        loop {
            match answers.recv_timeout(POLL) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {
                    let alive = ending::check().and_then(|()| self.pulse.check(&[Beat::End, Beat::Begin]));
                    let alive = alive.and_then(|()| self.own_pulse.check(&[Beat::Begin]));
                    alive.inspect_err(|_| self.interrupt(number))?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    ending::check()?;
                    return Err(Error::new("a statement of cofi's own failed unexpectedly; please report this"));
                }
            }
        }
    }

    /// Interrupts a job, if it is being done: while its number is locked, none that comes after it can be meant.
    fn interrupt(&self, number: u64) {
        let running = lock(&self.running);
        if *running == Some(number) {
            self.interrupt.interrupt();
        }
    }
}

/// A number is never half written.
fn lock(running: &Mutex<Option<u64>>) -> MutexGuard<'_, Option<u64>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Worker {
    /// Closes the connection.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && self.process == process::id()
        {
            // It contains all panics.
            let _ = thread.join();
        }
    }
}
