//! Rows on their way from a thread that has many to one that has nothing to do.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::columns::{Columns, Ids};

/// A place for the rows of one chunk, which a waiting thread takes away.
#[derive(Default)]
pub(super) struct Handover {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether somebody waits for rows, and none are there yet.
    is_wanted: bool,
    rows: Option<OwnRows>,
    is_closed: bool,
}

/// Rows that nobody else has, and how many beside them had a NULL.
pub(super) struct OwnRows {
    users: OwnIds,
    items: OwnIds,
    ratings: Vec<f64>,
    weights: Option<Vec<f64>>,
    held_out: Option<Vec<bool>>,
    n_skipped: usize,
}

enum OwnIds {
    Integers(Vec<i64>),
    /// All texts one behind the other, and where each ends.
    Texts(Vec<u8>, Vec<usize>),
}

impl Handover {
    /// Leaves a copy of rows if somebody waits for some; else, or where that cannot be seen at once, nothing is done.
    pub(super) fn offer(&self, rows: &Columns<'_>, n_skipped: usize) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        let is_wanted = std::mem::take(&mut state.is_wanted);
        if is_wanted {
            state.rows = Some(OwnRows::copy(rows, n_skipped));
            drop(state);
            self.changed.notify_one();
        }
        is_wanted
    }

    /// Waits for rows; `None` when no more will come.
    pub(super) fn next(&self) -> Option<OwnRows> {
        let mut state = self.lock();
        loop {
            if let Some(rows) = state.rows.take() {
                return Some(rows);
            }
            if state.is_closed {
                return None;
            }
            state.is_wanted = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends those that wait away.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.is_wanted = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing here is half done when its holder panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnRows {
    fn copy(rows: &Columns<'_>, n_skipped: usize) -> Self {
        Self {
            users: OwnIds::copy(&rows.users),
            items: OwnIds::copy(&rows.items),
            ratings: rows.ratings.to_vec(),
            weights: rows.weights.map(<[_]>::to_vec),
            held_out: rows.held_out.map(<[_]>::to_vec),
            n_skipped,
        }
    }

    /// Calls `f` with the rows and how many were skipped.
    pub(super) fn with<R>(&self, f: impl FnOnce(&Columns<'_>, usize) -> R) -> R {
        let (users, items) = (self.users.texts(), self.items.texts());
        let columns = Columns {
            users: self.users.ids(&users),
            items: self.items.ids(&items),
            ratings: &self.ratings,
            weights: self.weights.as_deref(),
            held_out: self.held_out.as_deref(),
        };
        f(&columns, self.n_skipped)
    }
}

impl OwnIds {
    fn copy(ids: &Ids<'_>) -> Self {
        match ids {
            Ids::Integers(ids) => Self::Integers(ids.to_vec()),
            Ids::Texts(texts) => {
                let ends = texts.iter().scan(0, |end, text| {
                    *end += text.len();
                    Some(*end)
                });
                Self::Texts(texts.concat(), ends.collect())
            }
        }
    }

    fn texts(&self) -> Vec<&[u8]> {
        match self {
            Self::Integers(_) => Vec::new(),
            Self::Texts(bytes, ends) => {
                let starts = std::iter::once(&0).chain(ends);
                starts.zip(ends).map(|(&start, &end)| &bytes[start..end]).collect()
            }
        }
    }

    /// The ids, of which `texts` are those of [`texts`](Self::texts).
    fn ids<'a>(&'a self, texts: &'a [&'a [u8]]) -> Ids<'a> {
        match self {
            Self::Integers(ids) => Ids::Integers(ids),
            Self::Texts(..) => Ids::Texts(texts),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn rows_arrive_as_they_were() {
        let rows = Columns {
            users: Ids::Texts(&[b"b", b"", b"abc"]),
            items: Ids::Integers(&[5, -1, 7]),
            ratings: &[1.0, 2.0, 3.0],
            weights: Some(&[0.5, 1.0, 2.0]),
            held_out: Some(&[true, false, true]),
        };
        let handover = Handover::default();
        assert!(!handover.offer(&rows, 4), "nobody waits");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let first = handover.next().map(|rows| rows.with(|rows, n_skipped| format!("{rows:?} {n_skipped}")));
                (first, handover.next().is_none())
            });
            while !handover.offer(&rows, 4) {
                thread::yield_now();
            }
            handover.close();
            assert_eq!(waiting.join().unwrap(), (Some(format!("{rows:?} 4")), true));
        });
        assert!(!handover.offer(&rows, 4) && handover.next().is_none(), "it is closed");
    }
}
