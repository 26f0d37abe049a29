//! From what the threads have read to a data set.

use std::sync::Arc;

use super::deal::arrange;
use super::enough::{check_training_side, check_weights};
use super::part::{Block, Part, Side};
use super::pieces::map;
use super::scale::ObservedScale;
use super::shelf::{Key, shelve, starts_of};
use super::{Dataset, HeldOutRating, Seen};
use crate::error::{Error, Result};
use crate::ids::{InOrder, ItemIdx, UserIdx, Vocabulary};
use crate::kernels::Pool;

/// Puts everything in order.
///
/// # Errors
/// Nothing to learn from on the training side.
pub(super) fn assemble<K: Key + Sync>(
    pool: &dyn Pool,
    parts: Vec<Part>,
    fits_cache: usize,
    n_rows: u64,
    n_skipped: u64,
) -> Result<Dataset> {
    let mut scale = ObservedScale::new();
    parts.iter().for_each(|part| scale.merge(&part.scale));
    let weighted = parts.iter().any(|part| part.weighted == Some(true));
    let (mut users, mut items) = (Vec::new(), Vec::new());
    let (mut train, mut held_out, mut validation) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        users.push(part.users);
        items.push(part.items);
        train.push(part.train.blocks);
        held_out.push(part.held_out.blocks);
        validation.push(part.validation.blocks);
    }
    let (users, items) = (Indexed::new(pool, &users)?, Indexed::new(pool, &items)?);
    let train = with_indices(pool, train, &users, &items, |index| index);
    let held_out = with_indices(pool, held_out, &users, &items, rank);
    let validation = with_indices(pool, validation, &users, &items, rank);
    let (
        Indexed { vocabulary: users, counts: user_counts, .. },
        Indexed { vocabulary: items, counts: item_counts, .. },
    ) = (users, items);

    let starts = starts_of(user_counts.iter().map(|&count| count as usize));
    let shelves = shelve::<K>(pool, &train, &starts);
    drop(train);
    let any_held_out = !held_out.is_empty();
    let mut valid = in_order(pool, held_out, users.len());
    let seen = Seen::collect(pool, &shelves, &starts, &valid);
    let mut train = arrange(pool, shelves, &starts, weighted, fits_cache);
    check_training_side(&train, &users, &items).map_err(|error| {
        let way_out = "validation_fraction := 0 trains on all rows";
        if any_held_out { Error::new(format!("{error}; {way_out}")) } else { error }
    })?;
    check_weights(&train)?;
    train.normalise_weights();
    if !validation.is_empty() {
        valid.extend(in_order(pool, validation, users.len()));
        valid.sort_by(|a, b| (a.user, a.item).cmp(&(b.user, b.item)).then(a.value.total_cmp(&b.value)));
    }
    Ok(Dataset {
        user_counts,
        item_counts,
        users,
        items,
        train: Arc::new(train),
        valid,
        seen,
        lowest: scale.lowest,
        highest: scale.highest,
        levels: scale.levels,
        n_rows,
        n_skipped,
    })
}

/// One side of the ratings with its vocabulary.
struct Indexed {
    vocabulary: Vocabulary,
    /// The training ratings of each index.
    counts: Vec<u32>,
    /// For each part the index of each number, where it has one.
    by_part: Vec<Vec<Option<u32>>>,
}

impl Indexed {
    fn new(pool: &dyn Pool, sides: &[Side]) -> Result<Self> {
        let kind = sides.first().map(|side| side.ids.kind()).ok_or_else(|| Error::new("nothing was read"))?;
        let in_order = map(pool, sides.iter().collect(), |side: &Side| side.ids.in_order());
        let is_trained = |part: usize, number: u32| sides[part].counts[number as usize] > 0;
        let vocabulary = InOrder::merge(kind, &in_order, is_trained)?;
        // Also of ids that are trained in other parts alone.
        let by_part = map(pool, in_order, |ids| ids.indices_in(&vocabulary));
        let mut counts = vec![0; vocabulary.len()];
        for (side, indices) in sides.iter().zip(&by_part) {
            for (index, count) in indices.iter().zip(&side.counts) {
                if let Some(index) = index {
                    counts[*index as usize] += count;
                }
            }
        }
        Ok(Self { vocabulary, counts, by_part })
    }
}

/// All blocks of all parts, with what `place` makes of indices in place of numbers.
fn with_indices<P: Into<Option<u32>>>(
    pool: &dyn Pool,
    parts: Vec<Vec<Block>>,
    users: &Indexed,
    items: &Indexed,
    place: impl Fn(Option<u32>) -> P + Sync,
) -> Vec<Block> {
    let sides = users.by_part.iter().zip(&items.by_part);
    let blocks =
        parts.into_iter().zip(sides).flat_map(|(blocks, sides)| blocks.into_iter().map(move |block| (block, sides)));
    map(pool, blocks.collect::<Vec<_>>(), |(mut block, (users, items))| {
        for rating in &mut block.ratings {
            let user = place(users[rating.user as usize]).into();
            let item = place(items[rating.item as usize]).into();
            // Those of training ratings all have an index.
            if let (Some(user), Some(item)) = (user, item) {
                (rating.user, rating.item) = (user, item);
            }
        }
        block
    })
}

/// The place of an index among the indices and, before all of them, its absence.
fn rank(index: Option<u32>) -> u32 {
    index.map_or(0, |index| index + 1)
}

/// Ratings whose users and items are ranks, ordered by user, item and value.
fn in_order(pool: &dyn Pool, blocks: Vec<Block>, n_users: usize) -> Vec<HeldOutRating> {
    let mut counts = vec![0; n_users + 1];
    blocks.iter().flat_map(|block| &block.ratings).for_each(|rating| counts[rating.user as usize] += 1);
    let starts = starts_of(counts.into_iter());
    let shelves = shelve::<u64>(pool, &blocks, &starts);
    drop(blocks);
    let index = |rank: u32| rank.checked_sub(1);
    let mut all = Vec::with_capacity(starts.last().copied().unwrap_or(0));
    for shelf in shelves {
        for (user, keys) in shelf.by_user(&starts) {
            let user = index(user).map(UserIdx);
            all.extend(keys.iter().map(|key| HeldOutRating {
                user,
                item: index(key.item()).map(ItemIdx),
                value: key.value(),
            }));
        }
    }
    all
}
