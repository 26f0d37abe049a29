//! A table of hashes that is asked for many ids side by side.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use hashbrown::DefaultHashBuilder;

use crate::kernels::prefetch_all;

/// Ids that are looked up side by side: while the memory of one is on its way, the others are hashed.
const SIDE_BY_SIDE: usize = 64;

/// Indices by the hashes of their ids, with open addressing: an index lies in the slot that the hash names, or in one of the next.
///
/// 12 to 24 bytes an id.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Seeded at random, so that nobody can choose ids that collide.
    hasher: DefaultHashBuilder,
}

/// Eight bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The part of the hash that does not say where the slot is.
    tag: u32,
    /// The index plus one.
    entry: Option<NonZeroU32>,
}

/// Some ids that are wanted, by their places, and the ids that there are, by their indices.
pub(super) trait Wanted {
    /// The hash of a wanted id.
    fn hash(&self, place: usize) -> u64;

    /// Whether a wanted id, not the first, is the one before it.
    fn repeats(&self, place: usize) -> bool;

    /// Asks for the memory of an id.
    fn fetch(&self, index: usize);

    /// Asks for what of it could not be asked for before the first part was there.
    fn fetch_rest(&self, index: usize);

    /// Whether a wanted id has an index.
    fn is_at(&self, place: usize, index: usize) -> bool;
}

impl Slots {
    /// The slots for `n` ids: at least a third stay empty.
    pub(super) fn capacity(n: usize) -> usize {
        (n + n / 2).next_power_of_two().max(8)
    }

    /// A table of the ids from index 0 to below `n`, all different.
    pub(super) fn of(n: usize, hash: impl Fn(&Self, usize) -> u64) -> Self {
        let slots = vec![Slot::default(); Self::capacity(n)];
        let mut table = Self { slots, hasher: DefaultHashBuilder::default() };
        for index in 0..n {
            let hash = hash(&table, index);
            let mut at = table.first(hash);
            while table.slots[at].entry.is_some() {
                at = table.after(at);
            }
            table.slots[at] = Slot { tag: tag(hash), entry: NonZeroU32::new(index as u32 + 1) };
        }
        table
    }

    pub(super) fn hash_integer(&self, id: i64) -> u64 {
        self.hasher.hash_one(id)
    }

    pub(super) fn hash_text(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The index of the id with a hash that `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<u32> {
        self.find_from(self.first(hash), hash, is_it)
    }

    /// The index of each of `n` ids, behind what is in `found`.
    pub(super) fn find_each(&self, n: usize, wanted: impl Wanted, found: &mut Vec<Option<u32>>) {
        let mut last = None;
        for first in (0..n).step_by(SIDE_BY_SIDE) {
            let places = first..n.min(first + SIDE_BY_SIDE);
            // A repeated id has no hash here.
            let mut hashes = [None; SIDE_BY_SIDE];
            for (place, hash) in places.clone().zip(&mut hashes) {
                if place == 0 || !wanted.repeats(place) {
                    let new = wanted.hash(place);
                    let at = self.first(new);
                    prefetch_all(&self.slots[at..=at]);
                    *hash = Some(new);
                }
            }
            let mut candidates = [None; SIDE_BY_SIDE];
            for (candidate, hash) in candidates.iter_mut().zip(hashes) {
                *candidate = hash.and_then(|hash| self.candidate(self.first(hash), hash));
                if let Some((_, index)) = *candidate {
                    wanted.fetch(index as usize);
                }
            }
            candidates.iter().flatten().for_each(|(_, index)| wanted.fetch_rest(*index as usize));
            for (place, (candidate, hash)) in places.zip(candidates.into_iter().zip(hashes)) {
                if let Some(hash) = hash {
                    last = match candidate {
                        Some((_, index)) if wanted.is_at(place, index as usize) => Some(index),
                        Some((at, _)) => self.find_from(self.after(at), hash, |index| wanted.is_at(place, index)),
                        None => None,
                    };
                }
                found.push(last);
            }
        }
    }

    fn find_from(&self, mut at: usize, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<u32> {
        loop {
            let (place, index) = self.candidate(at, hash)?;
            if is_it(index as usize) {
                return Some(index);
            }
            at = self.after(place);
        }
    }

    /// The next slot whose tag fits, from `at` on, and the index in it; `None` where an empty slot comes first.
    #[inline(always)]
    fn candidate(&self, mut at: usize, hash: u64) -> Option<(usize, u32)> {
        loop {
            let Slot { tag: found, entry } = self.slots[at];
            let index = entry?.get() - 1;
            if found == tag(hash) {
                return Some((at, index));
            }
            at = self.after(at);
        }
    }

    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers<'a> {
        keys: &'a [u64],
        wanted: &'a [u64],
        /// Of as many different hashes.
        n_hashes: u64,
    }

    impl Wanted for Numbers<'_> {
        fn hash(&self, place: usize) -> u64 {
            self.wanted[place] % self.n_hashes
        }

        fn repeats(&self, place: usize) -> bool {
            self.wanted[place] == self.wanted[place - 1]
        }

        fn fetch(&self, _: usize) {}

        fn fetch_rest(&self, _: usize) {}

        fn is_at(&self, place: usize, index: usize) -> bool {
            self.keys[index] == self.wanted[place]
        }
    }

    #[test]
    fn ids_with_one_hash_are_told_apart() {
        let keys: Vec<u64> = (0..200).map(|key| key * 3).collect();
        let wanted: Vec<u64> = (0..700).map(|place| place / 2 * 37 % 700).collect();
        let index = |key: u64| (key < 600 && key.is_multiple_of(3)).then_some(key as u32 / 3);
        let expected: Vec<_> = wanted.iter().map(|key| index(*key)).collect();
        for n_hashes in [1, 2, 50, 1 << 20] {
            let slots = Slots::of(keys.len(), |_, index| keys[index] % n_hashes);
            let mut found = vec![None];
            slots.find_each(wanted.len(), Numbers { keys: &keys, wanted: &wanted, n_hashes }, &mut found);
            assert_eq!(found[1..], expected, "{n_hashes} hashes");
            let one_by_one = wanted.iter().map(|key| slots.find(key % n_hashes, |index| keys[index] == *key));
            assert_eq!(one_by_one.collect::<Vec<_>>(), expected);
        }
    }
}
