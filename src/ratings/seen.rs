//! Who has rated what, by user: for leaving out what a user knows already.

use crate::error::{Error, Result};
use crate::ids::{ItemIdx, UserIdx};
use crate::kernels::Pool;

use super::HeldOutRating;
use super::pieces::map;
use super::shelf::{Key, Shelf, starts_of};

/// The distinct items that each user has rated, in compressed sparse rows: 4 bytes a pair and 8 a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Where each user's items start, and where the last one's end: `[U + 1]`.
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Seen {
    /// The items that a user has rated, ascending; none for a user that is not there.
    pub fn items(&self, user: UserIdx) -> &[u32] {
        match (self.starts.get(user.index()), self.starts.get(user.index() + 1)) {
            (Some(&start), Some(&end)) => &self.items[start..end],
            _ => &[],
        }
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nobody has rated anything.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All pairs of user and item, ascending.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        let n_users = self.starts.len() as u32 - 1;
        (0..n_users).flat_map(|user| self.items(UserIdx(user)).iter().map(move |&item| (user, item)))
    }

    /// The pairs of training ratings on shelves and of `held_out`, which is sorted; `starts` as for the shelves.
    pub(super) fn collect<K: Key + Sync>(
        pool: &dyn Pool,
        shelves: &[Shelf<K>],
        starts: &[usize],
        held_out: &[HeldOutRating],
    ) -> Self {
        let counts = map(pool, shelves.iter().collect(), |shelf| {
            let mut counts = vec![0; shelf.users.len()];
            for_each_pair(shelf, starts, held_out, |user, _| counts[user as usize - shelf.users.start] += 1);
            counts
        });
        let starts_of_seen = starts_of(counts.into_iter().flatten());
        let mut items = vec![0; starts_of_seen.last().copied().unwrap_or(0)];
        let mut rest = items.as_mut_slice();
        let mut pieces = Vec::with_capacity(shelves.len());
        for shelf in shelves {
            let size = starts_of_seen[shelf.users.end] - starts_of_seen[shelf.users.start];
            pieces.push((shelf, rest.split_off_mut(..size).unwrap_or_default()));
        }
        map(pool, pieces, |(shelf, items)| {
            let mut free = items.iter_mut();
            for_each_pair(shelf, starts, held_out, |_, item| {
                if let Some(place) = free.next() {
                    *place = item;
                }
            });
        });
        Self { starts: starts_of_seen, items }
    }
}

/// Goes through the distinct pairs of a shelf's users, ascending.
fn for_each_pair<K: Key>(
    shelf: &Shelf<K>,
    starts: &[usize],
    held_out: &[HeldOutRating],
    mut each: impl FnMut(u32, u32),
) {
    let first = Some(UserIdx(shelf.users.start as u32));
    let mut held_out = held_out[held_out.partition_point(|row| row.user < first)..].iter().peekable();
    for (user, keys) in shelf.by_user(starts) {
        let mut last = None;
        let mut note = |item: u32| {
            if last != Some(item) {
                last = Some(item);
                each(user, item);
            }
        };
        for key in keys {
            // Those of unknown items come first, and are no pairs.
            while let Some(row) =
                held_out.next_if(|row| (row.user, row.item) < (Some(UserIdx(user)), Some(ItemIdx(key.item()))))
            {
                row.item.into_iter().for_each(|item| note(item.0));
            }
            note(key.item());
        }
        while let Some(row) = held_out.next_if(|row| row.user == Some(UserIdx(user))) {
            row.item.into_iter().for_each(|item| note(item.0));
        }
    }
}

/// Reads stored pairs back, and checks them, as somebody may have edited the table.
#[derive(Debug)]
pub struct SeenBuilder {
    n_users: usize,
    n_items: usize,
    seen: Seen,
    last: Option<(u32, u32)>,
}

impl SeenBuilder {
    /// A builder for pairs of `U` users and `I` items.
    pub fn new(n_users: usize, n_items: usize) -> Self {
        let seen = Seen { starts: Vec::with_capacity(n_users + 1), items: Vec::new() };
        Self { n_users, n_items, seen, last: None }
    }

