//! From ids to indices, a vector of them at a time.

use super::slots::{Slots, Wanted};
use super::vocabulary::Keys;
use crate::kernels::prefetch_all;

/// Where the ids of a vocabulary are, for those that are asked for.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// Integers without a gap, from the first one on.
    Contiguous {
        /// The lowest id.
        first: i64,
    },
    /// Integers with few gaps.
    Ranked(Ranks),
    /// All others.
    Hashed(Slots),
}

impl Lookup {
    /// Over ascending keys without repetition.
    pub(super) fn of(keys: &Keys) -> Self {
        let numbers = match keys {
            Keys::Integer(numbers) => numbers,
            Keys::Text { .. } => {
                return Lookup::Hashed(Slots::of(keys.len(), |slots, n| slots.hash_text(keys.bytes(n))));
            }
        };
        let n = numbers.len();
        let (first, last) = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
        let span = last.wrapping_sub(first) as u64;
        if n > 0 && span == n as u64 - 1 {
            Lookup::Contiguous { first }
        } else if span / 64 < (Slots::capacity(n) / 2) as u64 {
            // A word with its rank is as large as two slots: this takes less memory.
            Lookup::Ranked(Ranks::of(numbers, first, span))
        } else {
            Lookup::Hashed(Slots::of(n, |slots, index| slots.hash_integer(numbers[index])))
        }
    }

    /// The index of an integer among `keys`.
    pub(super) fn integer(&self, keys: &[i64], id: i64) -> Option<u32> {
        match self {
            Lookup::Contiguous { first } => {
                let place = id.wrapping_sub(*first) as u64;
                (place < keys.len() as u64).then_some(place as u32)
            }
            Lookup::Ranked(ranks) => ranks.get(id),
            Lookup::Hashed(slots) => slots.find(slots.hash_integer(id), |index| keys[index] == id),
        }
    }

    /// The index of each integer, behind what is in `found`.
    pub(super) fn integers(&self, keys: &[i64], ids: &[i64], found: &mut Vec<Option<u32>>) {
        match self {
            Lookup::Hashed(slots) => slots.find_each(ids.len(), Integers { keys, ids, slots }, found),
            _ => found.extend(ids.iter().map(|id| self.integer(keys, *id))),
        }
    }
}

/// Integers that are looked up in a table of hashes.
struct Integers<'a> {
    keys: &'a [i64],
    ids: &'a [i64],
    slots: &'a Slots,
}

impl Wanted for Integers<'_> {
    fn hash(&self, place: usize) -> u64 {
        self.slots.hash_integer(self.ids[place])
    }

    fn repeats(&self, place: usize) -> bool {
        self.ids[place] == self.ids[place - 1]
    }

    fn fetch(&self, index: usize) {
        prefetch_all(&self.keys[index..=index]);
    }

    fn fetch_rest(&self, _: usize) {}

    fn is_at(&self, place: usize, index: usize) -> bool {
        self.keys[index] == self.ids[place]
    }
}

/// Integers as bits that are set, with the number of those before each word: the rank of an id is its index.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    first: i64,
    words: Vec<Word>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bits: u64,
    before: u32,
}

impl Ranks {
    fn of(numbers: &[i64], first: i64, span: u64) -> Self {
        let mut words = vec![Word::default(); (span / 64) as usize + 1];
        for number in numbers {
            let place = number.wrapping_sub(first) as u64;
            words[(place / 64) as usize].bits |= 1 << (place % 64);
        }
        let mut before = 0;
        for word in &mut words {
            word.before = before;
            before += word.bits.count_ones();
        }
        Self { first, words }
    }

    fn get(&self, id: i64) -> Option<u32> {
        let place = id.wrapping_sub(self.first) as u64;
        let word = self.words.get((place / 64) as usize)?;
        let bit = 1u64 << (place % 64);
        (word.bits & bit != 0).then(|| word.before + (word.bits & (bit - 1)).count_ones())
    }
}
