//! Where threads bring ratings in, each what it has read, side by side.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::builder::Progress;
use super::columns::Columns;
use super::handover::Handover;
use super::part::Part;
use super::{DatasetBuilder, Held, Split};
use crate::error::{Error, Result};

/// What must be asked now and then whether to go on.
type Watch = Box<dyn Fn(Held) -> Result<()> + Send + Sync>;

/// Takes the rows of one table, on any number of threads.
pub struct Intake {
    rows: Rows,
    parts: Vec<Mutex<Part>>,
    progress: Progress,
    watch: Watch,
    /// The first error of any thread.
    failed: Mutex<Option<Error>>,
    handover: Handover,
}

/// Which rows come.
#[derive(Clone, Copy)]
enum Rows {
    Ratings(Split),
    /// Of a separate validation table, which are never learnt from.
    Validation,
}

impl DatasetBuilder {
    /// Reads ratings: `bring` has threads bring in all rows. Where the split is [`Split::Given`], the rows say their side.
    ///
    /// `watch` is told now and then, and at the end, how much there is.
    ///
    /// # Errors
    /// Those of [`Intake::take`] and then of `bring`.
    pub fn read(
        &mut self,
        watch: impl Fn(Held) -> Result<()> + Send + Sync + 'static,
        bring: impl FnOnce(&Arc<Intake>) -> Result<()>,
    ) -> Result<()> {
        self.read_rows(Rows::Ratings(self.split), Box::new(watch), bring)
    }

    /// Reads a separate validation table, which is never learnt from; its weights and sides are not asked for.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_validation(
        &mut self,
        watch: impl Fn(Held) -> Result<()> + Send + Sync + 'static,
        bring: impl FnOnce(&Arc<Intake>) -> Result<()>,
    ) -> Result<()> {
        self.read_rows(Rows::Validation, Box::new(watch), bring)
    }

    fn read_rows(&mut self, rows: Rows, watch: Watch, bring: impl FnOnce(&Arc<Intake>) -> Result<()>) -> Result<()> {
        let progress = Progress::default();
        self.parts.iter().for_each(|part| progress.add(Held::default(), Held::of(part)));
        let parts = std::mem::take(&mut self.parts).into_iter().map(Mutex::new).collect();
        let intake =
            Arc::new(Intake { rows, parts, progress, watch, failed: Mutex::new(None), handover: Handover::default() });
        let brought = bring(&intake);
        // A thread may still hold its handle, but brings nothing more.
        let empty = || Part::new(self.user_kind, self.item_kind);
        self.parts = intake.parts.iter().map(|part| std::mem::replace(&mut *lock(part), empty())).collect();
        match lock(&intake.failed).take() {
            Some(error) => Err(error),
            None => brought.and_then(|()| intake.check()),
        }
    }
}

impl Intake {
    /// Takes rows, beside which `n_skipped` had a NULL and are only counted. `thread` is a number of the calling thread: rows
    /// of one thread meet their own dictionaries again.
    ///
    /// # Errors
    /// A rating that is not finite or beyond the range of `f32`, a weight that is that or below 0, with the user, the
    /// item and the way out; weights or sides that come and go; ids of another kind; too many ids or ratings; what `watch` says. The
    /// caller of [`DatasetBuilder::read`] gets the first of all threads' errors, and none of these has to reach it on another way.
    pub fn take(&self, thread: usize, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        self.go_on()?;
        match self.handover.offer(rows, n_skipped) {
            true => Ok(()),
            false => self.keep(thread, rows, n_skipped),
        }
    }

    /// Takes rows over from threads that have some, until [`close`](Self::close) is called. What goes wrong, those threads are told.
    pub fn help(&self) {
        while let Some(rows) = self.handover.next() {
            let kept = rows.with(|rows, n_skipped| self.keep(self.parts.len() - 1, rows, n_skipped));
            if kept.is_err() {
                // The others see it before they take more.
                return self.close();
            }
        }
    }

    /// Ends the help.
    pub fn close(&self) {
        self.handover.close();
    }

    /// How many threads can take rows side by side.
    pub fn threads(&self) -> usize {
        self.parts.len()
    }

    fn keep(&self, thread: usize, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        let kept = self.push(&mut self.part(thread), rows, n_skipped).and_then(|()| self.check());
        kept.map_err(|error| {
            let message = error.to_string();
            lock(&self.failed).get_or_insert(error);
            Error::new(message)
        })
    }

