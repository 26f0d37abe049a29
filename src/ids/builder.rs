//! Ids in the order of their arrival, made into a vocabulary when all have been seen.

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::vocabulary::{Keys, hash_of};
use super::{Id, IdKind, Vocabulary, next_index, wrong_kind};
use crate::error::Result;

/// Numbers ids by first arrival, in any order and with repetitions.
#[derive(Debug)]
pub struct VocabularyBuilder {
    keys: Keys,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl VocabularyBuilder {
    /// A builder that has seen nothing.
    pub fn new(kind: IdKind) -> Self {
        Self { keys: Keys::new(kind), table: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The number of an id: its own where it was seen before, else the next one.
    ///
    /// # Errors
    /// An id of the other kind, or more than 2^31 - 1 ids.
    pub fn insert(&mut self, id: Id<'_>) -> Result<u32> {
        let Self { keys, table, hasher } = self;
        if id.kind() != keys.kind() {
            return Err(wrong_kind(keys.kind(), id));
        }
        let entry = table.entry(
            hash_of(hasher, id),
            |&other| keys.at(other as usize) == id,
            |&other| hash_of(hasher, keys.at(other as usize)),
        );
        match entry {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(vacant) => {
                let index = next_index(keys.len())?;
                vacant.insert(index);
                keys.push(id)?;
                Ok(index)
            }
        }
    }

    /// The vocabulary of the ids that `keep` wants, and for each number by arrival its index there.
    ///
    /// # Errors
    /// None that its own ids can cause; those of [`Vocabulary::push`] are handed through.
    pub fn finish(self, keep: impl Fn(u32) -> bool) -> Result<(Vocabulary, Vec<Option<u32>>)> {
        let Self { keys, table, .. } = self;
        drop(table);
        let mut kept: Vec<u32> = (0..keys.len() as u32).filter(|&arrival| keep(arrival)).collect();
        kept.sort_unstable_by_key(|&arrival| keys.at(arrival as usize));
        let mut vocabulary = Vocabulary::new(keys.kind());
        let mut index_by_arrival = vec![None; keys.len()];
        for (index, &arrival) in kept.iter().enumerate() {
            vocabulary.push(keys.at(arrival as usize))?;
            index_by_arrival[arrival as usize] = Some(index as u32);
        }
        Ok((vocabulary, index_by_arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn build(kind: IdKind, arrivals: &[Id<'_>]) -> (Vec<u32>, VocabularyBuilder) {
        let mut builder = VocabularyBuilder::new(kind);
        let numbers = arrivals.iter().map(|id| builder.insert(*id).unwrap()).collect();
        (numbers, builder)
    }

    #[test]
    fn ids_are_numbered_by_arrival_and_indexed_by_order() {
        let (numbers, builder) = build(IdKind::Text, &["b", "", "b", "10", "9", ""].map(Id::Text));
        assert_eq!(numbers, [0, 1, 0, 2, 3, 1]);
        let (vocabulary, indices) = builder.finish(|_| true).unwrap();
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), ["", "10", "9", "b"].map(Id::Text));
        assert_eq!(indices, [Some(3), Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn integers_are_ordered_by_number() {
        let (_, builder) = build(IdKind::Integer, &[10, -1, 9, i64::MIN].map(Id::Integer));
        let (vocabulary, _) = builder.finish(|_| true).unwrap();
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), [i64::MIN, -1, 9, 10].map(Id::Integer));
    }

    #[test]
    fn ids_that_are_not_kept_are_unknown() {
        let (_, builder) = build(IdKind::Integer, &[7, 8, 9].map(Id::Integer));
        let (vocabulary, indices) = builder.finish(|arrival| arrival != 1).unwrap();
        assert_eq!(indices, [Some(0), None, Some(1)]);
        assert_eq!((vocabulary.len(), vocabulary.get(Id::Integer(8))), (2, None));
    }

    #[test]
    fn many_ids_in_any_order_give_the_same_indices() {
        let mut order: Vec<u32> = (0..50_000).collect();
        let mut rng = Rng::new(1);
        for _ in 0..2 {
            rng.shuffle(&mut order);
            let mut builder = VocabularyBuilder::new(IdKind::Text);
            for number in order.iter().chain(&order) {
                builder.insert(Id::Text(&format!("{number:05}"))).unwrap();
            }
            let (vocabulary, _) = builder.finish(|_| true).unwrap();
            assert_eq!(vocabulary.len(), order.len());
            assert!((0..50_000).all(|index| vocabulary.get(Id::Text(&format!("{index:05}"))) == Some(index)));
        }
    }

    #[test]
    fn the_other_kind_is_refused() {
        let mut builder = VocabularyBuilder::new(IdKind::Text);
        let message = builder.insert(Id::Integer(5)).unwrap_err().to_string();
        assert_eq!(message, "id 5: expected text ids, as all before it are; cast the column to one type");
    }
}
