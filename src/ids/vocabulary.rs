//! The dictionary of one side of the ratings.

use std::sync::OnceLock;

use super::lookup::Lookup;
use super::slots::{Slots, Wanted};
use super::{Id, IdKind, next_index, wrong_kind};
use crate::error::{Error, Result};
use crate::kernels::prefetch_all;

/// External ids by dense index and back. Ids ascend with their index, so that an index depends on which ids there are
/// and not on the order in which they came.
///
/// Integers take 8 bytes each, texts their bytes and as much; from the first look-up on, texts and integers with many gaps 12 to 24
/// more.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    keys: Keys,
    /// Made when something is looked up, and given up when an id comes.
    lookup: OnceLock<Lookup>,
}

impl Vocabulary {
    /// A vocabulary without ids.
    pub fn new(kind: IdKind) -> Self {
        Self { keys: Keys::new(kind), lookup: OnceLock::new() }
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
        next_index(self.len())?;
        self.lookup.take();
        self.keys.push(id)
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
            (Keys::Integer(keys), Id::Integer(number)) => self.lookup().integer(keys, number),
            (Keys::Integer(keys), Id::Text(text)) => self.lookup().integer(keys, text.parse().ok()?),
            (Keys::Text { .. }, Id::Integer(_)) => None,
            (Keys::Text { .. }, Id::Text(text)) => match self.lookup() {
                Lookup::Hashed(slots) => {
                    slots.find(slots.hash_text(text.as_bytes()), |index| self.keys.bytes(index) == text.as_bytes())
                }
                _ => None,
            },
        }
    }

    /// [`get`](Self::get) for each of some integers, behind what is in `found`. Many are faster this way than one by one: their
    /// memory is asked for before it is needed.
    pub fn get_integers(&self, ids: &[i64], found: &mut Vec<Option<u32>>) {
        match &self.keys {
            Keys::Integer(keys) => self.lookup().integers(keys, ids, found),
            Keys::Text { .. } => found.extend(ids.iter().map(|_| None)),
        }
    }

    /// [`get`](Self::get) for each of some texts, behind what is in `found`. Bytes that are no UTF-8 are no id.
    pub fn get_texts(&self, ids: &impl Texts, found: &mut Vec<Option<u32>>) {
        match (&self.keys, self.lookup()) {
            (Keys::Text { .. }, Lookup::Hashed(slots)) => {
                slots.find_each(ids.count(), WantedTexts { keys: &self.keys, ids, slots }, found);
            }
            (keys, lookup) => {
                let number = |place| str::from_utf8(ids.bytes(place)).ok().and_then(|text| text.parse().ok());
                let Keys::Integer(keys) = keys else { return found.extend((0..ids.count()).map(|_| None)) };
                found.extend((0..ids.count()).map(|place| lookup.integer(keys, number(place)?)));
            }
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

    fn lookup(&self) -> &Lookup {
        self.lookup.get_or_init(|| Lookup::of(&self.keys))
    }
}

/// Texts to look up, as somebody else keeps them.
pub trait Texts {
    /// How many there are.
    fn count(&self) -> usize;

    /// The bytes of a text.
    fn bytes(&self, place: usize) -> &[u8];

    /// Whether a text, not the first, is known to be the one before it.
    fn repeats(&self, place: usize) -> bool;
}

/// Texts that are looked up in a table of hashes.
struct WantedTexts<'a, T> {
    keys: &'a Keys,
    ids: &'a T,
    slots: &'a Slots,
}

impl<T: Texts> Wanted for WantedTexts<'_, T> {
    fn hash(&self, place: usize) -> u64 {
        self.slots.hash_text(self.ids.bytes(place))
    }

    fn repeats(&self, place: usize) -> bool {
        self.ids.repeats(place)
    }

    fn fetch(&self, index: usize) {
        if let Keys::Text { ends, .. } = self.keys {
            prefetch_all(&ends[index.saturating_sub(1)..=index]);
        }
    }

    fn fetch_rest(&self, index: usize) {
        prefetch_all(self.keys.bytes(index));
    }

    fn is_at(&self, place: usize, index: usize) -> bool {
        self.keys.bytes(index) == self.ids.bytes(place)
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

    /// The bytes of the text of an index that was given out; none of an integer.
    pub(super) fn bytes(&self, index: usize) -> &[u8] {
        match self {
            Keys::Integer(_) => &[],
            Keys::Text { arena, ends } => {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                &arena.as_bytes()[start..ends[index]]
            }
        }
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
    fn many_at_a_time_are_found_like_one_by_one() {
        // Without gaps, with few, with many, at both ends of what there is, none.
        let few: Vec<i64> = (0..500).map(|n| n * n / 40 + n - 7).collect();
        let many: Vec<i64> = (0..500).map(|n| n * 1_000_003 - 77).collect();
        for numbers in [(-5..300).collect(), few, many, vec![i64::MIN, i64::MAX], vec![i64::MIN], vec![]] {
            let ids: Vec<Id<'_>> = numbers.iter().copied().map(Id::Integer).collect();
            let vocabulary = vocabulary(IdKind::Integer, &ids).unwrap();
            let near = numbers.iter().flat_map(|n| [*n, *n, n.wrapping_add(1), n.wrapping_sub(3)]);
            let wanted: Vec<i64> = near.chain([0, i64::MIN, i64::MAX]).collect();
            let expected: Vec<_> =
                wanted.iter().map(|n| numbers.iter().position(|other| other == n).map(|at| at as u32)).collect();
            let mut found = Vec::new();
            vocabulary.get_integers(&wanted, &mut found);
            assert_eq!(found, expected);
            let texts = List(wanted.iter().map(i64::to_string).collect());
            found.clear();
            vocabulary.get_texts(&texts, &mut found);
            assert_eq!(found, expected);
            assert!(wanted.iter().zip(&expected).all(|(n, index)| vocabulary.get(Id::Integer(*n)) == *index));
        }
    }

    #[test]
    fn many_texts_are_found_like_one_by_one() {
        let texts: Vec<String> = (0..500).map(|n| format!("{:0width$}", n * 7, width = n % 30)).collect();
        let mut sorted: Vec<&str> = texts.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let ids: Vec<Id<'_>> = sorted.iter().copied().map(Id::Text).collect();
        let vocabulary = vocabulary(IdKind::Text, &ids).unwrap();
        let wanted: Vec<String> =
            texts.iter().flat_map(|text| [text.clone(), text.clone(), format!("{text} ")]).collect();
        let mut found = Vec::new();
        vocabulary.get_texts(&List(wanted.clone()), &mut found);
        let index = |text: &String| sorted.iter().position(|other| other == text).map(|at| at as u32);
        assert_eq!(found, wanted.iter().map(index).collect::<Vec<_>>());
        found.clear();
        vocabulary.get_integers(&[7, 14], &mut found);
        assert_eq!(found, [None, None]);
    }

    #[test]
    fn an_id_that_comes_after_a_look_up_is_found() {
        let mut vocabulary = vocabulary(IdKind::Integer, &[Id::Integer(1)]).unwrap();
        assert_eq!(vocabulary.get(Id::Integer(900)), None);
        vocabulary.push(Id::Integer(900)).unwrap();
        assert_eq!(vocabulary.get(Id::Integer(900)), Some(1));
    }

    struct List(Vec<String>);

    impl Texts for List {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn bytes(&self, place: usize) -> &[u8] {
            self.0[place].as_bytes()
        }

        fn repeats(&self, place: usize) -> bool {
            self.0[place] == self.0[place - 1]
        }
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