    /// # Errors
    /// Another thread has failed.
    fn go_on(&self) -> Result<()> {
        match &*lock(&self.failed) {
            None => Ok(()),
            Some(error) => Err(Error::new(error.to_string())),
        }
    }

    fn push(&self, part: &mut Part, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        rows.check()?;
        let before = Held::of(part);
        match self.rows {
            Rows::Ratings(split) => part.push(split, rows, n_skipped).map_err(|error| error.context("ratings"))?,
            Rows::Validation => part.push_validation(rows, n_skipped).map_err(|error| error.context("validation"))?,
        }
        self.progress.add(before, Held::of(part));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let held = self.progress.get();
        // The places of ratings are kept as `u32`.
        if held.n_train.max(held.n_valid) > u32::MAX as usize {
            return Err(Error::new(format!("ratings: more than {} rows; train on a sample of them", u32::MAX)));
        }
        (self.watch)(held)
    }

    /// A part that nobody else has, the same for the same thread if it can be.
    fn part(&self, thread: usize) -> MutexGuard<'_, Part> {
        let own = thread % self.parts.len();
        let (before, from) = self.parts.split_at(own);
        let free = from.iter().chain(before).find_map(|part| match part.try_lock() {
            Ok(part) => Some(part),
            Err(TryLockError::Poisoned(part)) => Some(part.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| lock(&self.parts[own]))
    }
}

/// After a panic the reading fails as a whole, so what was half done is never used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{IdKind, Vocabulary};
    use crate::ratings::{Dataset, Ids};

