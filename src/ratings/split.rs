//! Which ratings are held out for validation.

use crate::ids::Id;
use crate::rng::{mix, unit_interval};

/// What decides which side a rating is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// A share of the pairs of user and item, drawn by a seed.
    ///
    /// Whether a rating is held out depends on its user, its item and the seed alone: not on the order of the rows, on
    /// what else the table has, or on the rating. Several ratings of one pair stay together.
    Pairs {
        /// The share that is held out, in `[0, 1)`; 0 holds out nothing.
        fraction: f64,
        /// The seed of the training.
        seed: u64,
    },
    /// Each row says itself, in the column `held_out`. At least one row must be held out.
    Given,
}

impl Split {
    /// Whether the ratings of this user for this item are held out; `None` where the rows say it.
    pub fn holds_out(&self, user: Id<'_>, item: Id<'_>) -> Option<bool> {
        match *self {
            Self::Pairs { fraction, seed } => Some(fraction > 0.0 && pair_fraction(seed, user, item) < fraction),
            Self::Given => None,
        }
    }
}

/// A number in `[0, 1)` for a seed and a pair, evenly spread over pairs: a chain of SplitMix64's output functions.
///
/// Stored models rely on it, as the seeds of their splits: it must never change.
pub fn pair_fraction(seed: u64, user: Id<'_>, item: Id<'_>) -> f64 {
    PairHash::new(seed).with(user).with(item).fraction()
}

/// [`pair_fraction`] on its way: a user, then an item.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairHash(u64);

impl PairHash {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    #[inline]
    pub(super) fn with(self, id: Id<'_>) -> Self {
        match id {
            Id::Integer(number) => self.with_integer(number),
            Id::Text(text) => self.with_text(text.as_bytes()),
        }
    }

    #[inline]
    pub(super) fn with_integer(self, id: i64) -> Self {
        Self(mix(self.0 ^ id as u64))
    }

    /// With an id by its UTF-8 bytes.
    #[inline]
    pub(super) fn with_text(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let absorb = |state, word| mix(state ^ word);
        let start = mix(self.0 ^ bytes.len() as u64);
        let state = words.iter().map(|word| u64::from_le_bytes(*word)).fold(start, absorb);
        Self(if rest.is_empty() { state } else { absorb(state, last_word(bytes, rest)) })
    }

    pub(super) fn fraction(self) -> f64 {
        unit_interval(self.0)
    }
}

/// The bytes of `rest`, with which `bytes` ends, as the low bytes of a word.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_the_one_that_models_were_trained_with() {
        // From an implementation in Python; these numbers must never change.
        assert_eq!(pair_fraction(42, Id::Integer(196), Id::Integer(242)), 0.03326760654702421);
        assert_eq!(pair_fraction(42, Id::Text("alice"), Id::Text("Star Wars (1977)")), 0.9271882625881008);
        assert_eq!(pair_fraction(1, Id::Integer(-1), Id::Text("")), 0.3234723533359869);
    }

    #[test]
    fn texts_of_every_length_are_absorbed_word_by_word() {
        let text = "0123456789abcdefghijklmnopqrst";
        for len in 0..text.len() {
            let expected = text.as_bytes()[..len].chunks(8).fold(mix(7 ^ len as u64), |state, chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                mix(state ^ u64::from_le_bytes(word))
            });
            assert_eq!(PairHash(7).with(Id::Text(&text[..len])).0, expected, "{len} bytes");
        }
    }

    #[test]
    fn neighbouring_pairs_are_spread_evenly() {
        // 300 x 300 pairs in 20 cells: chi-square with 19 degrees of freedom is below 43.8 in 99.9 % of all cases.
        for seed in [0, 1, 42] {
            let mut cells = [0u32; 20];
            let pairs = (0..300).flat_map(|user| (0..300).map(move |item| (user, item)));
            for (user, item) in pairs {
                let fraction = pair_fraction(seed, Id::Integer(user), Id::Integer(item));
                cells[(fraction * 20.0) as usize] += 1;
            }
            let chi_square: f64 = cells.iter().map(|&n| (f64::from(n) - 4_500.0).powi(2) / 4_500.0).sum();
            assert!(chi_square < 43.8, "seed {seed}: {chi_square}");
        }
    }

    #[test]
    fn the_seed_both_ids_and_their_border_count() {
        let fractions = [
            pair_fraction(1, Id::Text("ab"), Id::Text("c")),
            pair_fraction(2, Id::Text("ab"), Id::Text("c")),
            pair_fraction(1, Id::Text("a"), Id::Text("bc")),
            pair_fraction(1, Id::Text("c"), Id::Text("ab")),
            pair_fraction(1, Id::Text("ab\0"), Id::Text("c")),
            pair_fraction(1, Id::Integer(5), Id::Integer(7)),
            pair_fraction(1, Id::Integer(7), Id::Integer(5)),
        ];
        for (position, fraction) in fractions.iter().enumerate() {
            assert!(!fractions[..position].contains(fraction), "{position}");
        }
    }

    #[test]
    fn no_fraction_holds_out_nothing() {
        let split = Split::Pairs { fraction: 0.0, seed: 42 };
        assert!((0..1_000).all(|item| split.holds_out(Id::Integer(1), Id::Integer(item)) == Some(false)));
    }
}
