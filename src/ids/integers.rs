//! Integer ids numbered by arrival: by their place in a table over their range where that is narrow, else by hash.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::next_index;
use crate::error::Result;

/// A range of so many integers is always narrow: a table of 1 MiB.
const NARROW: u64 = 1 << 18;

/// A range is narrow where it has at most so many integers for each id: the table is then no larger than one of hashes.
const PLACES_PER_ID: u64 = 8;

/// Integers and their numbers by arrival.
#[derive(Debug)]
pub(super) struct IntegerNumbers {
    /// By number.
    ids: Vec<i64>,
    /// The lowest and the highest of them, while there are some.
    bounds: Option<(i64, i64)>,
    lookup: Lookup,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
enum Lookup {
    /// For the integers from `first` on the number after theirs, where they have one.
    Places {
        first: i64,
        places: Vec<Option<NonZeroU32>>,
    },
    Hashes(HashTable<(i64, u32)>),
}

impl IntegerNumbers {
    pub(super) fn new() -> Self {
        let lookup = Lookup::Places { first: 0, places: Vec::new() };
        Self { ids: Vec::new(), bounds: None, lookup, hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn ids(&self) -> &[i64] {
        &self.ids
    }

    #[inline]
    pub(super) fn insert(&mut self, id: i64) -> Result<u32> {
        match self.find(id) {
            Some(number) => Ok(number),
            None => self.add(id),
        }
    }

    /// All numbers, ascending by id.
    pub(super) fn ascending(&self) -> Vec<u32> {
        match &self.lookup {
            Lookup::Places { places, .. } => places.iter().flatten().map(|after| after.get() - 1).collect(),
            Lookup::Hashes(_) => {
                let mut ascending: Vec<(i64, u32)> = self.ids.iter().copied().zip(0..).collect();
                ascending.sort_unstable();
                ascending.into_iter().map(|(_, number)| number).collect()
            }
        }
    }

    #[inline]
    fn find(&self, id: i64) -> Option<u32> {
        match &self.lookup {
            Lookup::Places { first, places } => {
                let place = usize::try_from((id as u64).wrapping_sub(*first as u64)).ok()?;
                (*places.get(place)?).map(|after| after.get() - 1)
            }
            Lookup::Hashes(table) => {
                let hash = self.hasher.hash_one(id);
                table.find(hash, |(other, _)| *other == id).map(|(_, number)| *number)
            }
        }
    }

    #[cold]
    fn add(&mut self, id: i64) -> Result<u32> {
        let number = next_index(self.ids.len())?;
        self.ids.push(id);
        let (lowest, highest) = self.bounds.map_or((id, id), |(lowest, highest)| (lowest.min(id), highest.max(id)));
        self.bounds = Some((lowest, highest));
        let span = highest.abs_diff(lowest);
        let is_narrow = span < NARROW.max(PLACES_PER_ID * self.ids.len() as u64);
        match &mut self.lookup {
            Lookup::Places { first, places } => {
                let place = usize::try_from((id as u64).wrapping_sub(*first as u64)).ok();
                match place.and_then(|place| places.get_mut(place)) {
                    Some(place) => *place = NonZeroU32::new(number + 1),
                    None if is_narrow => self.lookup = self.places(lowest, highest),
                    None => self.lookup = self.hashes(),
                }
            }
            // Asked so rarely, the change costs less than the ids did until then.
            Lookup::Hashes(_) if is_narrow && self.ids.len().is_power_of_two() => {
                self.lookup = self.places(lowest, highest);
            }
            Lookup::Hashes(table) => {
                let hasher = &self.hasher;
                let hash = |id| hasher.hash_one(id);
                table.insert_unique(hash(id), (id, number), |(other, _)| hash(*other));
            }
        }
        Ok(number)
    }

    /// A table over the range with half as much room on each side; memory that nothing was written to is none.
    fn places(&self, lowest: i64, highest: i64) -> Lookup {
        let room = (highest.abs_diff(lowest) / 2 + 1024) as i64;
        let (first, last) = (lowest.saturating_sub(room), highest.saturating_add(room));
        let mut places = vec![None; last.abs_diff(first) as usize + 1];
        for (number, id) in self.ids.iter().enumerate() {
            places[id.abs_diff(first) as usize] = NonZeroU32::new(number as u32 + 1);
        }
        Lookup::Places { first, places }
    }

    fn hashes(&self) -> Lookup {
        let hash = |id| self.hasher.hash_one(id);
        let mut table = HashTable::with_capacity(self.ids.len());
        for (number, &id) in self.ids.iter().enumerate() {
            table.insert_unique(hash(id), (id, number as u32), |(other, _)| hash(*other));
        }
        Lookup::Hashes(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inserts ids twice and looks at everything after it.
    fn check(ids: &[i64]) -> IntegerNumbers {
        let mut numbers = IntegerNumbers::new();
        for _ in 0..2 {
            for (number, &id) in ids.iter().enumerate() {
                assert_eq!(numbers.insert(id).unwrap(), number as u32, "{id}");
            }
        }
        assert_eq!(numbers.ids(), ids);
        let mut expected = ids.to_vec();
        expected.sort_unstable();
        let ascending = numbers.ascending();
        assert_eq!(ascending.iter().map(|&number| ids[number as usize]).collect::<Vec<_>>(), expected);
        numbers
    }

    #[test]
    fn narrow_ranges_are_tables_and_grow_on_both_sides() {
        let up: Vec<i64> = (0..30_000).map(|n| n * 7).collect();
        let down: Vec<i64> = (0..30_000).map(|n| 5 - n * 3).collect();
        let outwards: Vec<i64> = (0..30_000).map(|n| if n % 2 == 0 { n } else { -n }).collect();
        let ends = [i64::MAX, i64::MAX - 9, i64::MAX - 100_000];
        for ids in [&up[..], &down, &outwards, &ends, &[i64::MIN, i64::MIN + 5]] {
            assert!(matches!(check(ids).lookup, Lookup::Places { .. }));
        }
    }

    #[test]
    fn wide_ranges_are_hashed() {
        let spread: Vec<i64> = (0..5_000).map(|n: i64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)).collect();
        for ids in [&spread[..], &[i64::MIN, i64::MAX], &[0, -1, i64::MAX, i64::MIN]] {
            assert!(matches!(check(ids).lookup, Lookup::Hashes(_)));
        }
    }

    #[test]
    fn a_range_that_fills_up_becomes_a_table() {
        // Every second integer of a million, the far ends first.
        let mut ids: Vec<i64> = (0..500_000).map(|n| n * 2).collect();
        ids.swap(1, 499_999);
        let mut numbers = IntegerNumbers::new();
        assert_eq!((numbers.insert(ids[0]).unwrap(), numbers.insert(ids[1]).unwrap()), (0, 1));
        assert!(matches!(numbers.lookup, Lookup::Hashes(_)));
        assert!(matches!(check(&ids).lookup, Lookup::Places { .. }));
    }
}
