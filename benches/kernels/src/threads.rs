//! The same work on several threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Calls `work(thread)` on `threads` threads that begin together, and returns the seconds until the last of them is done.
pub fn side_by_side(threads: usize, work: &(dyn Fn(usize) + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let one = &|thread: usize| {
        barrier.wait();
        let begin = Instant::now();
        work(thread);
        (begin, Instant::now())
    };
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        let mut spans = vec![one(0)];
        spans.extend(others.into_iter().map(|other| other.join().expect("a thread of the bench panicked")));
        spans
    });
    let begin = spans.iter().map(|span| span.0).min().expect("at least one thread");
    let end = spans.iter().map(|span| span.1).max().expect("at least one thread");
    (end - begin).as_secs_f64()
}
