//! The dictionary of one side of the ratings.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Id, IdKind, next_index, wrong_kind};
use crate::error::{Error, Result};

/// External ids by dense index and back. Ids ascend with their index, so that an index depends on which ids there are
/// and not on the order in which they came.
///
/// Integers take 13 to 19 bytes each, texts their bytes and as much.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    keys: Keys,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Vocabulary {
    /// A vocabulary without ids.
    pub fn new(kind: IdKind) -> Self {
        Self { keys: Keys::new(kind), table: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// Gives the next index to an id that is greater than all before it.
    ///
    /// # Errors
    /// An id of the other kind, one that repeats or is out of order, or more than 2^31 - 1 ids.
    pub fn push(&mut self, id: Id<'_>) -> Result<()> {
        if id.kind() != self.kind() {
            return Err(wrong_kind(self.kind(), id));
        }
        if let Some(last) = self.iter().next_back().filter(|last| *last >= id) {
            return Err(Error::new(format!("id {id} after {last}: expected ascending ids without repetition")));
        }
        let index = next_index(self.len())?;
        self.keys.push(id)?;
        let Self { keys, table, hasher } = self;
        let hash = hash_of(hasher, id);
        table.insert_unique(hash, index, |&other| hash_of(hasher, keys.at(other as usize)));
        Ok(())
    }

    /// The type of the ids.
    pub fn kind(&self) -> IdKind {
        self.keys.kind()
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index of an id, or `None` where it is unknown.
    ///
    /// A vocabulary of integers takes text that spells one: an optional sign and decimal digits, nothing around them.
    /// A vocabulary of texts knows no integers.
    pub fn get(&self, id: Id<'_>) -> Option<u32> {
        match (&self.keys, id) {
            (Keys::Integer(_), Id::Text(text)) => text.parse().ok().and_then(|number| self.find(Id::Integer(number))),
            (Keys::Text { .. }, Id::Integer(_)) => None,
            _ => self.find(id),
        }
    }

    /// The id of an index, or `None` beyond the last one.
    pub fn id(&self, index: u32) -> Option<Id<'_>> {
        let index = index as usize;
        (index < self.len()).then(|| self.keys.at(index))
    }

    /// All ids in the order of their indices, which is ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Id<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| self.keys.at(index))
    }

    fn find(&self, id: Id<'_>) -> Option<u32> {
        let hash = hash_of(&self.hasher, id);
        self.table.find(hash, |&index| self.keys.at(index as usize) == id).copied()
    }
}

/// The hash of an id within one process; its kind plays no part.
pub(super) fn hash_of(hasher: &DefaultHashBuilder, id: Id<'_>) -> u64 {
    match id {
        Id::Integer(number) => hasher.hash_one(number),
        Id::Text(text) => hasher.hash_one(text),
    }
}

/// Ids by index, without an allocation for each.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Integer(Vec<i64>),
    Text {
        /// All texts one behind the other.
        arena: String,
        /// Where each text ends in the arena.
        ends: Vec<usize>,
    },
}

impl Keys {
    pub(super) fn new(kind: IdKind) -> Self {
        match kind {
            IdKind::Integer => Keys::Integer(Vec::new()),
            IdKind::Text => Keys::Text { arena: String::new(), ends: Vec::new() },
        }
    }

    pub(super) fn kind(&self) -> IdKind {
        match self {
            Keys::Integer(_) => IdKind::Integer,
            Keys::Text { .. } => IdKind::Text,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Keys::Integer(numbers) => numbers.len(),
            Keys::Text { ends, .. } => ends.len(),
        }
    }

    pub(super) fn push(&mut self, id: Id<'_>) -> Result<()> {
        match (self, id) {
            (Keys::Integer(numbers), Id::Integer(number)) => numbers.push(number),
            (Keys::Text { arena, ends }, Id::Text(text)) => {
                arena.push_str(text);
                ends.push(arena.len());
            }
            (keys, _) => return Err(wrong_kind(keys.kind(), id)),
        }
        Ok(())
    }

    /// The id of an index that was given out: any other panics.
    pub(super) fn at(&self, index: usize) -> Id<'_> {
        match self {
            Keys::Integer(numbers) => Id::Integer(numbers[index]),
            Keys::Text { arena, ends } => {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                Id::Text(&arena[start..ends[index]])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(kind: IdKind, ids: &[Id<'_>]) -> Result<Vocabulary> {
        let mut vocabulary = Vocabulary::new(kind);
        ids.iter().try_for_each(|id| vocabulary.push(*id))?;
        Ok(vocabulary)
    }

    #[test]
    fn integers_are_found_by_number_and_by_spelling() {
        let numbers = [i64::MIN, -7, 0, 42, 5_000_000_000, i64::MAX];
        let ids = numbers.map(Id::Integer);
        let vocabulary = vocabulary(IdKind::Integer, &ids).unwrap();
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), ids);
        for (index, number) in numbers.into_iter().enumerate() {
            let index = index as u32;
            assert_eq!(vocabulary.get(Id::Integer(number)), Some(index));
            assert_eq!(vocabulary.get(Id::Text(&number.to_string())), Some(index));
            assert_eq!(vocabulary.id(index), Some(Id::Integer(number)));
        }
        assert_eq!(vocabulary.get(Id::Text("+042")), Some(3));
        for unknown in ["", " 42", "42 ", "42.0", "4e1", "0x2a", "9223372036854775808", "41"] {
            assert_eq!(vocabulary.get(Id::Text(unknown)), None, "{unknown:?}");
        }
        assert_eq!((vocabulary.get(Id::Integer(41)), vocabulary.id(6), vocabulary.id(u32::MAX)), (None, None, None));
    }

    #[test]
    fn texts_are_found_byte_for_byte() {
        let texts = ["", "'; DROP TABLE x; --", "10", "9", "Amélie", "Ame\u{301}lie2", "🎬"];
        let mut ids = texts.map(Id::Text);
        ids.sort();
        let vocabulary = vocabulary(IdKind::Text, &ids).unwrap();
        for (index, id) in ids.into_iter().enumerate() {
            assert_eq!(vocabulary.get(id), Some(index as u32));
            assert_eq!(vocabulary.id(index as u32), Some(id));
        }
        assert_eq!(vocabulary.get(Id::Text("Amélie ")), None);
        assert_eq!(vocabulary.get(Id::Integer(10)), None);
        assert_eq!(vocabulary.len(), 7);
    }

    #[test]
    fn ids_that_somebody_has_edited_are_refused() {
        let refused = |ids: &[Id<'_>]| vocabulary(IdKind::Integer, ids).unwrap_err().to_string();
        let expected = "expected ascending ids without repetition";
        assert_eq!(refused(&[Id::Integer(3), Id::Integer(3)]), format!("id 3 after 3: {expected}"));
        assert_eq!(refused(&[Id::Integer(3), Id::Integer(-4)]), format!("id -4 after 3: {expected}"));
        assert_eq!(
            refused(&[Id::Text("a")]),
            "id 'a': expected integer ids, as all before it are; cast the column to one type"
        );
    }

    #[test]
    fn an_empty_vocabulary_knows_nothing() {
        let vocabulary = Vocabulary::new(IdKind::Text);
        assert!(vocabulary.is_empty() && vocabulary.get(Id::Text("")).is_none() && vocabulary.id(0).is_none());
    }
}
