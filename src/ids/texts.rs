//! Text ids numbered by arrival.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::next_index;
use crate::error::{Error, Result};

/// Texts and their numbers by arrival, without an allocation for each.
#[derive(Debug)]
pub(super) struct TextNumbers {
    /// All texts one behind the other.
    arena: String,
    /// Where each text ends in the arena.
    ends: Vec<usize>,
    table: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

/// A text: from here to its bytes it is one step.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: usize,
    len: u32,
    number: u32,
}

impl Slot {
    fn text(self, arena: &str) -> &[u8] {
        &arena.as_bytes()[self.start..self.start + self.len as usize]
    }
}

impl TextNumbers {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { arena: String::new(), ends: Vec::new(), table: HashTable::new(), hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of a number that was given out: any other panics.
    pub(super) fn at(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.arena[start..self.ends[number]]
    }

    #[inline]
    pub(super) fn insert(&mut self, text: &str) -> Result<u32> {
        let Self { arena, ends, table, hasher } = self;
        let hash = hash_of(hasher, text.as_bytes());
        if let Some(slot) = table.find(hash, |slot| slot.text(arena) == text.as_bytes()) {
            return Ok(slot.number);
        }
        let len = u32::try_from(text.len());
        let len = len.map_err(|_| Error::new("an id is longer than 4 GiB; give the ids shorter names"))?;
        let number = next_index(ends.len())?;
        let slot = Slot { start: arena.len(), len, number };
        table.insert_unique(hash, slot, |slot| hash_of(hasher, slot.text(arena)));
        arena.push_str(text);
        ends.push(arena.len());
        Ok(number)
    }

    /// The numbers of the texts that `keep` wants, ascending by text.
    pub(super) fn ascending(&self, keep: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut ascending: Vec<u32> = (0..self.len() as u32).filter(|&number| keep(number)).collect();
        ascending.sort_unstable_by_key(|&number| self.at(number));
        ascending
    }
}

/// The bytes alone: a text of a table never is a part of something longer that is hashed.
#[inline]
fn hash_of(hasher: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
