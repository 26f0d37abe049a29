//! Threads that live as long as one piece of work.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// Calls `f` with every piece, on up to `threads` threads of which the calling one is one; the results are in the order of the pieces.
///
/// # Errors
/// A panic of another thread.
pub(super) fn map<P: Send, R: Send>(threads: usize, pieces: Vec<P>, f: impl Fn(P) -> R + Sync) -> Result<Vec<R>> {
    let n_others = threads.min(pieces.len()).saturating_sub(1);
    let left = Mutex::new(pieces.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            // The lock is held for this statement and not while `f` runs.
            let next = lock(&left).next();
            match next {
                Some((place, piece)) => done.push((place, f(piece))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        // Where the system has no more threads, fewer do the same.
        let others: Vec<_> = (0..n_others).map_while(start).collect();
        let mut done = work();
        // All are joined before any error is returned, as the scope itself would panic for one that is not.
        let joined: Vec<_> = others.into_iter().map(|other| other.join()).collect();
        for other in joined {
            done.extend(other.map_err(panicked)?);
        }
        Ok(done)
    })?;
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
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
pub(super) fn share<W: Send, B: Send>(
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
    fn results_are_in_the_order_of_the_pieces() {
        for threads in [0, 1, 2, 5] {
            let squares = map(threads, (0..100).collect(), |n: u64| n * n).unwrap();
            assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        }
        assert!(map(4, Vec::new(), |n: u64| n).unwrap().is_empty());
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
    fn a_panic_of_another_thread_is_an_error() {
        let here = thread::current().id();
        let both = std::sync::Barrier::new(2);
        // Neither thread ends its piece before the other has begun one.
        let planted = |_| {
            both.wait();
            assert!(thread::current().id() == here, "planted");
        };
        let message = map(2, vec![(), ()], planted).unwrap_err().to_string();
        assert_eq!(message, "a thread that reads ratings failed: planted; please report this");

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
