//! Text ids numbered by arrival.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use hashbrown::DefaultHashBuilder;

use super::next_index;
use crate::error::{Error, Result};
use crate::kernels::prefetch_all;

/// Texts that are looked up side by side. A look-up reads two places that are seldom in the nearest cache, one after the other; so
/// many look-ups wait for theirs together.
const GROUP: usize = 64;

/// Texts and their numbers by arrival, without an allocation for each.
#[derive(Debug)]
pub(super) struct TextNumbers {
    /// By number.
    entries: Vec<Entry>,
    /// The texts that do not fit their entries, one behind the other.
    arena: Vec<u8>,
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

/// A text of up to 15 bytes: they, then zeros, then how many they are. A longer one has in front where it starts in the arena and how long it
/// is, and ends with [`LONG`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(16))]
struct Entry([u8; 16]);

/// What stands for the length of a text that does not fit.
const LONG: u8 = u8::MAX;

impl Entry {
    /// That of a text which fits.
    #[inline]
    fn short(text: &[u8]) -> Option<Self> {
        let len = text.len();
        let (low, high) = if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            if len > 15 {
                return None;
            }
            // The last eight bytes without those that are among the first eight, too; of eight bytes none is left.
            let rest = u64::from_le_bytes(*last).checked_shr(8 * (16 - len as u32)).unwrap_or(0);
            (u64::from_le_bytes(*first), rest)
        } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            // Bytes that are among both are the same.
            let [first, last] = [first, last].map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
            (first | last << (8 * (len - 4)), 0)
        } else {
            (text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
        };
        Some(Self::of(low, high | (len as u64) << 56))
    }

    /// That of a text in the arena.
    fn long(start: usize, len: u32) -> Self {
        Self::of(start as u64, u64::from(len) | u64::from(LONG) << 56)
    }

    fn of(low: u64, high: u64) -> Self {
        Self((u128::from(low) | u128::from(high) << 64).to_le_bytes())
    }

    /// All of it as a number: the same where the texts are, of those that fit.
    fn key(&self) -> u128 {
        u128::from_le_bytes(self.0)
    }

    /// The text.
    fn bytes<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        match self.0[15] {
            LONG => {
                let (start, len) = (self.key() as u64 as usize, (self.key() >> 64) as u32 as usize);
                &arena[start..start + len]
            }
            len => &self.0[..usize::from(len)],
        }
    }
}

impl TextNumbers {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { entries: Vec::new(), arena: Vec::new(), slots: vec![Slot::default(); 64], hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The text of a number that was given out: any other panics.
    pub(super) fn at(&self, number: u32) -> &str {
        // It was checked when it came in.
        str::from_utf8(self.bytes(number)).unwrap_or_default()
    }

    fn bytes(&self, number: u32) -> &[u8] {
        self.entries[number as usize].bytes(&self.arena)
    }

    /// Puts the numbers of texts behind `numbers`.
    pub(super) fn insert_all(&mut self, texts: &[&[u8]], numbers: &mut Vec<u32>) -> Result<()> {
        texts.chunks(GROUP).try_for_each(|group| self.insert_group(group, numbers))
    }

    fn insert_group(&mut self, texts: &[&[u8]], numbers: &mut Vec<u32>) -> Result<()> {
        let n = texts.len();
        let mut wanted = [Wanted { text: &[], short: None, hash: 0 }; GROUP];
        let mut repeats = [false; GROUP];
        let mut guesses = [None; GROUP];
        for (place, text) in texts.iter().enumerate() {
            let short = Entry::short(text);
            // Tables are often ordered by one side: what repeats is looked up once.
            repeats[place] = place > 0 && short.is_some() && short == wanted[place - 1].short;
            let hash = if repeats[place] { 0 } else { self.hash(text, short) };
            let slot = self.first(hash);
            prefetch_all(&self.slots[slot..=slot]);
            wanted[place] = Wanted { text, short, hash };
        }
        for (guess, wanted) in guesses.iter_mut().zip(&wanted[..n]) {
            let slot = self.slots[self.first(wanted.hash)];
            *guess = slot.after.filter(|_| slot.tag == tag(wanted.hash)).map(|after| after.get() - 1);
            if let Some(number) = *guess {
                prefetch_all(&self.entries[number as usize..=number as usize]);
            }
        }
        let mut number = 0;
        for (place, wanted) in wanted[..n].iter().enumerate() {
            number = match guesses[place] {
                _ if repeats[place] => number,
                Some(guess) if self.is_it(guess, wanted) => guess,
                _ => self.insert(wanted)?,
            };
            numbers.push(number);
        }
        Ok(())
    }

