//! Ratings by user: cut into ranges of users, each of which is put in order in a cache.

use std::ops::Range;

use super::part::{Block, Rating};
use super::pieces::map;
use crate::kernels::Pool;

/// About as many ratings as a range of users has at least: with their keys 2.5 MiB.
const RANGE: usize = 1 << 17;

/// Of more ranges the places would take more than the ratings do, and a cache could not hold where each goes on.
const MOST_RANGES: usize = 1 << 10;

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
pub(super) struct Shelf<'a, K> {
    /// Whose ratings they are.
    pub(super) users: Range<usize>,
    /// Where the first of them stands among those of all users.
    pub(super) start: usize,
    keys: Vec<K>,
    starts: &'a [usize],
}

impl<K: Key> Shelf<'_, K> {
    /// The ratings of each user.
    pub(super) fn by_user(&self) -> impl Iterator<Item = (u32, &[K])> {
        self.users.clone().map(|user| (user as u32, &self.keys[self.places_of(user)]))
    }

    fn places_of(&self, user: usize) -> Range<usize> {
        self.starts[user] - self.start..self.starts[user + 1] - self.start
    }
}

/// Ratings by range of users, in the memory in which they came.
pub(super) struct Cut<'a> {
    chunks: Vec<Chunk<'a>>,
    ranges: Vec<Range<usize>>,
    /// Where each user's ratings begin when they are put in order, and where all end: `[U + 1]`.
    starts: &'a [usize],
}

/// A block, the ratings of a range side by side.
struct Chunk<'a> {
    ratings: &'a [Rating],
    /// As many, or none.
    weights: &'a [f32],
    /// Where each range's ratings begin, and where all end.
    starts: Vec<u32>,
}

impl<'a> Cut<'a> {
    /// The ratings of all blocks, each with what `index` needs to put indices in place of what their ratings have for users and items;
    /// `starts` as for the field.
    pub(super) fn new<P: Copy + Send + Sync>(
        pool: &dyn Pool,
        blocks: Vec<(&'a mut Block, P)>,
        starts: &'a [usize],
        index: impl Fn(P, &mut Rating) + Sync,
    ) -> Self {
        let n_ratings = starts.last().copied().unwrap_or(0);
        let ranges = ranges(starts, (n_ratings / RANGE).clamp(pool.threads(), pool.threads().max(MOST_RANGES)));
        let mut range_of = vec![0; starts.len() - 1];
        for (number, range) in (0u32..).zip(&ranges) {
            range_of[range.clone()].fill(number);
        }
        let chunks = map(pool, blocks, |(block, place)| {
            block.ratings.iter_mut().for_each(|rating| index(place, rating));
            Chunk::cut(block, &range_of, ranges.len())
        });
        Self { chunks, ranges, starts }
    }

    /// The number of ranges.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whose ratings a range has.
    pub(super) fn users(&self, range: usize) -> Range<usize> {
        self.ranges[range].clone()
    }

    /// Where the ratings of a range begin when all are put in order, and where they end.
    pub(super) fn places(&self, range: usize) -> Range<usize> {
        let Range { start, end } = self.ranges[range];
        self.starts[start]..self.starts[end]
    }

    /// The ratings of a range in the order of user, item, rating and weight.
    pub(super) fn shelf<K: Key>(&self, range: usize) -> Shelf<'a, K> {
        let users = self.ranges[range].clone();
        let places = self.places(range);
        // No more than 2^32 - 1 ratings are read.
        let mut next: Vec<u32> = self.starts[users.clone()].iter().map(|place| (place - places.start) as u32).collect();
        let mut keys = vec![K::default(); places.len()];
        let mut put = |rating: &Rating, weight: f32| {
            let next = &mut next[rating.user as usize - users.start];
            keys[*next as usize] = K::new(rating.item, rating.value, weight);
            *next += 1;
        };
        for chunk in &self.chunks {
            let own = chunk.starts[range] as usize..chunk.starts[range + 1] as usize;
            match chunk.weights.is_empty() {
                true => chunk.ratings[own].iter().for_each(|rating| put(rating, 1.0)),
                false => {
                    let weights = &chunk.weights[own.clone()];
                    chunk.ratings[own].iter().zip(weights).for_each(|(rating, &weight)| put(rating, weight));
                }
            }
        }
        let mut shelf = Shelf { start: places.start, users, keys, starts: self.starts };
        for user in shelf.users.clone() {
            let own = shelf.places_of(user);
            shelf.keys[own].sort_unstable();
        }
        shelf
    }
}

