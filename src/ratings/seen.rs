//! Who has rated what, by user: for leaving out what a user knows already.

use crate::error::{Error, Result};
use crate::ids::UserIdx;

use super::start_of_each;

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

    /// Collects pairs in any order, with repetitions, of users below `n_users`. The pairs are gone through twice.
    pub(super) fn collect(n_users: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut next = start_of_each(n_users, pairs.clone().map(|(user, _)| user));
        let mut items = vec![0; next[n_users]];
        for (user, item) in pairs {
            let place = &mut next[user as usize];
            items[*place] = item;
            *place += 1;
        }
        // Where a user's next item would go is now where the user's items end. Sorts each user's items and moves the
        // distinct ones to the front.
        let mut starts = Vec::with_capacity(n_users + 1);
        let (mut start, mut kept) = (0, 0);
        for &end in &next[..n_users] {
            starts.push(kept);
            items[start..end].sort_unstable();
            for place in start..end {
                if place == start || items[place] != items[place - 1] {
                    items[kept] = items[place];
                    kept += 1;
                }
            }
            start = end;
        }
        starts.push(kept);
        items.truncate(kept);
        items.shrink_to_fit();
        Self { starts, items }
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

    const PAIRS: [(u32, u32); 8] = [(3, 1), (1, 4), (3, 1), (1, 0), (1, 4), (3, 0), (1, 2), (3, 1)];

    #[test]
    fn each_user_has_distinct_items_in_order() {
        let seen = Seen::collect(5, PAIRS.into_iter());
        assert_eq!(seen.items(UserIdx(1)), [0, 2, 4]);
        assert_eq!(seen.items(UserIdx(3)), [0, 1]);
        for nobody in [0, 2, 4, 5, u32::MAX] {
            assert!(seen.items(UserIdx(nobody)).is_empty());
        }
        assert_eq!((seen.len(), seen.is_empty()), (5, false));
    }

    #[test]
    fn stored_pairs_are_read_back_as_they_were() {
        let seen = Seen::collect(5, PAIRS.into_iter());
        let mut builder = SeenBuilder::new(5, 5);
        seen.pairs().for_each(|(user, item)| builder.push(user, item).unwrap());
        assert_eq!(builder.finish(), seen);
        assert_eq!(SeenBuilder::new(2, 0).finish(), Seen::collect(2, std::iter::empty()));
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
