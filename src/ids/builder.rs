//! Ids in the order of their arrival, made into a vocabulary when all have been seen.

use super::integers::IntegerNumbers;
use super::texts::TextNumbers;
use super::{Id, IdKind, Vocabulary, wrong_kind};
use crate::error::Result;

/// Numbers ids by first arrival, in any order and with repetitions.
///
/// An integer takes 12 to 56 bytes, a text 27 to 38 and, where it has more than 15 bytes, its bytes. Several builders may each see a part of the ids:
/// [`InOrder::merge`] makes one vocabulary of them.
#[derive(Debug)]
pub struct VocabularyBuilder(Numbers);

#[derive(Debug)]
enum Numbers {
    Integer(IntegerNumbers),
    Text(TextNumbers),
}

impl VocabularyBuilder {
    /// A builder that has seen nothing.
    pub fn new(kind: IdKind) -> Self {
        Self(match kind {
            IdKind::Integer => Numbers::Integer(IntegerNumbers::new()),
            IdKind::Text => Numbers::Text(TextNumbers::new()),
        })
    }

    /// The number of an id: its own where it was seen before, else the next one.
    ///
    /// # Errors
    /// An id of the other kind, or more than 2^31 - 1 ids.
    pub fn insert(&mut self, id: Id<'_>) -> Result<u32> {
        let mut number = Vec::with_capacity(1);
        match id {
            Id::Integer(id) => self.insert_integers([id].into_iter(), &mut number)?,
            Id::Text(id) => self.insert_texts(&[id.as_bytes()], &mut number)?,
        }
        Ok(number[0])
    }

    /// Puts the numbers of many ids behind `numbers`, which is faster than one by one.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    pub fn insert_integers(&mut self, mut ids: impl Iterator<Item = i64>, numbers: &mut Vec<u32>) -> Result<()> {
        match &mut self.0 {
            Numbers::Integer(known) => ids.try_for_each(|id| {
                numbers.push(known.insert(id)?);
                Ok(())
            }),
            Numbers::Text(_) => ids.next().map_or(Ok(()), |id| Err(wrong_kind(IdKind::Text, Id::Integer(id)))),
        }
    }

    /// Puts the numbers of many ids behind `numbers`, which is faster than one by one.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert); bytes that are not UTF-8.
    pub fn insert_texts(&mut self, ids: &[&[u8]], numbers: &mut Vec<u32>) -> Result<()> {
        match &mut self.0 {
            Numbers::Text(known) => known.insert_all(ids, numbers),
            Numbers::Integer(_) => {
                let shown = |id| Id::Text(str::from_utf8(id).unwrap_or_default());
                ids.first().map_or(Ok(()), |id| Err(wrong_kind(IdKind::Integer, shown(id))))
            }
        }
    }

    /// The type of the ids.
    pub fn kind(&self) -> IdKind {
        match self.0 {
            Numbers::Integer(_) => IdKind::Integer,
            Numbers::Text(_) => IdKind::Text,
        }
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Numbers::Integer(numbers) => numbers.ids().len(),
            Numbers::Text(numbers) => numbers.len(),
        }
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All ids, put in order.
    pub fn in_order(&self) -> InOrder<'_> {
        let ascending = match &self.0 {
            Numbers::Integer(numbers) => numbers.ascending(),
            Numbers::Text(numbers) => numbers.ascending(),
        };
        InOrder { builder: self, ascending }
    }

    /// The id of a number that was given out: any other panics.
    fn at(&self, number: u32) -> Id<'_> {
        match &self.0 {
            Numbers::Integer(numbers) => Id::Integer(numbers.ids()[number as usize]),
            Numbers::Text(numbers) => Id::Text(numbers.at(number)),
        }
    }
}

/// The ids of one builder, ascending.
#[derive(Debug)]
pub struct InOrder<'a> {
    builder: &'a VocabularyBuilder,
    /// Their numbers, ascending by id.
    ascending: Vec<u32>,
}

