//! Threads that live as long as one piece of work.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};
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

/// Batches that a thread takes at once.
const GROUP: usize = 16;

/// Groups that wait for each thread.
const WAITING: usize = 4;

/// Hands batches to workers, one of them on the calling thread and each other one on a thread of its own, while `produce` gives
/// them to the function that it is called with. Which worker takes which batch is left to chance. `watch` is called now
/// and then on the calling thread.
///
/// # Errors
/// Those of `produce`, `watch` and `take`, after which nothing more is taken; a panic of another thread.
pub fn share<W: Send, B: Send>(
    workers: &mut [W],
    take: impl Fn(&mut W, &B) -> Result<()> + Sync,
    watch: impl Fn() -> Result<()>,
    produce: impl FnOnce(&mut dyn FnMut(B) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let Some((own, others)) = workers.split_first_mut() else { return Ok(()) };
    let most = others.len() * WAITING;
    let queue = Queue { state: Mutex::new(State::default()), changed: Condvar::new() };
    let take_all = |worker: &mut W, group: Vec<B>| group.iter().try_for_each(|batch| take(worker, batch));
    let (queue, take_all) = (&queue, &take_all);
    thread::scope(|scope| {
        let run = |worker: &mut W| {
            while let Some(group) = queue.next() {
                take_all(worker, group).unwrap_or_else(|error| queue.fail(error));
            }
        };
        let start = |worker| thread::Builder::new().spawn_scoped(scope, move || run(worker)).ok();
        let started: Vec<_> = others.iter_mut().map_while(start).collect();
        // Also when this thread panics, the others come to an end.
        let closing = Closing(queue);
        let mut group = Vec::with_capacity(GROUP);
        let mut hand_out = |group: Vec<B>| {
            watch()?;
            match queue.offer(group, if started.is_empty() { 0 } else { most })? {
                None => Ok(()),
                // All others are busy.
                Some(group) => take_all(own, group),
            }
        };
        let mut produced = produce(&mut |batch| {
            group.push(batch);
            if group.len() < GROUP {
                return Ok(());
            }
            hand_out(std::mem::replace(&mut group, Vec::with_capacity(GROUP)))
        });
        if produced.is_ok() {
            produced = hand_out(group);
        }
        if produced.is_err() {
            queue.drop_all();
        }
        drop(closing);
        let joined: Vec<_> = started.into_iter().map(|other| other.join()).collect();
        produced?;
        joined.into_iter().try_for_each(|other| other.map_err(panicked))?;
        queue.error().map_or(Ok(()), Err)?;
        watch()
    })
}

/// Batches on their way from the thread that has them to those that want them.
struct Queue<B> {
    state: Mutex<State<B>>,
    changed: Condvar,
}

struct State<B> {
    groups: VecDeque<Vec<B>>,
    is_closed: bool,
    error: Option<Error>,
}

impl<B> Default for State<B> {
    fn default() -> Self {
        Self { groups: VecDeque::new(), is_closed: false, error: None }
    }
}

impl<B> Queue<B> {
    /// Takes a group over unless `most` wait already.
    ///
    /// # Errors
    /// That of a worker.
    fn offer(&self, group: Vec<B>, most: usize) -> Result<Option<Vec<B>>> {
        let mut state = lock(&self.state);
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if state.groups.len() >= most {
            return Ok(Some(group));
        }
        state.groups.push_back(group);
        drop(state);
        self.changed.notify_one();
        Ok(None)
    }

    /// The next group; waits for one; `None` when no more will come.
    fn next(&self) -> Option<Vec<B>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(group) = state.groups.pop_front() {
                return Some(group);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Remembers the first error, and that nothing more is wanted.
    fn fail(&self, error: Error) {
        let mut state = lock(&self.state);
        state.error.get_or_insert(error);
        state.groups.clear();
    }

    fn drop_all(&self) {
        lock(&self.state).groups.clear();
    }

    fn error(&self) -> Option<Error> {
        lock(&self.state).error.take()
    }
}

/// Closes a queue at the end of a scope.
struct Closing<'a, B>(&'a Queue<B>);

impl<B> Drop for Closing<'_, B> {
    fn drop(&mut self) {
        lock(&self.0.state).is_closed = true;
        self.0.changed.notify_all();
    }
}

/// Nothing that a lock here protects is half done when its holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    Error::new(format!("a thread that reads ratings failed: {}; please report this", text.unwrap_or("no reason given")))
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
    fn every_batch_is_taken_once() {
        for threads in [1, 2, 5] {
            for n in [0u64, 1, 15, 16, 17, 5_000] {
                let mut sums = vec![(0u64, 0u64); threads];
                let add = |sum: &mut (u64, u64), batch: &u64| {
                    *sum = (sum.0 + batch, sum.1 + 1);
                    Ok(())
                };
                share(&mut sums, add, || Ok(()), |sink| (0..n).try_for_each(sink)).unwrap();
                let total = sums.iter().fold((0, 0), |total, sum| (total.0 + sum.0, total.1 + sum.1));
                assert_eq!(total, (n * n.saturating_sub(1) / 2, n), "{threads} threads");
            }
        }
    }

    #[test]
    fn errors_of_all_sides_end_it() {
        let refuse = |wrong: u64| {
            move |_: &mut (), batch: &u64| match *batch == wrong {
                true => Err(Error::new(format!("batch {batch}"))),
                false => Ok(()),
            }
        };
        for threads in [1, 3] {
            let mut workers = vec![(); threads];
            for wrong in [0, 100, 4_999] {
                let all = share(&mut workers, refuse(wrong), || Ok(()), |sink| (0..5_000).try_for_each(sink));
                assert_eq!(all.unwrap_err().to_string(), format!("batch {wrong}"));
            }
            let stop = |_: &mut dyn FnMut(u64) -> Result<()>| Err(Error::new("no more"));
            assert_eq!(share(&mut workers, refuse(9), || Ok(()), stop).unwrap_err().to_string(), "no more");
            let full = || Err(Error::new("full"));
            let all = share(&mut workers, refuse(9), full, |sink| (0..5_000).try_for_each(sink));
            assert_eq!(all.unwrap_err().to_string(), "full");
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

        let elsewhere = |_: &mut (), _: &u64| {
            assert!(thread::current().id() == here, "planted");
            Ok(())
        };
        // The batches do not end before the other thread has met one.
        let endless = |sink: &mut dyn FnMut(u64) -> Result<()>| (0..200_000).try_for_each(sink);
        let message = share(&mut [(), ()], elsewhere, || Ok(()), endless).unwrap_err().to_string();
        assert_eq!(message, "a thread that reads ratings failed: planted; please report this");
    }
}
