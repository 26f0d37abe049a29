//! Work that has nothing to do with a run, on its way to the threads of that run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::graph::Other;

/// Where the caller of a session leaves work for a kernel to take.
#[derive(Default)]
pub struct Beside(Mutex<Option<Waiting>>);

/// A borrow that [`Beside::during`] outlasts.
struct Waiting(*mut (dyn FnMut() + Send));

// SAFETY: the work may be done on any thread, and who takes it has it alone.
unsafe impl Send for Waiting {}

impl Beside {
    /// Calls `run`, and `other` once: meanwhile where somebody does it in [`work`](Self::work), else afterwards.
    pub fn during<T>(&self, other: Other<'_>, run: impl FnOnce() -> T) -> T {
        // SAFETY: only the lifetime changes; `Emptied` sees to it that nobody has the work when this function ends.
        let other = unsafe { std::mem::transmute::<*mut (dyn FnMut() + Send + '_), *mut (dyn FnMut() + Send)>(other) };
        *self.lock() = Some(Waiting(other));
        let emptied = Emptied(self);
        let result = run();
        self.work();
        drop(emptied);
        result
    }

    /// Does what waits, if anything.
    pub fn work(&self) {
        let mut waiting = self.lock();
        if let Some(Waiting(other)) = waiting.take() {
            // SAFETY: it was there, so `during` has not ended, which waits for the lock; it was taken, so nobody else has it.
            unsafe { (*other)() };
        }
    }

    /// A panic while work is done leaves nothing behind that could be half done.
    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes back what was left, also when a run panics.
struct Emptied<'a>(&'a Beside);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    #[test]
    fn work_is_done_once_meanwhile_or_afterwards() {
        let beside = Beside::default();
        for takers in 0..3 {
            let mut places = Vec::new();
            let here = thread::current().id();
            let result = beside.during(&mut || places.push(thread::current().id()), || {
                thread::scope(|scope| (0..takers).for_each(|_| drop(scope.spawn(|| beside.work()))));
                takers
            });
            assert_eq!((result, places.len()), (takers, 1));
            assert_eq!(places[0] == here, takers == 0);
        }
    }

    #[test]
    fn nothing_is_left_of_work_when_a_run_or_the_work_panics() {
        let beside = Beside::default();
        let mut n = 0;
        let failed = catch_unwind(AssertUnwindSafe(|| beside.during(&mut || n += 1, || panic!("planted"))));
        assert!(failed.is_err());
        beside.work();
        assert_eq!(n, 0);
        let failed = catch_unwind(AssertUnwindSafe(|| beside.during(&mut || panic!("planted"), || beside.work())));
        assert!(failed.is_err());
        beside.during(&mut || n += 1, || beside.work());
        assert_eq!(n, 1);
    }
}