impl InOrder<'_> {
    /// The vocabulary of those ids of several builders of one kind that `keep` wants, by the place of a builder and the id's number
    /// there. An id is in it when it is wanted of one of them.
    ///
    /// # Errors
    /// More than 2^31 - 1 ids.
    pub fn merge(kind: IdKind, all: &[InOrder<'_>], keep: impl Fn(usize, u32) -> bool) -> Result<Vocabulary> {
        let mut vocabulary = Vocabulary::new(kind);
        let keep = &keep;
        let kept = |place: usize| {
            let InOrder { builder, ascending } = &all[place];
            ascending.iter().filter(move |number| keep(place, **number)).map(|&number| builder.at(number))
        };
        if all.len() == 1 {
            kept(0).try_for_each(|id| vocabulary.push(id))?;
        } else {
            let mut ids: Vec<Id<'_>> = (0..all.len()).flat_map(&kept).collect();
            // This sort finds the ascending pieces and merges them.
            ids.sort();
            ids.dedup();
            ids.into_iter().try_for_each(|id| vocabulary.push(id))?;
        }
        Ok(vocabulary)
    }

    /// For each number of the builder the index of its id; `None` for those that the vocabulary has not.
    pub fn indices_in(&self, vocabulary: &Vocabulary) -> Vec<Option<u32>> {
        let mut indices = vec![None; self.builder.len()];
        let mut all = (0u32..).zip(vocabulary.iter()).peekable();
        for &number in &self.ascending {
            let id = self.builder.at(number);
            while all.next_if(|(_, other)| *other < id).is_some() {}
            indices[number as usize] = all.next_if(|(_, other)| *other == id).map(|(index, _)| index);
        }
        indices
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

    fn finish(builder: &VocabularyBuilder, keep: impl Fn(u32) -> bool) -> (Vocabulary, Vec<Option<u32>>) {
        let all = [builder.in_order()];
        let vocabulary = InOrder::merge(builder.kind(), &all, |_, number| keep(number)).unwrap();
        let indices = all[0].indices_in(&vocabulary);
        (vocabulary, indices)
    }

    #[test]
    fn ids_are_numbered_by_arrival_and_indexed_by_order() {
        let (numbers, builder) = build(IdKind::Text, &["b", "", "b", "10", "9", ""].map(Id::Text));
        assert_eq!(numbers, [0, 1, 0, 2, 3, 1]);
        let (vocabulary, indices) = finish(&builder, |_| true);
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), ["", "10", "9", "b"].map(Id::Text));
        assert_eq!(indices, [Some(3), Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn integers_are_ordered_by_number() {
        let (_, builder) = build(IdKind::Integer, &[10, -1, 9, i64::MIN].map(Id::Integer));
        let (vocabulary, _) = finish(&builder, |_| true);
        assert_eq!(vocabulary.iter().collect::<Vec<_>>(), [i64::MIN, -1, 9, 10].map(Id::Integer));
    }

    #[test]
    fn ids_that_are_not_kept_are_unknown() {
        let (_, builder) = build(IdKind::Integer, &[7, 8, 9].map(Id::Integer));
        let (vocabulary, indices) = finish(&builder, |arrival| arrival != 1);
        assert_eq!(indices, [Some(0), None, Some(1)]);
        assert_eq!((vocabulary.len(), vocabulary.get(Id::Integer(8))), (2, None));
    }

    #[test]
    fn several_builders_make_one_vocabulary() {
        let check = |kind, first: [Id<'_>; 4], second: [Id<'_>; 3]| {
            let (_, first) = build(kind, &first);
            let (_, second) = build(kind, &second);
            let all = [first.in_order(), second.in_order(), first.in_order()];
            // Of the first builder the first two are not wanted; the first of them is of the second.
            let keep = |place, number| (place == 0 && number > 1) || place == 1;
            let vocabulary = InOrder::merge(kind, &all, keep).unwrap();
            assert_eq!(vocabulary.len(), 4);
            for first in [&all[0], &all[2]] {
                assert_eq!(first.indices_in(&vocabulary), [Some(0), None, Some(3), Some(1)]);
            }
            assert_eq!(all[1].indices_in(&vocabulary), [Some(1), Some(0), Some(2)]);
        };
        check(IdKind::Integer, [5, -7, 40, 9].map(Id::Integer), [9, 5, 20].map(Id::Integer));
        check(IdKind::Text, ["e", "a", "z", "m"].map(Id::Text), ["m", "e", "x"].map(Id::Text));
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
            let (vocabulary, _) = finish(&builder, |_| true);
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