    fn is_it(&self, number: u32, wanted: &Wanted<'_>) -> bool {
        let entry = &self.entries[number as usize];
        match wanted.short {
            Some(short) => entry.key() == short.key(),
            None => entry.bytes(&self.arena) == wanted.text,
        }
    }

    fn insert(&mut self, wanted: &Wanted<'_>) -> Result<u32> {
        let &Wanted { text, short, hash } = wanted;
        let mut place = self.first(hash);
        while let Some(after) = self.slots[place].after {
            let number = after.get() - 1;
            if self.slots[place].tag == tag(hash) && self.is_it(number, wanted) {
                return Ok(number);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        let number = next_index(self.len())?;
        // Readers check nothing, so that it is done once for each text.
        str::from_utf8(text).map_err(|error| Error::new("an id is not valid UTF-8").with_source(error))?;
        let too_long = |_| Error::new("an id has more than 4,294,967,295 bytes; use a shorter one");
        let entry = match short {
            Some(short) => short,
            None => Entry::long(self.arena.len(), u32::try_from(text.len()).map_err(too_long)?),
        };
        if short.is_none() {
            self.arena.extend_from_slice(text);
        }
        self.entries.push(entry);
        self.slots[place] = Slot { tag: tag(hash), after: NonZeroU32::new(number + 1) };
        if self.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Ok(number)
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![Slot::default(); mask + 1];
        for number in 0..self.len() as u32 {
            let text = self.bytes(number);
            let hash = self.hash(text, Entry::short(text));
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
        // Most texts differ in their first bytes, which are then all that is read.
        let of = |number| (front(self.bytes(number)), number);
        let mut ascending: Vec<(u128, u32)> = (0..self.len() as u32).map(of).collect();
        ascending.sort_unstable_by(|(front, number), (other, of_other)| {
            front.cmp(other).then_with(|| self.bytes(*number).cmp(self.bytes(*of_other)))
        });
        ascending.into_iter().map(|(_, number)| number).collect()
    }

    /// The slot that a hash names.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn hash(&self, text: &[u8], short: Option<Entry>) -> u64 {
        match short {
            Some(short) => self.hasher.hash_one(short.key()),
            // Of the bytes alone, as a text is never a part of something longer that is hashed.
            None => {
                let mut hasher = self.hasher.build_hasher();
                hasher.write(text);
                hasher.finish()
            }
        }
    }
}

/// A text whose number is wanted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    text: &'a [u8],
    /// Its entry, where it fits one.
    short: Option<Entry>,
    hash: u64,
}

/// The first bytes of a text as a number that is ordered as they are; a shorter text is as if zeros followed.
fn front(text: &[u8]) -> u128 {
    let mut front = [0; 16];
    let n = text.len().min(front.len());
    front[..n].copy_from_slice(&text[..n]);
    u128::from_be_bytes(front)
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
            builder.insert_all(&texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), &mut numbers).unwrap();
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
        let texts = ["b", "a", "b", "b", "", "a", ""].map(str::as_bytes);
        builder.insert_all(&texts, &mut numbers).unwrap();
        assert_eq!((numbers, builder.len()), (vec![9, 0, 1, 0, 0, 2, 1, 2], 3));
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let all = "abcdefghijklmnopqrstuvwxyz";
        let lengths = (0..all.len()).map(|len| all[..len].to_owned());
        // The last byte differs, or a zero follows: an entry is filled up with zeros.
        let others = (1..all.len()).flat_map(|len| [all[..len - 1].to_owned() + "!", all[..len].to_owned() + "\0"]);
        let texts: Vec<String> = lengths.chain(others).collect();
        let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let (mut builder, mut numbers) = (TextNumbers::new(), Vec::new());
        builder.insert_all(&bytes, &mut numbers).unwrap();
        builder.insert_all(&bytes, &mut numbers).unwrap();
        let expected: Vec<u32> = (0..texts.len() as u32).collect();
        assert_eq!(numbers, [expected.clone(), expected.clone()].concat());
        assert!(expected.iter().all(|&number| builder.at(number) == texts[number as usize]));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut builder = TextNumbers::new();
        for wrong in [b"\xff".as_slice(), b"long enough not to fit \xc3"] {
            let message = builder.insert_all(&[b"a", wrong], &mut Vec::new()).unwrap_err().to_string();
            assert_eq!((message.as_str(), builder.len()), ("an id is not valid UTF-8", 1));
        }
    }
}
