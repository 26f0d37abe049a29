//! Threads that live as long as one piece of work.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::kernels::Pool;

/// So many threads, of which the calling one is one; the others are started for each piece of work and end with it.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Pool for Threads {
    fn threads(&self) -> usize {
        self.0.max(1)
    }

    /// Where the system has no more threads, fewer do the same. A panic of another thread goes on in the calling one.
    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                // The pieces have nothing to do with one another, so their numbers are all that is ordered.
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= n {
                    return;
                }
                piece(number);
            }
        };
        thread::scope(|scope| {
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..self.0.min(n)).map_while(start).collect();
            work();
            // All are joined before a panic goes on, as the scope itself would lose its reason.
            let joined: Vec<_> = others.into_iter().map(|other| other.join()).collect();
            if let Some(Err(payload)) = joined.into_iter().find(|other| other.is_err()) {
                resume_unwind(payload);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [0, 1, 2, 5] {
            let done: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            Threads(threads).for_each(100, &|number| {
                done[number].fetch_add(number + 1, Ordering::Relaxed);
            });
            assert!(done.iter().enumerate().all(|(number, done)| done.load(Ordering::Relaxed) == number + 1));
            Threads(threads).for_each(0, &|_| unreachable!());
        }
    }

    #[test]
    fn a_panic_of_another_thread_is_not_lost() {
        let here = thread::current().id();
        let both = std::sync::Barrier::new(2);
        // Neither thread ends its piece before the other has begun one.
        let planted = |_| {
            both.wait();
            assert!(thread::current().id() == here, "planted");
        };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Threads(2).for_each(2, &planted)));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"planted"));
    }
}
