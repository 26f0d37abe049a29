//! Ratings by user: a counting sort, cut into ranges of users that threads fill and sort side by side.

use std::ops::Range;

use super::part::{Block, Rating};
use super::pieces::map;
use crate::kernels::Pool;

/// Ranges for each thread. Every range goes through all ratings once; the more there are, the less is held at once while
/// they are moved on.
const RANGES: usize = 4;

/// What is kept of a rating beside its user; ordered by item, rating and weight.
pub(super) trait Key: Copy + Default + Ord + Send {
    fn new(item: u32, value: f32, weight: f32) -> Self;
    fn item(self) -> u32;
    fn value(self) -> f32;
    /// `None` where ratings have none.
    fn weight(self) -> Option<f32>;
}

/// Without weights: item in the upper half, rating in the lower.
impl Key for u64 {
    fn new(item: u32, value: f32, _weight: f32) -> Self {
        u64::from(item) << 32 | u64::from(ordered(value))
    }

    fn item(self) -> u32 {
        (self >> 32) as u32
    }

    fn value(self) -> f32 {
        unordered(self as u32)
    }

    fn weight(self) -> Option<f32> {
        None
    }
}

impl Key for (u64, u32) {
    fn new(item: u32, value: f32, weight: f32) -> Self {
        (Key::new(item, value, weight), ordered(weight))
    }

    fn item(self) -> u32 {
        self.0.item()
    }

    fn value(self) -> f32 {
        self.0.value()
    }

    fn weight(self) -> Option<f32> {
        Some(unordered(self.1))
    }
}

/// The ratings of a range of users, one user behind the other, each user's in order.
#[derive(Debug)]
pub(super) struct Shelf<K> {
    /// Whose ratings they are.
    pub(super) users: Range<usize>,
    /// Where the first of them stands among those of all users.
    pub(super) start: usize,
    /// The ratings.
    pub(super) keys: Vec<K>,
}

impl<K: Key> Shelf<K> {
    /// The ratings of each user; `starts` as for [`shelve`].
    pub(super) fn by_user<'a>(&'a self, starts: &'a [usize]) -> impl Iterator<Item = (u32, &'a [K])> {
        let start = self.start;
        self.users.clone().map(move |user| (user as u32, &self.keys[starts[user] - start..starts[user + 1] - start]))
    }
}

/// Puts ratings in the order of user, item, rating and weight; `starts` tells where each user's begin and where all end:
/// `[U + 1]`.
pub(super) fn shelve<K: Key>(pool: &dyn Pool, blocks: &[Block], starts: &[usize]) -> Vec<Shelf<K>> {
    map(pool, ranges(starts, pool.threads() * RANGES), |users| {
        let start = starts[users.start];
        // No more than 2^32 - 1 ratings are read.
        let mut next: Vec<u32> = starts[users.clone()].iter().map(|place| (place - start) as u32).collect();
        let mut keys = vec![K::default(); starts[users.end] - start];
        let mut put = |rating: &Rating, weight: f32| {
            // Users before the range become very large numbers.
            let place = (rating.user as usize).wrapping_sub(users.start);
            if let Some(next) = next.get_mut(place) {
                keys[*next as usize] = K::new(rating.item, rating.value, weight);
                *next += 1;
            }
        };
        for block in blocks {
            match block.weights.is_empty() {
                true => block.ratings.iter().for_each(|rating| put(rating, 1.0)),
                false => block.ratings.iter().zip(&block.weights).for_each(|(rating, &weight)| put(rating, weight)),
            }
        }
        for user in users.clone() {
            keys[starts[user] - start..starts[user + 1] - start].sort_unstable();
        }
        Shelf { users, start, keys }
    })
}

/// Where each user's rows start when rows are ordered by user, and behind the last user where all end: `[U + 1]`.
pub(super) fn starts_of(counts: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut sum = 0;
    let ends = counts.map(|count| {
        sum += count;
        sum
    });
    std::iter::once(0).chain(ends).collect()
}