impl<'a> Chunk<'a> {
    /// Puts the ratings of each range side by side, where they are: each is moved once at most (McIlroy, Bostic and McIlroy, Engineering
    /// radix sort, 1993, section 3).
    fn cut(block: &'a mut Block, range_of: &[u32], n_ranges: usize) -> Self {
        let Block { ratings, weights } = block;
        let mut counts = vec![0; n_ranges];
        ratings.iter().for_each(|rating| counts[range_of[rating.user as usize] as usize] += 1);
        let starts: Vec<u32> = starts_of(counts.into_iter()).into_iter().map(|start| start as u32).collect();
        let mut next = starts.clone();
        for range in 0..n_ranges {
            while next[range] < starts[range + 1] {
                let place = next[range] as usize;
                let other = range_of[ratings[place].user as usize] as usize;
                let own = next[other] as usize;
                next[other] += 1;
                if other != range {
                    ratings.swap(place, own);
                    if !weights.is_empty() {
                        weights.swap(place, own);
                    }
                }
            }
        }
        Self { ratings, weights, starts }
    }
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

/// Ranges of users with about as many ratings each; without users there is none.
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
    use crate::rng::Rng;

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

    /// All ratings, put in order by so many threads.
    fn shelved<K: Key>(threads: usize, mut blocks: Vec<Block>, starts: &[usize]) -> Vec<(u32, u32, f32, Option<f32>)> {
        let blocks = blocks.iter_mut().map(|block| (block, 1)).collect();
        // Items are known by one more than their index.
        let cut = Cut::new(&As(threads), blocks, starts, |one, rating| rating.item -= one);
        let rows = |range| {
            let shelf = cut.shelf::<K>(range);
            let rows = shelf.by_user().flat_map(|(user, keys)| keys.iter().map(move |key| (user, *key)));
            rows.map(|(user, key)| (user, key.item(), key.value(), key.weight())).collect::<Vec<_>>()
        };
        (0..cut.len()).flat_map(rows).collect()
    }

    #[test]
    fn ratings_are_ordered_by_user_item_and_value() {
        let ratings = [(3, 1, 1.0), (1, 3, 5.0), (1, 1, 4.0), (3, 1, -1.0), (1, 3, 2.0)];
        let blocks = || vec![block(&ratings[..3], &[]), block(&ratings[3..], &[])];
        let starts = starts_of([0, 3, 0, 2, 0].into_iter());
        assert_eq!(starts, [0, 0, 3, 3, 5, 5]);
        for threads in [1, 2, 7] {
            let expected = [(1, 0, 4.0), (1, 2, 2.0), (1, 2, 5.0), (3, 0, -1.0), (3, 0, 1.0)];
            let found = shelved::<u64>(threads, blocks(), &starts);
            assert_eq!(found, expected.map(|(user, item, value)| (user, item, value, None)), "{threads} threads");
        }
    }

    #[test]
    fn weights_follow_their_ratings_and_order_equal_ones() {
        let ratings = [(1, 1, 4.0), (0, 3, 5.0), (1, 1, 4.0), (0, 3, 5.0), (0, 2, 7.0)];
        for threads in [1, 2] {
            let blocks = vec![block(&ratings, &[6.0, 3.0, 0.0, 1.0, 5.0])];
            let found = shelved::<(u64, u32)>(threads, blocks, &[0, 3, 5]);
            let expected = [(0, 1, 7.0, 5.0), (0, 2, 5.0, 1.0), (0, 2, 5.0, 3.0), (1, 0, 4.0, 0.0), (1, 0, 4.0, 6.0)];
            assert_eq!(found, expected.map(|(user, item, value, weight)| (user, item, value, Some(weight))));
        }
    }

    #[test]
    fn many_ratings_are_ordered_like_a_few() {
        let (n_users, n_items) = (500, 90);
        let mut rng = Rng::new(5);
        let mut all: Vec<_> =
            (0..3 * RANGE).map(|n| (rng.below(n_users), rng.below(n_items) + 1, (n % 7) as f32)).collect();
        let starts = starts_of((0..n_users).map(|user| all.iter().filter(|rating| rating.0 == user).count()));
        let blocks = all.chunks(50_000).map(|ratings| block(ratings, &[])).collect();
        let found = shelved::<u64>(2, blocks, &starts);
        all.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)).then(one.2.total_cmp(&other.2)));
        assert!(found.into_iter().eq(all.into_iter().map(|(user, item, value)| (user, item - 1, value, None))));
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