    const NOTHING: Split = Split::Pairs { fraction: 0.0, seed: 42 };
    const ONE: Columns<'_> = Columns {
        users: Ids::Integers(&[1]),
        items: Ids::Integers(&[7]),
        ratings: &[3.0],
        weights: None,
        held_out: None,
    };

    fn builder(users: IdKind, split: Split) -> DatasetBuilder {
        DatasetBuilder::new(users, IdKind::Integer, split)
    }

    fn read(builder: &mut DatasetBuilder, rows: &Columns<'_>, n_skipped: usize) -> Result<()> {
        builder.read(|_| Ok(()), |intake| intake.take(0, rows, n_skipped))
    }

    fn refused(split: Split, rows: &Columns<'_>) -> String {
        read(&mut builder(IdKind::Integer, split), rows, 0).unwrap_err().to_string()
    }

    fn ids(vocabulary: &Vocabulary) -> Vec<String> {
        vocabulary.iter().map(|id| id.to_string()).collect()
    }

    #[test]
    fn both_kinds_of_ids_are_read_on_any_number_of_threads() {
        let long = "🎬 long enough not to fit an entry";
        let texts = ["b", long, "a", "b"].map(str::as_bytes);
        let both: [(IdKind, Ids<'_>, [&str; 3]); 2] = [
            (IdKind::Text, Ids::Texts(&texts), ["'a'", "'b'", &format!("'{long}'")]),
            (IdKind::Integer, Ids::Integers(&[2, 1 << 40, -1, 2]), ["-1", "2", "1099511627776"]),
        ];
        for (kind, users, expected) in both {
            let rows = Columns { users, items: Ids::Integers(&[5, 6, 5, 6]), ratings: &[1.0, 2.0, 3.0, 4.0], ..ONE };
            let dataset = |n_parts: usize, threads: &[usize]| -> Dataset {
                let mut builder = builder(kind, NOTHING).in_parts(n_parts);
                let bring = |intake: &Arc<Intake>| threads.iter().try_for_each(|thread| intake.take(*thread, &rows, 1));
                builder.read(|_| Ok(()), bring).unwrap();
                builder.finish().unwrap()
            };
            let one = dataset(1, &[0, 0, 0]);
            assert_eq!((ids(&one.users), one.n_rows, one.n_skipped), (expected.map(str::to_owned).to_vec(), 15, 3));
            for several in [dataset(2, &[0, 1, 7]), dataset(5, &[4, 4, 2])] {
                assert_eq!((ids(&several.users), several.train), (ids(&one.users), Arc::clone(&one.train)));
            }
        }
    }

    #[test]
    fn weights_and_sides_follow_the_ratings() {
        let mut builder = builder(IdKind::Integer, Split::Given);
        let rows = Columns {
            users: Ids::Integers(&[1, 2, 3, 4]),
            items: Ids::Integers(&[1, 2, 3, 4]),
            ratings: &[1.0, 2.0, 3.0, 4.0],
            weights: Some(&[1.0, 3.0, 9.0, 2.0]),
            held_out: Some(&[false, false, true, false]),
        };
        read(&mut builder, &rows, 2).unwrap();
        builder.read_validation(|_| Ok(()), |intake| intake.take(0, &ONE, 0)).unwrap();
        let unweighted = Columns { weights: None, ..rows };
        let message = read(&mut builder, &unweighted, 0).unwrap_err().to_string();
        assert_eq!(message, "ratings: some rows have weights and others have none");
        let dataset = builder.finish().unwrap();
        assert_eq!(dataset.train.values(), [1.0, 2.0, 4.0]);
        assert_eq!(dataset.train.weights(), Some([0.5, 1.5, 1.0].as_slice()));
        assert_eq!(dataset.valid.iter().map(|row| row.value).collect::<Vec<_>>(), [3.0, 3.0]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let wrong = Columns { ratings: &[f64::NAN], ..ONE };
        assert!(
            refused(NOTHING, &wrong).starts_with("ratings: user 1, item 7: rating = NaN: expected a finite number")
        );
        let wrong = Columns { weights: Some(&[-1.0]), ..ONE };
        assert!(refused(NOTHING, &wrong).starts_with("ratings: user 1, item 7: weight = -1: expected a finite number"));
        let wrong = Columns { users: Ids::Texts(&[b"a"]), ..ONE };
        assert!(refused(NOTHING, &wrong).starts_with("ratings: id 'a': expected integer ids"));
        assert_eq!(refused(Split::Given, &ONE), "ratings: the rows do not say which of them are held out");
        let wrong = Columns { items: Ids::Integers(&[]), ..ONE };
        assert_eq!(refused(NOTHING, &wrong), "the columns of the ratings are of different lengths");
    }

    #[test]
    fn the_first_error_of_all_threads_is_the_one_that_is_told() {
        let wrong = Columns { ratings: &[f64::INFINITY], ..ONE };
        let bring = |intake: &Arc<Intake>| {
            let first = intake.take(0, &wrong, 0).unwrap_err().to_string();
            assert!(first.contains("rating = inf"), "{first}");
            Err(Error::new("in the host's words"))
        };
        let message = builder(IdKind::Integer, NOTHING).read(|_| Ok(()), bring).unwrap_err().to_string();
        assert!(message.starts_with("ratings: user 1, item 7: rating = inf"), "{message}");
        let other = |_: &Arc<Intake>| Err(Error::new("in the host's words"));
        let message = builder(IdKind::Integer, NOTHING).read(|_| Ok(()), other).unwrap_err().to_string();
        assert_eq!(message, "in the host's words");
    }

    #[test]
    fn an_error_of_a_helping_thread_ends_it_for_all() {
        let wrong = Columns { ratings: &[f64::NAN], ..ONE };
        let bring = |intake: &Arc<Intake>| {
            std::thread::scope(|scope| {
                scope.spawn(|| intake.help());
                // Until the helper has taken one of them.
                while intake.handover.offer(&wrong, 0) || lock(&intake.failed).is_none() {
                    std::thread::yield_now();
                }
                let message = intake.take(0, &ONE, 0).unwrap_err().to_string();
                assert!(message.contains("rating = NaN"), "{message}");
            });
            Ok(())
        };
        let message = builder(IdKind::Integer, NOTHING).in_parts(2).read(|_| Ok(()), bring).unwrap_err().to_string();
        assert!(message.starts_with("ratings: user 1, item 7: rating = NaN"), "{message}");
    }

    #[test]
    fn whoever_watches_is_asked_after_all_rows_and_can_end_it() {
        let two = |held: Held| if held.n_train < 2 { Ok(()) } else { Err(Error::new("full")) };
        let bring = |intake: &Arc<Intake>| {
            intake.take(0, &ONE, 0)?;
            intake.take(1, &ONE, 0)
        };
        let message = builder(IdKind::Integer, NOTHING).in_parts(2).read(two, bring).unwrap_err().to_string();
        assert_eq!(message, "full");
        let never = |_: Held| Err(Error::new("never"));
        let message = builder(IdKind::Integer, NOTHING).read(never, |_| Ok(())).unwrap_err().to_string();
        assert_eq!(message, "never");
    }
}
