//! Who has rated what, by user: for leaving out what a user knows already.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::ids::{ItemIdx, UserIdx};

use super::HeldOutRating;
use super::shelf::{Cut, Key, Shelf, starts_of};

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
}

/// Room for the distinct items of all users, to be filled range by range of them.
pub(super) struct SeenRoom<'a> {
    /// The held out ratings of each range's users, ordered by user and item.
    held_out: Vec<&'a [HeldOutRating]>,
    /// Places for the items of each range: as many as there are where no pair repeats, which is nearly always so.
    rooms: Vec<usize>,
    items: Vec<u32>,
}

impl<'a> SeenRoom<'a> {
    /// Room for the pairs of training ratings and of `held_out`, which is sorted.
    pub(super) fn new(cut: &Cut<'_>, held_out: &'a [HeldOutRating]) -> Self {
        let rows_before = |user: usize| held_out.partition_point(|row| row.user < Some(UserIdx(user as u32)));
        let held_out_of = |users: Range<usize>| &held_out[rows_before(users.start)..rows_before(users.end)];
        let held_out: Vec<_> = (0..cut.len()).map(|range| held_out_of(cut.users(range))).collect();
        let rooms: Vec<_> = (0..cut.len()).map(|range| cut.places(range).len() + held_out[range].len()).collect();
        let items = vec![0; rooms.iter().sum()];
        Self { held_out, rooms, items }
    }

    /// For each range what its pairs are collected from and into.
    pub(super) fn ranges(&mut self) -> Vec<SeenOfRange<'_>> {
        let mut rest = self.items.as_mut_slice();
        let ranges = self.held_out.iter().zip(&self.rooms);
        let range = |(held_out, &room): (&&'a [HeldOutRating], _)| SeenOfRange {
            held_out,
            items: rest.split_off_mut(..room).unwrap_or_default(),
        };
        ranges.map(range).collect()
    }

    /// The pairs of all users, once the ranges have said how many each user has.
    pub(super) fn finish(self, counts: Vec<Vec<u32>>) -> Seen {
        let mut items = self.items;
        let (mut room, mut end) = (0, 0);
        for (counts, size) in counts.iter().zip(self.rooms) {
            let n = counts.iter().map(|&count| count as usize).sum::<usize>();
            if room != end {
                items.copy_within(room..room + n, end);
            }
            room += size;
            end += n;
        }
        items.truncate(end);
        Seen { starts: starts_of(counts.into_iter().flatten().map(|count| count as usize)), items }
    }
}

/// What a range of users has besides its training ratings.
pub(super) struct SeenOfRange<'a> {
    held_out: &'a [HeldOutRating],
    /// Room for the items of all.
    items: &'a mut [u32],
}

impl SeenOfRange<'_> {
    /// Collects the distinct items of each user of the range's shelf; returns how many there are.
    pub(super) fn collect<K: Key>(self, shelf: &Shelf<'_, K>) -> Vec<u32> {
        let mut held_out = self.held_out.iter().peekable();
        let mut counts = Vec::with_capacity(shelf.users.len());
        let mut end = 0;
        for (user, keys) in shelf.by_user() {
            let start = end;
            let mut note = |item: u32| {
                if end == start || self.items[end - 1] != item {
                    self.items[end] = item;
                    end += 1;
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
            counts.push((end - start) as u32);
        }
        counts
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
    use crate::ratings::shelf::tests::As;

    /// Pairs as training ratings and as held out ones, of 5 users.
    fn collect(threads: usize, train: &[(u32, u32)], held_out: &[(u32, Option<u32>)]) -> Seen {
        let starts = starts_of((0..5).map(|user| train.iter().filter(|pair| pair.0 == user).count()));
        let ratings = train.iter().map(|&(user, item)| Rating { user, item, value: 1.0 }).collect();
        let row = |&(user, item): &(u32, Option<u32>)| HeldOutRating {
            user: Some(UserIdx(user)),
            item: item.map(ItemIdx),
            value: 1.0,
        };
        let mut held_out: Vec<_> = held_out.iter().map(row).collect();
        held_out.push(HeldOutRating { user: None, item: Some(ItemIdx(3)), value: 1.0 });
        held_out.sort_by_key(|row| (row.user, row.item));
        let mut block = Block { ratings, weights: Vec::new() };
        let cut = Cut::new(&As(threads), vec![(&mut block, ())], &starts, |(), _| {});
        let mut room = SeenRoom::new(&cut, &held_out);
        let ranges = room.ranges().into_iter().enumerate();
        let counts = ranges.map(|(range, seen)| seen.collect(&cut.shelf::<u64>(range))).collect();
        room.finish(counts)
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
