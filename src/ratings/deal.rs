//! From ratings by user to the arrays that batches read.

use super::Ratings;
use super::part::{Block, Rating};
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

/// The ratings of all shelves: in order, or where there are more than `fits_cache` in a random order, the same whenever the
/// ratings are the same.
///
/// Each rating is dealt to a random bucket by its place in the order, then each bucket is shuffled: every order is equally
/// likely, and no step goes through memory at random.
pub(super) fn arrange<K: Key>(
    pool: &dyn Pool,
    shelves: Vec<Shelf<K>>,
    starts: &[usize],
    weighted: bool,
    fits_cache: usize,
) -> Ratings {
    let n_ratings = starts.last().copied().unwrap_or(0);
    if n_ratings <= fits_cache {
        let mut ratings = Ratings::with_capacity(n_ratings, weighted);
        for shelf in &shelves {
            for_each(shelf, starts, |rating, weight| ratings.push(rating.user, rating.item, rating.value, weight));
        }
        return ratings;
    }
    let n_buckets = n_ratings.div_ceil(BUCKET);
    // A shelf is dropped when its ratings are dealt.
    let dealt = map(pool, shelves, |shelf| deal(&shelf, starts, n_buckets));
    let mut buckets: Vec<Vec<Block>> = (0..n_buckets).map(|_| Vec::with_capacity(dealt.len())).collect();
    for of_shelf in dealt {
        buckets.iter_mut().zip(of_shelf).for_each(|(bucket, block)| bucket.push(block));
    }
    let mut ratings = Ratings::zeros(n_ratings, weighted);
    ratings.is_dealt = true;
    let sizes: Vec<usize> = buckets.iter().map(|bucket| bucket.iter().map(|block| block.ratings.len()).sum()).collect();
    let places = ratings.cut(&sizes);
    let pieces = places.into_iter().zip(buckets).enumerate().collect();
    map(pool, pieces, |(number, (mut place, bucket))| {
        for (slot, (rating, weight)) in shuffled(bucket, number as u64).into_iter().enumerate() {
            place.users[slot] = rating.user;
            place.items[slot] = rating.item;
            place.values[slot] = rating.value;
            if let Some(weights) = &mut place.weights {
                weights[slot] = weight;
            }
        }
    });
    ratings
}

/// Parts of the arrays of [`Ratings`].
pub(super) struct Place<'a> {
    pub(super) users: &'a mut [u32],
    pub(super) items: &'a mut [u32],
    pub(super) values: &'a mut [f32],
    pub(super) weights: Option<&'a mut [f32]>,
}

fn for_each<K: Key>(shelf: &Shelf<K>, starts: &[usize], mut each: impl FnMut(Rating, f32)) {
    for (user, keys) in shelf.by_user(starts) {
        for key in keys {
            each(Rating { user, item: key.item(), value: key.value() }, key.weight().unwrap_or(1.0));
        }
    }
}

/// A shelf's ratings by bucket.
fn deal<K: Key>(shelf: &Shelf<K>, starts: &[usize], n_buckets: usize) -> Vec<Block> {
    let weighted = K::default().weight().is_some();
    // Most buckets are within two deviations of the mean.
    let mean = shelf.keys.len() / n_buckets;
    let room = mean + 2 * mean.isqrt() + 16;
    let block =
        || Block { ratings: Vec::with_capacity(room), weights: Vec::with_capacity(if weighted { room } else { 0 }) };
    let mut buckets: Vec<Block> = (0..n_buckets).map(|_| block()).collect();
    let mut place = shelf.start as u64;
    for_each(shelf, starts, |rating, weight| {
        // The upper half of 64 random bits as a share of the buckets.
        let chosen = ((mix(place ^ (PURPOSE << 32)) >> 32) * n_buckets as u64) >> 32;
        place += 1;
        let bucket = &mut buckets[chosen as usize];
        bucket.ratings.push(rating);
        if weighted {
            bucket.weights.push(weight);
        }
    });
    buckets
}

/// The ratings of a bucket in a random order, with their weights, 1 where they have none.
fn shuffled(bucket: Vec<Block>, number: u64) -> Vec<(Rating, f32)> {
    let mut rng = Rng::new(mix(PURPOSE ^ number));
    let mut all: Vec<(Rating, f32)> = Vec::with_capacity(bucket.iter().map(|block| block.ratings.len()).sum());
    for Block { ratings, weights } in bucket {
        let weights = weights.into_iter().map(Some).chain(std::iter::repeat(None));
        all.extend(ratings.into_iter().zip(weights).map(|(rating, weight)| (rating, weight.unwrap_or(1.0))));
    }
    for last in (1..all.len()).rev() {
        let chosen = rng.below(last as u32 + 1) as usize;
        all.swap(last, chosen);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::shelf::tests::As;
    use crate::ratings::shelf::{shelve, starts_of};

    fn arranged(threads: usize, n: u32, weighted: bool, fits_cache: usize) -> Ratings {
        let rating = |place| Rating { user: place % 100, item: place / 100, value: place as f32 };
        let ratings: Vec<Rating> = (0..n).map(rating).collect();
        let weights = if weighted { (0..n).map(|place| place as f32 / 2.0).collect() } else { Vec::new() };
        let starts = starts_of((0..100).map(|user| (n as usize).saturating_sub(user).div_ceil(100)));
        let blocks = [Block { ratings, weights }];
        match weighted {
            true => {
                arrange::<(u64, u32)>(&As(threads), shelve(&As(threads), &blocks, &starts), &starts, true, fits_cache)
            }
            false => arrange::<u64>(&As(threads), shelve(&As(threads), &blocks, &starts), &starts, false, fits_cache),
        }
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
