//! Text ids numbered by arrival.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use hashbrown::DefaultHashBuilder;

use super::next_index;
use crate::error::Result;
use crate::kernels::prefetch_all;

/// Texts that are looked up side by side. A look-up reads three places that are seldom in the nearest cache, one after the other; so
/// many look-ups wait for theirs together.
const GROUP: usize = 64;

/// Texts and their numbers by arrival, without an allocation for each.
#[derive(Debug)]
pub(super) struct TextNumbers {
    /// All texts one behind the other.
    arena: String,
    /// Where each text ends in the arena.
    ends: Vec<usize>,
    /// A table of hashes with linear probing, its length a power of two and at most three quarters of it in use.
    slots: Vec<Slot>,
    hasher: DefaultHashBuilder,
}

/// A place of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The upper half of the text's hash.
    tag: u32,
    /// The number after the text's, where there is one.
    after: Option<NonZeroU32>,
}

impl TextNumbers {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { arena: String::new(), ends: Vec::new(), slots: vec![Slot::default(); 64], hasher }
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

    /// Puts the numbers of texts behind `numbers`.
    pub(super) fn insert_all<'a>(
        &mut self,
        mut texts: impl Iterator<Item = &'a str>,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let mut group = [""; GROUP];
        loop {
            let n = group.iter_mut().zip(texts.by_ref()).map(|(place, text)| *place = text).count();
            if n == 0 {
                return Ok(());
            }
            self.insert_group(&group[..n], numbers)?;
        }
    }

    fn insert_group(&mut self, texts: &[&str], numbers: &mut Vec<u32>) -> Result<()> {
        let mut hashes = [0; GROUP];
        let mut guesses = [None; GROUP];
        let mut spans = [(0, 0); GROUP];
        for (hash, text) in hashes.iter_mut().zip(texts) {
            *hash = self.hash(text.as_bytes());
        }
        for (guess, hash) in guesses.iter_mut().zip(&hashes[..texts.len()]) {
            let slot = self.slots[*hash as usize & (self.slots.len() - 1)];
            *guess = slot.after.filter(|_| slot.tag == tag(*hash)).map(|after| after.get() - 1);
        }
        for (span, guess) in spans.iter_mut().zip(&guesses[..texts.len()]) {
            if let Some(number) = *guess {
                let number = number as usize;
                *span = (if number == 0 { 0 } else { self.ends[number - 1] }, self.ends[number]);
                prefetch_all(&self.arena.as_bytes()[span.0..span.1]);
            }
        }
        for (((text, hash), guess), (start, end)) in texts.iter().zip(hashes).zip(guesses).zip(spans) {
            let number = match guess {
                Some(number) if self.arena.as_bytes()[start..end] == *text.as_bytes() => number,
                _ => self.insert(text, hash)?,
            };
            numbers.push(number);
        }
        Ok(())
    }

    fn insert(&mut self, text: &str, hash: u64) -> Result<u32> {
        let mut place = hash as usize & (self.slots.len() - 1);
        while let Some(after) = self.slots[place].after {
            let number = after.get() - 1;
            if self.slots[place].tag == tag(hash) && self.at(number) == text {
                return Ok(number);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        let number = next_index(self.len())?;
        self.slots[place] = Slot { tag: tag(hash), after: NonZeroU32::new(number + 1) };
        self.arena.push_str(text);
        self.ends.push(self.arena.len());
        if self.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Ok(number)
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![Slot::default(); mask + 1];
        for number in 0..self.len() as u32 {
            let hash = self.hash(self.at(number).as_bytes());
            let mut place = hash as usize & mask;
            while slots[place].after.is_some() {
                place = (place + 1) & mask;
            }
            slots[place] = Slot { tag: tag(hash), after: NonZeroU32::new(number + 1) };
        }
        self.slots = slots;
    }

    /// All numbers, ascending by text.
    pub(super) fn ascending(&self) -> Vec<u32> {
        let mut ascending: Vec<u32> = (0..self.len() as u32).collect();
        ascending.sort_unstable_by_key(|&number| self.at(number));
        ascending
    }

    /// Of the bytes alone, as a text is never a part of something longer that is hashed.
    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_numbers_while_the_table_grows() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("{:x}", n * n)).chain([String::new()]).collect();
        let mut builder = TextNumbers::new();
        let expected: Vec<u32> = (0..texts.len() as u32).collect();
        for _ in 0..2 {
            let mut numbers = Vec::new();
            builder.insert_all(texts.iter().map(String::as_str), &mut numbers).unwrap();
            assert_eq!(numbers, expected);
        }
        assert!(expected.iter().all(|&number| builder.at(number) == texts[number as usize]));
        let ascending: Vec<&str> = builder.ascending().into_iter().map(|number| builder.at(number)).collect();
        let mut expected: Vec<&str> = texts.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(ascending, expected);
    }

    #[test]
    fn repetitions_within_a_group_have_one_number() {
        let mut numbers = vec![9];
        let mut builder = TextNumbers::new();
        builder.insert_all(["b", "a", "b", "b", "", "a", ""].into_iter(), &mut numbers).unwrap();
        assert_eq!((numbers, builder.len()), (vec![9, 0, 1, 0, 0, 2, 1, 2], 3));
    }
}