    /// Takes the next pair, greater than all before it.
    ///
    /// # Errors
    /// A pair that repeats or is out of order, or an index that the model does not have.
    pub fn push(&mut self, user: u32, item: u32) -> Result<()> {
        let place = |(user, item): (u32, u32)| format!("seen pair of user {user} and item {item}");
        if !((user as usize) < self.n_users && (item as usize) < self.n_items) {
            let known = format!("{} users and {} items", self.n_users, self.n_items);
            return Err(Error::new(format!("{}: the model has {known}", place((user, item)))));
        }
        if let Some(last) = self.last.filter(|last| *last >= (user, item)) {
            let message = format!("{} after the {}: expected ascending pairs", place((user, item)), place(last));
            return Err(Error::new(message));
        }
        self.last = Some((user, item));
        // All users up to this one start here, or have started before.
        let start = self.seen.items.len();
        while self.seen.starts.len() <= user as usize {
            self.seen.starts.push(start);
        }
        self.seen.items.push(item);
        Ok(())
    }

    /// What all pairs together say.
    pub fn finish(mut self) -> Seen {
        self.seen.starts.resize(self.n_users + 1, self.seen.items.len());
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::part::{Block, Rating};
    use crate::ratings::shelf::shelve;
    use crate::ratings::shelf::tests::As;

    /// Pairs as training ratings and as held out ones, of 5 users.
    fn collect(threads: usize, train: &[(u32, u32)], held_out: &[(u32, Option<u32>)]) -> Seen {
        let starts = starts_of((0..5).map(|user| train.iter().filter(|pair| pair.0 == user).count()));
        let ratings = train.iter().map(|&(user, item)| Rating { user, item, value: 1.0 }).collect();
        let shelves = shelve::<u64>(&As(threads), &[Block { ratings, weights: Vec::new() }], &starts);
        let row = |&(user, item): &(u32, Option<u32>)| HeldOutRating {
            user: Some(UserIdx(user)),
            item: item.map(ItemIdx),
            value: 1.0,
        };
        let mut held_out: Vec<_> = held_out.iter().map(row).collect();
        held_out.push(HeldOutRating { user: None, item: Some(ItemIdx(3)), value: 1.0 });
        held_out.sort_by_key(|row| (row.user, row.item));
        Seen::collect(&As(threads), &shelves, &starts, &held_out)
    }

    const PAIRS: [(u32, u32); 8] = [(3, 1), (1, 4), (3, 1), (1, 0), (1, 4), (3, 0), (1, 2), (3, 1)];

    #[test]
    fn each_user_has_distinct_items_in_order() {
        let halves = [(3, Some(1)), (1, Some(4)), (1, None), (3, Some(1)), (1, Some(0)), (4, None)];
        for threads in [1, 2, 5] {
            for seen in [collect(threads, &PAIRS, &[]), collect(threads, &PAIRS[4..], &halves)] {
                assert_eq!(seen.items(UserIdx(1)), [0, 2, 4]);
                assert_eq!(seen.items(UserIdx(3)), [0, 1]);
                for nobody in [0, 2, 4, 5, u32::MAX] {
                    assert!(seen.items(UserIdx(nobody)).is_empty());
                }
                assert_eq!((seen.len(), seen.is_empty()), (5, false));
            }
        }
        let held_out: Vec<_> = PAIRS.iter().map(|&(user, item)| (user, Some(item))).collect();
        assert_eq!(collect(2, &[(0, 7), (3, 9)], &held_out).items(UserIdx(3)), [0, 1, 9]);
    }

    #[test]
    fn stored_pairs_are_read_back_as_they_were() {
        let seen = collect(1, &PAIRS, &[]);
        let mut builder = SeenBuilder::new(5, 5);
        seen.pairs().for_each(|(user, item)| builder.push(user, item).unwrap());
        assert_eq!(builder.finish(), seen);
        let nobody = SeenBuilder::new(2, 0).finish();
        assert_eq!((nobody.len(), nobody.items(UserIdx(1))), (0, [].as_slice()));
    }

    #[test]
    fn edited_pairs_are_refused() {
        let push = |pairs: &[(u32, u32)]| {
            let mut builder = SeenBuilder::new(2, 3);
            pairs.iter().try_for_each(|&(user, item)| builder.push(user, item)).unwrap_err().to_string()
        };
        assert_eq!(push(&[(2, 0)]), "seen pair of user 2 and item 0: the model has 2 users and 3 items");
        assert_eq!(push(&[(0, 3)]), "seen pair of user 0 and item 3: the model has 2 users and 3 items");
        for wrong in [[(0, 1), (0, 1)], [(0, 1), (0, 0)], [(1, 0), (0, 2)]] {
            assert!(push(&wrong).ends_with("expected ascending pairs"));
        }
    }
}
