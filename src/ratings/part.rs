//! What one thread has read: rows with numbers by arrival in place of indices.

use std::slice;

use super::row::CompleteRow;
use super::scale::ObservedScale;
use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, VocabularyBuilder};

/// Rows of a block: 768 KiB without their weights. Blocks never grow, so that nothing is ever held twice.
const BLOCK: usize = 1 << 16;

/// A rating with numbers or indices of its user and item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rating {
    pub(super) user: u32,
    pub(super) item: u32,
    pub(super) value: f32,
}

/// Some ratings, and as many weights or none.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) ratings: Vec<Rating>,
    pub(super) weights: Vec<f32>,
}

/// Ratings in the order in which they came, in blocks.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) blocks: Vec<Block>,
    len: usize,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts ratings behind those that there are, and as many weights or none.
    pub(super) fn extend(&mut self, mut ratings: &[Rating], mut weights: Option<&[f32]>) {
        while !ratings.is_empty() {
            if self.len.is_multiple_of(BLOCK) {
                let weights = Vec::with_capacity(if weights.is_some() { BLOCK } else { 0 });
                self.blocks.push(Block { ratings: Vec::with_capacity(BLOCK), weights });
            }
            let Some(block) = self.blocks.last_mut() else { return };
            let n = ratings.len().min(BLOCK - block.ratings.len());
            block.ratings.extend_from_slice(&ratings[..n]);
            block.weights.extend_from_slice(weights.map_or(&[], |weights| &weights[..n]));
            self.len += n;
            ratings = &ratings[n..];
            weights = weights.map(|weights| &weights[n..]);
        }
    }
}

/// The users or the items of a part.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) ids: VocabularyBuilder,
    /// The training ratings of each number.
    pub(super) counts: Vec<u32>,
    /// How many of them are not 0.
    pub(super) n_trained: usize,
}

impl Side {
    fn new(kind: IdKind) -> Self {
        Self { ids: VocabularyBuilder::new(kind), counts: Vec::new(), n_trained: 0 }
    }

    /// The numbers of ids, which `insert` puts behind those that it is given.
    pub(super) fn numbers(
        &mut self,
        n_ids: usize,
        insert: impl FnOnce(&mut VocabularyBuilder, &mut Vec<u32>) -> Result<()>,
    ) -> Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(n_ids);
        insert(&mut self.ids, &mut numbers)?;
        self.counts.resize(self.ids.len(), 0);
        Ok(numbers)
    }

    fn number(&mut self, id: Id<'_>) -> Result<u32> {
        let number = self.ids.insert(id)?;
        self.counts.resize(self.ids.len(), 0);
        Ok(number)
    }

    /// Counts training ratings by their numbers.
    fn count(&mut self, numbers: impl Iterator<Item = u32>) {
        let mut n_new = 0;
        for number in numbers {
            let count = &mut self.counts[number as usize];
            n_new += usize::from(*count == 0);
            *count += 1;
        }
        self.n_trained += n_new;
    }
}

/// Rows that one thread has read; [`DatasetBuilder`](super::DatasetBuilder) makes one data set of all parts.
///
/// Parts lie side by side: what one thread counts shares no cache line with what another one does.
#[derive(Debug)]
#[repr(align(128))]
pub struct Part {
    pub(super) users: Side,
    pub(super) items: Side,
    pub(super) train: Rows,
    pub(super) held_out: Rows,
    /// Of a table of their own.
    pub(super) validation: Rows,
    pub(super) scale: ObservedScale,
    /// Whether rows have weights; open before the first one.
    pub(super) weighted: Option<bool>,
    pub(super) n_rows: u64,
    pub(super) n_skipped: u64,
}

impl Part {
    pub(super) fn new(user_kind: IdKind, item_kind: IdKind) -> Self {
        Self {
            users: Side::new(user_kind),
            items: Side::new(item_kind),
            train: Rows::default(),
            held_out: Rows::default(),
            validation: Rows::default(),
            scale: ObservedScale::new(),
            weighted: None,
            n_rows: 0,
            n_skipped: 0,
        }
    }

    /// Whether the next rows have weights; all rows do, or none.
    pub(super) fn expect_weights(&mut self, have_weights: bool) -> Result<()> {
        match *self.weighted.get_or_insert(have_weights) == have_weights {
            true => Ok(()),
            false => Err(weights_come_and_go()),
        }
    }

    /// Counts a row of the ratings, and takes it where it has everything.
    pub(super) fn take(&mut self, row: Option<CompleteRow<'_>>) -> Result<()> {
        self.count(1, usize::from(row.is_none()));
        let Some(row) = row else { return Ok(()) };
        self.weighted.get_or_insert(false);
        let rating = self.numbered(&row)?;
        let weights = (self.weighted == Some(true)).then_some(slice::from_ref(&row.weight));
        match row.is_held_out {
            false => self.add(&[rating], weights, &[]),
            true => self.add(&[], weights.map(|_| &[][..]), &[rating]),
        }
        Ok(())
    }

    /// Counts a row of a validation table, and takes it where it has everything.
    pub(super) fn take_validation(&mut self, row: Option<CompleteRow<'_>>) -> Result<()> {
        self.count(1, usize::from(row.is_none()));
        if let Some(row) = row {
            let rating = self.numbered(&row)?;
            self.validation.extend(&[rating], None);
        }
        Ok(())
    }

    /// Adds ratings of the ratings' table: to learn from, with as many weights where ratings have some, and held out.
    pub(super) fn add(&mut self, train: &[Rating], weights: Option<&[f32]>, held_out: &[Rating]) {
        train.iter().chain(held_out).for_each(|rating| self.scale.note(rating.value));
        self.users.count(train.iter().map(|rating| rating.user));
        self.items.count(train.iter().map(|rating| rating.item));
        self.train.extend(train, weights);
        self.held_out.extend(held_out, None);
    }

    /// Counts rows, of which some had a NULL.
    pub(super) fn count(&mut self, n_rows: usize, n_skipped: usize) {
        self.n_rows += n_rows as u64;
        self.n_skipped += n_skipped as u64;
    }

    fn numbered(&mut self, row: &CompleteRow<'_>) -> Result<Rating> {
        Ok(Rating { user: self.users.number(row.user)?, item: self.items.number(row.item)?, value: row.value })
    }
}

pub(super) fn weights_come_and_go() -> Error {
    Error::new("some rows have weights and others have none")
}