/// Ranges of users with about as many ratings each.
fn ranges(starts: &[usize], n_ranges: usize) -> Vec<Range<usize>> {
    let n_users = starts.len() - 1;
    let n_ratings = starts[n_users];
    let mut first = 0;
    let mut ranges = Vec::new();
    for range in 1..=n_ranges {
        let end = match range == n_ranges {
            true => n_users,
            false => starts.partition_point(|&start| start < n_ratings / n_ranges * range).clamp(first, n_users),
        };
        if end > first {
            ranges.push(first..end);
        }
        first = end;
    }
    ranges
}

/// A number that is ordered as a float is by `total_cmp`.
fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn unordered(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_order_and_their_bits() {
        let values = [f32::MIN, -1.5, -f32::MIN_POSITIVE, -0.0, 0.0, f32::MIN_POSITIVE, 1.0, 4.5, f32::MAX];
        assert!(values.map(ordered).is_sorted());
        assert_eq!(values.map(|value| unordered(ordered(value)).to_bits()), values.map(f32::to_bits));
    }

    /// The calling thread, as if it were several.
    pub(in crate::ratings) struct As(pub usize);

    impl Pool for As {
        fn threads(&self) -> usize {
            self.0
        }

        fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
            (0..n).rev().for_each(piece);
        }
    }

    fn block(ratings: &[(u32, u32, f32)], weights: &[f32]) -> Block {
        let ratings = ratings.iter().map(|&(user, item, value)| Rating { user, item, value }).collect();
        Block { ratings, weights: weights.to_vec() }
    }

    fn all<K: Key>(shelves: &[Shelf<K>], starts: &[usize]) -> Vec<(u32, u32, f32, Option<f32>)> {
        let rows = |shelf: &Shelf<K>| {
            let rows = shelf.by_user(starts).flat_map(|(user, keys)| keys.iter().map(move |key| (user, *key)));
            rows.map(|(user, key)| (user, key.item(), key.value(), key.weight())).collect::<Vec<_>>()
        };
        shelves.iter().flat_map(rows).collect()
    }

    #[test]
    fn ratings_are_ordered_by_user_item_and_value() {
        let ratings = [(3, 0, 1.0), (1, 2, 5.0), (1, 0, 4.0), (3, 0, -1.0), (1, 2, 2.0)];
        let blocks = [block(&ratings[..3], &[]), block(&ratings[3..], &[])];
        let starts = starts_of([0, 3, 0, 2, 0].into_iter());
        assert_eq!(starts, [0, 0, 3, 3, 5, 5]);
        for n_pieces in [1, 2, 7] {
            let found = all(&shelve::<u64>(&As(n_pieces), &blocks, &starts), &starts);
            let expected = [(1, 0, 4.0), (1, 2, 2.0), (1, 2, 5.0), (3, 0, -1.0), (3, 0, 1.0)];
            assert_eq!(found, expected.map(|(user, item, value)| (user, item, value, None)), "{n_pieces} pieces");
        }
    }

    #[test]
    fn weights_follow_their_ratings_and_order_equal_ones() {
        let ratings = [(1, 0, 4.0), (0, 2, 5.0), (1, 0, 4.0), (0, 2, 5.0), (0, 1, 7.0)];
        let blocks = [block(&ratings, &[6.0, 3.0, 0.0, 1.0, 5.0])];
        let starts = [0, 3, 5];
        let found = all(&shelve::<(u64, u32)>(&As(1), &blocks, &starts), &starts);
        let expected = [(0, 1, 7.0, 5.0), (0, 2, 5.0, 1.0), (0, 2, 5.0, 3.0), (1, 0, 4.0, 0.0), (1, 0, 4.0, 6.0)];
        assert_eq!(found, expected.map(|(user, item, value, weight)| (user, item, value, Some(weight))));
    }

    #[test]
    fn ranges_cover_all_users_once() {
        let counts = [9usize, 0, 0, 1, 1, 50, 0, 1, 1, 1];
        let starts = starts_of(counts.into_iter());
        for n_ranges in 1..20 {
            let ranges = ranges(&starts, n_ranges);
            assert!(ranges.len() <= n_ranges && ranges.iter().all(|range| !range.is_empty()));
            assert!(ranges.into_iter().flatten().eq(0..counts.len()), "{n_ranges}");
        }
        assert!(ranges(&[0], 4).is_empty());
    }
}
