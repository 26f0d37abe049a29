//! From ratings by user to the arrays that batches read.

use std::ops::Range;

use super::Ratings;
use super::part::Rating;
use super::pieces::map;
use super::shelf::{Key, Shelf};
use crate::kernels::Pool;
use crate::rng::{Rng, mix};

/// Up to so many ratings fit a cache: they stay in order, and each epoch shuffles them all.
pub(super) const FITS_CACHE: usize = 1 << 20;

/// About as many ratings go into a bucket, which is shuffled in a cache: 1.5 MiB.
const BUCKET: usize = 1 << 17;

/// Keeps two orders that start from the same numbers apart.
const PURPOSE: u64 = 0x6465_616c;

/// The arrays that ratings are put into: in order, or where there are more than `fits_cache` in a random order, the same whenever the
/// ratings are the same.
///
/// Each rating is dealt to a random bucket by its place in the order, then each bucket is shuffled: every order is equally
/// likely, and no step goes through memory at random.
pub(super) struct Deal {
    ratings: Ratings,
    /// How many ratings each bucket has, by range of the order: `[ranges][buckets]`.
    sizes: Vec<Vec<usize>>,
}

impl Deal {
    /// Room for the ratings of ranges, which are given by their first and last places in the order.
    pub(super) fn new(pool: &dyn Pool, ranges: Vec<Range<usize>>, weighted: bool, fits_cache: usize) -> Self {
        let n_ratings = ranges.last().map_or(0, |last| last.end);
        let mut ratings = Ratings::zeros(n_ratings, weighted);
        ratings.is_dealt = n_ratings > fits_cache;
        let n_buckets = if ratings.is_dealt { n_ratings.div_ceil(BUCKET) } else { 1 };
        let sizes = map(pool, ranges, |places| {
            let mut sizes = vec![0; n_buckets];
            places.for_each(|place| sizes[bucket_of(place, n_buckets)] += 1);
            sizes
        });
        Self { ratings, sizes }
    }

    /// For each range the places of its ratings in each bucket.
    pub(super) fn places(&mut self) -> Vec<Vec<Place<'_>>> {
        let n_buckets = self.sizes.first().map_or(0, Vec::len);
        let by_bucket = (0..n_buckets).flat_map(|bucket| self.sizes.iter().map(move |sizes| sizes[bucket]));
        let mut pieces = self.ratings.cut(by_bucket).into_iter();
        let mut ranges: Vec<Vec<Place>> = self.sizes.iter().map(|_| Vec::with_capacity(n_buckets)).collect();
        for _ in 0..n_buckets {
            ranges.iter_mut().zip(&mut pieces).for_each(|(range, piece)| range.push(piece));
        }
        ranges
    }

    /// The ratings, when all are in their places.
    pub(super) fn shuffled(mut self, pool: &dyn Pool) -> Ratings {
        if self.ratings.is_dealt {
            let n_buckets = self.sizes.first().map_or(0, Vec::len);
            let sizes = (0..n_buckets).map(|bucket| self.sizes.iter().map(|sizes| sizes[bucket]).sum());
            let buckets = self.ratings.cut(sizes).into_iter().enumerate().collect();
            map(pool, buckets, |(number, mut bucket): (usize, Place)| bucket.shuffle(number as u64));
        }
        self.ratings
    }
}

/// Puts the ratings of a shelf into their places in each bucket.
pub(super) fn deal<K: Key>(shelf: &Shelf<'_, K>, mut places: Vec<Place<'_>>) {
    let n_buckets = places.len();
    let mut place = shelf.start;
    for (user, keys) in shelf.by_user() {
        for key in keys {
            places[bucket_of(place, n_buckets)].push(user, *key);
            place += 1;
        }
    }
}

/// The upper half of 64 random bits as a share of the buckets; one bucket takes all.
#[inline]
fn bucket_of(place: usize, n_buckets: usize) -> usize {
    (((mix(place as u64 ^ (PURPOSE << 32)) >> 32) * n_buckets as u64) >> 32) as usize
}

/// Parts of the arrays of [`Ratings`], to be filled.
#[derive(Default)]
pub(super) struct Place<'a> {
    pub(super) users: &'a mut [u32],
    pub(super) items: &'a mut [u32],
    pub(super) values: &'a mut [f32],
    pub(super) weights: Option<&'a mut [f32]>,
    /// How many were put in.
    pub(super) filled: usize,
}

