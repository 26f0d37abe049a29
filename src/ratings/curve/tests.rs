//! Whether a model learns as well from ratings that were dealt once as from ratings that are all shuffled every epoch.

use std::sync::Arc;

use super::shelf::tests::As;
use super::{Batches, Dataset, DatasetBuilder, EpochOrder, Split, WorkingScale};
use crate::ids::{Id, IdKind};
use crate::rng::Rng;

const K: usize = 8;
const N_USERS: u32 = 4_000;
const N_ITEMS: u32 = 1_000;

/// A planted product of factors and some noise, users and items drawn by a power law.
fn dataset(fits_cache: usize) -> Dataset {
    let mut rng = Rng::new(1);
    let mut table = |n: u32| (0..n).map(|_| std::array::from_fn(|_| rng.normal(0.6))).collect::<Vec<[f64; K]>>();
    let (users, items) = (table(N_USERS), table(N_ITEMS));
    let split = Split::Pairs { fraction: 0.1, seed: 3 };
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
    builder.fits_cache = fits_cache;
    for _ in 0..400_000 {
        let mut draw = |n: u32| (rng.uniform().powi(2) * f64::from(n)) as usize;
        let (user, item) = (draw(N_USERS), draw(N_ITEMS));
        let product: f64 = users[user].iter().zip(&items[item]).map(|(p, q)| p * q).sum();
        let rating = product + rng.normal(0.5);
        builder.push_row(Some(Id::Integer(user as i64)), Some(Id::Integer(item as i64)), Some(rating)).unwrap();
    }
    builder.finish_on(&As(3)).unwrap()
}

/// The mean squared error on the training ratings while they are learned from, and on the held out ones behind it, of each epoch
/// of plain gradient descent. The order is one of [`Batches`], or else one of [`EpochOrder`].
fn curve(dataset: &Dataset, batch_size: usize, seed: u64, resident: bool) -> Vec<(f64, f64)> {
    let mut rng = Rng::new(9);
    let mut table = |n: usize| (0..n).map(|_| std::array::from_fn(|_| rng.normal(0.1))).collect::<Vec<[f64; K]>>();
    let (mut users, mut items) = (table(dataset.users.len()), table(dataset.items.len()));
    let product = |p: &[f64; K], q: &[f64; K]| p.iter().zip(q).map(|(p, q)| p * q).sum::<f64>();
    let scale = WorkingScale { origin: 0.0, factor: 1.0 };
    let mut batches = Batches::new(Arc::clone(&dataset.train), batch_size, scale, Rng::new(seed));
    let mut order = EpochOrder::new(&dataset.train, Rng::new(seed));
    let ratings: Vec<_> = dataset.train.iter().map(|(user, item, value)| (user.index(), item.index(), value)).collect();
    (0..6)
        .map(|_| {
            let mut train = 0.0;
            let mut epoch = Vec::with_capacity(ratings.len());
            if resident {
                order.shuffle();
                epoch.extend((0..ratings.len()).map(|place| ratings[order.places().rating(place)]));
            } else {
                batches.start_epoch();
                while let Some(batch) = batches.next_batch() {
                    let pairs = batch.users.iter().zip(batch.items).zip(batch.ratings);
                    epoch.extend(pairs.map(|((&user, &item), &rating)| (user as usize, item as usize, rating)));
                }
            }
            for batch in epoch.chunks(batch_size) {
                let rows = || batch.iter().map(|&(user, item, _)| (user, item));
                // All gradients of a batch are of the factors before it.
                let errors: Vec<f64> = batch
                    .iter()
                    .map(|&(user, item, rating)| f64::from(rating) - product(&users[user], &items[item]))
                    .collect();
                let before: Vec<_> = rows().map(|(user, item)| (users[user], items[item])).collect();
                for (((user, item), error), (p, q)) in rows().zip(&errors).zip(before) {
                    train += error * error;
                    for factor in 0..K {
                        users[user][factor] += 0.03 * (error * q[factor] - 0.05 * p[factor]);
                        items[item][factor] += 0.03 * (error * p[factor] - 0.05 * q[factor]);
                    }
                }
            }
            let known = dataset.valid.iter().filter_map(|row| Some((row.user?.index(), row.item?.index(), row.value)));
            let (sum, n) = known.fold((0.0, 0.0), |(sum, n), (user, item, value)| {
                let error = f64::from(value) - product(&users[user], &items[item]);
                (sum + error * error, n + 1.0)
            });
            (train / dataset.train.len() as f64, sum / n)
        })
        .collect()
}

/// Trainings that are compared, each with a seed of its own.
const N_SEEDS: usize = 6;

/// Mean and variance of one point of several curves.
fn moments(curves: &[Vec<(f64, f64)>], epoch: usize, of: impl Fn((f64, f64)) -> f64) -> (f64, f64) {
    let points: Vec<f64> = curves.iter().map(|curve| of(curve[epoch])).collect();
    let mean = points.iter().sum::<f64>() / N_SEEDS as f64;
    let squares: f64 = points.iter().map(|point| (point - mean).powi(2)).sum();
    (mean, squares / (N_SEEDS - 1) as f64)
}

#[test]
fn the_loss_goes_down_as_with_a_full_shuffle() {
    let (full, dealt) = (dataset(usize::MAX), dataset(0));
    assert!(!full.train.is_dealt && dealt.train.is_dealt);
    for (batch_size, resident) in [(64, false), (1_000, false), (64, true), (1_000, true)] {
        let curves = |dataset: &Dataset, resident| -> Vec<_> {
            (0..N_SEEDS as u64).map(|seed| curve(dataset, batch_size, 5 + seed, resident)).collect()
        };
        let (full, dealt) = (curves(&full, false), curves(&dealt, resident));
        for epoch in 0..6 {
            for of in [|point: (f64, f64)| point.0, |point: (f64, f64)| point.1] {
                let ((full, full_variance), (dealt, dealt_variance)) =
                    (moments(&full, epoch, of), moments(&dealt, epoch, of));
                // No further apart than seeds are: where the loss falls fastest, those differ by some percent.
                let deviation = ((full_variance + dealt_variance) / N_SEEDS as f64).sqrt();
                let place =
                    format!("batch {batch_size}, {resident}, epoch {epoch}: {dealt}, not {full} within {deviation}");
                assert!((dealt - full).abs() < 4.0 * deviation + 0.001 * full, "{place}");
                // In the end they are hardly apart at all.
                assert!(epoch < 5 || (dealt / full - 1.0).abs() < 0.01, "{place}");
            }
        }
        // There was something to learn, and it was learned: the noise is 0.25, the ratings' variance near 1.3.
        assert!(full[0][5].1 < 0.35 && full[0][0].0 > 1.0, "{:?}", full[0]);
    }
}
