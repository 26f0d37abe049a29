//! From what the threads have read to a data set.

use std::sync::Arc;

use super::deal::{Deal, deal};
use super::enough::{check_training_side, check_weights};
use super::part::{Block, Part, Side};
use super::pieces::map;
use super::scale::ObservedScale;
use super::seen::{SeenOfRange, SeenRoom};
use super::shelf::{Cut, Key, starts_of};
use super::{Dataset, HeldOutRating};
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
    let mut valid = in_order(pool, held_out, &users, &items);
    let validation = in_order(pool, validation, &users, &items);

    let starts = starts_of(users.counts.iter().map(|&count| count as usize));
    let cut = Cut::new(pool, with_parts(&mut train, &users, &items), &starts, |(users, items), rating| {
        // Ids of training ratings all have an index.
        rating.user = users[rating.user as usize] - 1;
        rating.item = items[rating.item as usize] - 1;
    });
    let mut dealt = Deal::new(pool, (0..cut.len()).map(|range| cut.places(range)).collect(), weighted, fits_cache);
    let mut seen = SeenRoom::new(&cut, &valid);
    let ranges = dealt.places().into_iter().zip(seen.ranges()).enumerate().collect();
    let counts = map(pool, ranges, |(range, (places, seen)): (_, (_, SeenOfRange<'_>))| {
        let shelf = cut.shelf::<K>(range);
        deal(&shelf, places);
        seen.collect(&shelf)
    });
    let seen = seen.finish(counts);
    drop(cut);
    drop(train);
    let mut train = dealt.shuffled(pool);
    let (
        Indexed { vocabulary: users, counts: user_counts, .. },
        Indexed { vocabulary: items, counts: item_counts, .. },
    ) = (users, items);
    check_training_side(&train, &valid, &users, &items)?;
    check_weights(&train)?;
    train.normalise_weights();
    if !validation.is_empty() {
        valid.extend(validation);
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
    /// For each part the rank of each number's index.
    by_part: Vec<Vec<u32>>,
}

impl Indexed {
    fn new(pool: &dyn Pool, sides: &[Side]) -> Result<Self> {
        let kind = sides.first().map(|side| side.ids.kind()).ok_or_else(|| Error::new("nothing was read"))?;
        let in_order = map(pool, sides.iter().collect(), |side: &Side| side.ids.in_order());
        let is_trained = |part: usize, number: u32| sides[part].counts[number as usize] > 0;
        let vocabulary = InOrder::merge(kind, &in_order, is_trained)?;
        // Also of ids that are trained in other parts alone.
        let by_part: Vec<Vec<u32>> =
            map(pool, in_order, |ids| ids.indices_in(&vocabulary).into_iter().map(rank).collect());
        let mut counts = vec![0; vocabulary.len()];
        for (side, ranks) in sides.iter().zip(&by_part) {
            for (rank, count) in ranks.iter().zip(&side.counts) {
                if let Some(index) = index(*rank) {
                    counts[index as usize] += count;
                }
            }
        }
        Ok(Self { vocabulary, counts, by_part })
    }
}

/// The blocks of all parts, each with the ranks of its part's numbers.
type WithParts<'a> = Vec<(&'a mut Block, (&'a [u32], &'a [u32]))>;

fn with_parts<'a>(parts: &'a mut [Vec<Block>], users: &'a Indexed, items: &'a Indexed) -> WithParts<'a> {
    let ranks = users.by_part.iter().zip(&items.by_part);
    let ranks = ranks.map(|(users, items)| (users.as_slice(), items.as_slice()));
    parts.iter_mut().zip(ranks).flat_map(|(blocks, part)| blocks.iter_mut().map(move |block| (block, part))).collect()
}

/// Held out ratings, ordered by user, item and value.
fn in_order(pool: &dyn Pool, mut parts: Vec<Vec<Block>>, users: &Indexed, items: &Indexed) -> Vec<HeldOutRating> {
    let mut counts = vec![0; users.counts.len() + 1];
    for (blocks, users) in parts.iter().zip(&users.by_part) {
        let ratings = blocks.iter().flat_map(|block| &block.ratings);
        ratings.for_each(|rating| counts[users[rating.user as usize] as usize] += 1);
    }
    let starts = starts_of(counts.into_iter());
    let cut = Cut::new(pool, with_parts(&mut parts, users, items), &starts, |(users, items), rating| {
        rating.user = users[rating.user as usize];
        rating.item = items[rating.item as usize];
    });
    let n = starts.last().copied().unwrap_or(0);
    let mut ordered = vec![HeldOutRating { user: None, item: None, value: 0.0 }; n];
    let mut rest = ordered.as_mut_slice();
    let place = |range| (range, rest.split_off_mut(..cut.places(range).len()).unwrap_or_default());
    let pieces = (0..cut.len()).map(place).collect();
    map(pool, pieces, |(range, place): (_, &mut [HeldOutRating])| {
        let shelf = cut.shelf::<u64>(range);
        let rows = shelf.by_user().flat_map(|(user, keys)| keys.iter().map(move |key| (user, key)));
        for (place, (user, key)) in place.iter_mut().zip(rows) {
            let (user, item) = (index(user).map(UserIdx), index(key.item()).map(ItemIdx));
            *place = HeldOutRating { user, item, value: key.value() };
        }
    });
    ordered
}

/// The place of an index among the indices and, before all of them, its absence.
fn rank(index: Option<u32>) -> u32 {
    index.map_or(0, |index| index + 1)
}

/// The index at a rank.
fn index(rank: u32) -> Option<u32> {
    rank.checked_sub(1)
}