impl Place<'_> {
    #[inline]
    fn push<K: Key>(&mut self, user: u32, key: K) {
        let slot = self.filled;
        self.filled += 1;
        self.users[slot] = user;
        self.items[slot] = key.item();
        self.values[slot] = key.value();
        if let (Some(weights), Some(weight)) = (&mut self.weights, key.weight()) {
            weights[slot] = weight;
        }
    }

    /// Brings a bucket into a random order.
    fn shuffle(&mut self, number: u64) {
        // All of a rating side by side, as they are put in random places.
        let rows = self.users.iter().zip(&*self.items).zip(&*self.values);
        let mut rows: Vec<_> = rows.map(|((&user, &item), &value)| Rating { user, item, value }).collect();
        let mut rng = Rng::new(mix(PURPOSE ^ number));
        for last in (1..rows.len()).rev() {
            let chosen = rng.below(last as u32 + 1) as usize;
            rows.swap(last, chosen);
            if let Some(weights) = &mut self.weights {
                weights.swap(last, chosen);
            }
        }
        for (slot, rating) in rows.into_iter().enumerate() {
            self.users[slot] = rating.user;
            self.items[slot] = rating.item;
            self.values[slot] = rating.value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::part::Block;
    use crate::ratings::shelf::tests::As;
    use crate::ratings::shelf::{Cut, starts_of};

    fn arranged(threads: usize, n: u32, weighted: bool, fits_cache: usize) -> Ratings {
        let rating = |place| Rating { user: place % 100, item: place / 100, value: place as f32 };
        let ratings: Vec<Rating> = (0..n).map(rating).collect();
        let weights = if weighted { (0..n).map(|place| place as f32 / 2.0).collect() } else { Vec::new() };
        let starts = starts_of((0..100).map(|user| (n as usize).saturating_sub(user).div_ceil(100)));
        let mut block = Block { ratings, weights };
        match weighted {
            true => in_places::<(u64, u32)>(&As(threads), &mut block, &starts, fits_cache),
            false => in_places::<u64>(&As(threads), &mut block, &starts, fits_cache),
        }
    }

    fn in_places<K: Key>(pool: &As, block: &mut Block, starts: &[usize], fits_cache: usize) -> Ratings {
        let weighted = !block.weights.is_empty();
        let cut = Cut::new(pool, vec![(block, ())], starts, |(), _| {});
        let mut dealt = Deal::new(pool, (0..cut.len()).map(|range| cut.places(range)).collect(), weighted, fits_cache);
        let places = dealt.places().into_iter().enumerate();
        places.for_each(|(range, places)| deal(&cut.shelf::<K>(range), places));
        dealt.shuffled(pool)
    }

    #[test]
    fn every_rating_is_dealt_once_in_an_order_that_threads_do_not_change() {
        for weighted in [false, true] {
            let n = 3 * BUCKET as u32 + 77;
            let dealt = arranged(1, n, weighted, 1_000);
            assert!(dealt.is_dealt);
            for threads in [2, 5] {
                assert!(arranged(threads, n, weighted, 1_000) == dealt, "{threads} threads");
            }
            let mut values = dealt.values().to_vec();
            values.sort_unstable_by(f32::total_cmp);
            assert!(values.iter().enumerate().all(|(place, value)| *value == place as f32));
            for (user, item, value) in dealt.iter() {
                assert_eq!((user.0, item.0), (value as u32 % 100, value as u32 / 100));
            }
            let weights_fit =
                |weights: &[f32]| weights.iter().zip(dealt.values()).all(|(weight, value)| *weight == value / 2.0);
            assert_eq!(dealt.weights().map(weights_fit), weighted.then_some(true));
        }
    }

    #[test]
    fn the_order_is_random() {
        let n = 3 * BUCKET;
        let dealt = arranged(2, n as u32, false, 0);
        // Spearman's correlation of value and place: deviation 1 / sqrt(n - 1) where the order is random.
        let correlation = |values: &[f32]| {
            let mean = (n as f64 - 1.0) / 2.0;
            let sum: f64 =
                values.iter().zip(0..n).map(|(value, place)| (f64::from(*value) - mean) * (place as f64 - mean)).sum();
            sum * 12.0 / (n as f64 * (n as f64 * n as f64 - 1.0))
        };
        assert!(correlation(dealt.values()).abs() < 5.0 / (n as f64).sqrt());
        // A tenth of neighbours would be of one user in order; one in a hundred at random.
        let same = dealt.users().windows(2).filter(|users| users[0] == users[1]).count() as f64;
        let (expected, deviation) = (n as f64 / 100.0, (n as f64 / 100.0).sqrt());
        assert!((same - expected).abs() < 5.0 * deviation, "{same}");
        assert!(!arranged(2, 5_000, false, 5_000).is_dealt && arranged(2, 5_000, false, 5_000).users().is_sorted());
    }
}
