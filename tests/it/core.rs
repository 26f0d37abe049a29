//! Ids, ratings and scores against the plainest code that does the same: maps, sets and full sorts over random data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cofi::ids::{Id, IdKind, ItemIdx, UserIdx, Vocabulary};
use cofi::ratings::{
    Batches, Columns, Dataset, DatasetBuilder, Ids, Intake, SeenBuilder, Split, WorkingScale, class_of,
};
use cofi::rng::Rng;
use cofi::score::{Baseline, Embeddings, Interaction, Parts, Predictor, Table};

/// A rating by external ids: text for users, integers beyond 32 bits for items.
type Row = (String, i64, f64);

#[test]
fn a_dataset_is_what_maps_and_sets_say() {
    for seed in 0..20 {
        let rows = random_rows(seed);
        let split = Split::Pairs { fraction: 0.25, seed };
        let dataset = build(split, &rows);

        let held_out = |row: &&Row| split.holds_out(Id::Text(&row.0), Id::Integer(row.1)) == Some(true);
        let train: Vec<&Row> = rows.iter().filter(|row| !held_out(row)).collect();
        let users: BTreeSet<&str> = train.iter().map(|row| row.0.as_str()).collect();
        let items: BTreeSet<i64> = train.iter().map(|row| row.1).collect();
        assert!(dataset.users.iter().eq(users.iter().map(|user| Id::Text(user))), "seed {seed}");
        assert!(dataset.items.iter().eq(items.iter().map(|item| Id::Integer(*item))), "seed {seed}");

        let named = |user: u32, item: u32, value: f32| (name(&dataset.users, user), name(&dataset.items, item), value);
        let actual: Vec<_> = dataset.train.iter().map(|(user, item, value)| named(user.0, item.0, value)).collect();
        let mut expected: Vec<_> =
            train.iter().map(|row| (Id::Text(&row.0), Id::Integer(row.1), row.2 as f32)).collect();
        expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(actual, expected, "seed {seed}");

        let known = |row: &&Row| users.contains(row.0.as_str()) && items.contains(&row.1);
        let n_known = rows.iter().filter(held_out).filter(known).count();
        assert_eq!(dataset.valid.len(), rows.iter().filter(held_out).count());
        assert_eq!(dataset.valid.iter().filter(|row| row.user.is_some() && row.item.is_some()).count(), n_known);
        for row in &dataset.valid {
            let user = row.user.map(|user| name(&dataset.users, user.0));
            let item = row.item.map(|item| name(&dataset.items, item.0));
            let fits = |other: &&Row| {
                let (other_user, other_item) = (Id::Text(&other.0), Id::Integer(other.1));
                user.map_or(!users.contains(other.0.as_str()), |user| user == other_user)
                    && item.map_or(!items.contains(&other.1), |item| item == other_item)
                    && other.2 as f32 == row.value
            };
            assert!(rows.iter().filter(held_out).any(|other| fits(&other)), "seed {seed}: {row:?}");
        }

        let pairs: BTreeSet<(Id<'_>, Id<'_>)> =
            rows.iter().filter(known).map(|row| (Id::Text(&row.0), Id::Integer(row.1))).collect();
        let seen = dataset.seen.pairs().map(|(user, item)| (name(&dataset.users, user), name(&dataset.items, item)));
        assert!(seen.eq(pairs), "seed {seed}");

        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        train.iter().for_each(|row| *counts.entry(&row.0).or_default() += 1);
        assert!(dataset.user_counts.iter().eq(counts.values()), "seed {seed}");
    }
}

#[test]
fn neither_the_order_of_rows_nor_of_batches_depends_on_arrival() {
    let mut rows = random_rows(1);
    let split = Split::Pairs { fraction: 0.2, seed: 7 };
    let first = build(split, &rows);
    rows.reverse();
    rows.rotate_left(31);
    let second = build(split, &rows);
    assert_eq!((&first.train, &first.valid, &first.seen), (&second.train, &second.valid, &second.seen));
    assert_eq!(first.levels, second.levels);
    let deal = |dataset: &Dataset| {
        let scale = WorkingScale { origin: 3.0, factor: 0.5 };
        let mut batches = Batches::new(Arc::clone(&dataset.train), 64, scale, Rng::new(7).fork("order"));
        let mut dealt = Vec::new();
        for _ in 0..3 {
            batches.start_epoch();
            while let Some(batch) = batches.next_batch() {
                dealt.push((batch.users.to_vec(), batch.items.to_vec(), batch.ratings.to_vec()));
            }
        }
        dealt
    };
    assert_eq!(deal(&first), deal(&second));
}

#[test]
fn weights_and_sides_are_what_plain_code_says() {
    for seed in 0..20 {
        let rows = random_rows(seed);
        let mut rng = Rng::new(seed).fork("weights");
        let weights: Vec<Option<f64>> =
            rows.iter().map(|_| Some(f64::from(rng.below(5)) / 4.0).filter(|_| rng.below(20) > 0)).collect();
        let sides: Vec<Option<bool>> =
            rows.iter().map(|_| Some(rng.below(4) == 0).filter(|_| rng.below(20) > 0)).collect();
        let dataset = build_from_columns(Split::Given, &rows, Some(&weights), Some(&sides));

        let complete = || rows.iter().zip(&weights).zip(&sides);
        let mut train: Vec<_> = complete()
            .filter(|(_, side)| **side == Some(false))
            .filter_map(|((row, weight), _)| Some((Id::Text(&row.0), Id::Integer(row.1), row.2 as f32, (*weight)?)))
            .collect();
        train.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let mean = train.iter().map(|row| row.3).sum::<f64>() / train.len() as f64;
        let expected: Vec<_> =
            train.iter().map(|&(user, item, value, weight)| (user, item, value, (weight / mean) as f32)).collect();
        let actual: Vec<_> = dataset
            .train
            .iter()
            .zip(dataset.train.weights().unwrap())
            .map(|((user, item, value), weight)| {
                (name(&dataset.users, user.0), name(&dataset.items, item.0), value, *weight)
            })
            .collect();
        assert_eq!(actual, expected, "seed {seed}");

        let n_held_out = complete().filter(|((_, weight), side)| weight.is_some() && **side == Some(true)).count();
        assert_eq!(dataset.valid.len(), n_held_out, "seed {seed}");
        assert_eq!(dataset.n_rows, rows.len() as u64);
        assert_eq!(dataset.n_skipped as usize, rows.len() - train.len() - n_held_out, "seed {seed}");
    }
}

#[test]
fn weights_change_nothing_but_themselves() {
    let rows = random_rows(6);
    let split = Split::Pairs { fraction: 0.2, seed: 3 };
    let plain = build(split, &rows);
    let mut rng = Rng::new(6);
    let random: Vec<_> = rows.iter().map(|_| Some(f64::from(rng.below(1_000)))).collect();
    for weights in [random, vec![Some(0.1); rows.len()], vec![Some(1e30); rows.len()]] {
        let weighted = build_from_columns(split, &rows, Some(&weights), None);
        assert!(weighted.train.iter().eq(plain.train.iter()));
        assert_eq!((&weighted.valid, &weighted.seen), (&plain.valid, &plain.seen));
        assert_eq!((&weighted.user_counts, &weighted.item_counts), (&plain.user_counts, &plain.item_counts));
        assert_eq!((&weighted.levels, weighted.lowest, weighted.highest), (&plain.levels, plain.lowest, plain.highest));
        let sum: f64 = weighted.train.weights().unwrap().iter().copied().map(f64::from).sum();
        assert!((sum / plain.train.len() as f64 - 1.0).abs() < 1e-6, "{sum}");
        if weights.iter().all(|weight| *weight == weights[0]) {
            assert!(weighted.train.weights().unwrap().iter().all(|weight| *weight == 1.0));
        }

        // The order of arrival does not count here either.
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        Rng::new(7).shuffle(&mut order);
        let shuffled: Vec<Row> = order.iter().map(|&row| rows[row as usize].clone()).collect();
        let weights: Vec<_> = order.iter().map(|&row| weights[row as usize]).collect();
        assert_eq!(build_from_columns(split, &shuffled, Some(&weights), None).train, weighted.train);
    }
}

#[test]
fn a_batch_has_ratings_with_all_that_is_theirs() {
    let rows = random_rows(8);
    let weights: Vec<_> = (0..rows.len()).map(|row| Some(row as f64)).collect();
    let dataset = build_from_columns(Split::Pairs { fraction: 0.1, seed: 3 }, &rows, Some(&weights), None);
    let train = &dataset.train;
    let scale = WorkingScale { origin: 0.0, factor: 1.0 };
    let mut batches = Batches::new(Arc::clone(train), 32, scale, Rng::new(8));
    batches.start_epoch();
    let mut dealt = BTreeSet::new();
    while let Some(batch) = batches.next_batch() {
        for (place, weight) in batch.weights.iter().enumerate() {
            // No two have the same weight.
            let there = train.weights().unwrap().iter().position(|other| other == weight).unwrap();
            assert_eq!(batch.users[place] as u32, train.users()[there]);
            assert_eq!(batch.items[place] as u32, train.items()[there]);
            assert_eq!(batch.ratings[place], train.values()[there]);
            assert_eq!(batch.values[place], train.values()[there]);
            assert!(dealt.insert(there));
        }
    }
    assert!(dealt.into_iter().eq(0..train.len()));
}

#[test]
fn every_rating_of_few_has_a_class() {
    let dataset = build(Split::Pairs { fraction: 0.2, seed: 1 }, &random_rows(4));
    let levels = dataset.levels.unwrap();
    let values = dataset.train.values().iter().copied().chain(dataset.valid.iter().map(|row| row.value));
    for value in values {
        let class = class_of(&levels, value).unwrap();
        assert_eq!(levels.iter().filter(|level| **level < value).count(), class as usize);
        assert_eq!(class_of(&levels, value + 0.001), None);
    }
}

#[test]
fn adding_rows_moves_no_row_to_the_other_side() {
    let rows = random_rows(3);
    let split = Split::Pairs { fraction: 0.3, seed: 5 };
    let valid_rows = |rows: &[Row]| build(split, rows).valid.len();
    let all = valid_rows(&rows);
    let (front, back) = rows.split_at(rows.len() / 2);
    assert_eq!(valid_rows(front) + valid_rows(back), all);
}

#[test]
fn what_was_stored_is_read_back() {
    let dataset = build(Split::Pairs { fraction: 0.1, seed: 2 }, &random_rows(2));
    for vocabulary in [&dataset.users, &dataset.items] {
        let mut copy = Vocabulary::new(vocabulary.kind());
        vocabulary.iter().for_each(|id| copy.push(id).unwrap());
        assert!((0..).zip(vocabulary.iter()).all(|(index, id)| copy.get(id) == Some(index)));
    }
    let mut copy = SeenBuilder::new(dataset.users.len(), dataset.items.len());
    dataset.seen.pairs().for_each(|(user, item)| copy.push(user, item).unwrap());
    assert_eq!(copy.finish(), dataset.seen);
}

#[test]
fn recommendations_are_the_head_of_a_full_sort() {
    let mut rng = Rng::new(9);
    for n_factors in [1, 3, 8, 50] {
        let model = Arc::new(random_model(&mut rng, 7, 200, n_factors));
        let mut predictor = Predictor::new(model, None).unwrap();
        for user in (0..7).map(UserIdx) {
            let exclude: Vec<u32> = (0..200).filter(|_| rng.below(3) == 0).collect();
            let items: Vec<u32> = (0..200).filter(|item| !exclude.contains(item)).collect();
            let ratings = predictor.predict(&vec![user.0; items.len()], &items).unwrap();
            let mut all: Vec<(u32, f32)> = items.into_iter().zip(ratings).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            for k in [1, 10, 200] {
                let best = predictor.recommend(user, k, &exclude).unwrap();
                let best: Vec<_> = best.iter().map(|best| (best.index, best.score)).collect();
                assert_eq!(best, all[..k.min(all.len())], "{n_factors} factors, k = {k}");
            }
        }
    }
}

#[test]
fn many_users_are_recommended_what_each_one_is() {
    let mut rng = Rng::new(11);
    for (n_items, n_factors) in [(5, 3), (3000, 50)] {
        let model = Arc::new(random_model(&mut rng, 300, n_items, n_factors));
        let mut predictor = Predictor::new(Arc::clone(&model), None).unwrap();
        let seen: Vec<Vec<u32>> =
            (0..300).map(|user| (0..n_items as u32).filter(|item| (item + user) % 3 == 0).collect()).collect();
        let users: Vec<UserIdx> = (0..400).map(|n| UserIdx(n * 7 % 300)).collect();
        for k in [1, 10, 5000] {
            let all = predictor.recommend_each(&users, k, &|user| &seen[user.index()]).unwrap();
            for (user, best) in users.iter().zip(all) {
                assert_eq!(best, predictor.recommend(*user, k, &seen[user.index()]).unwrap());
                // Against every item in double precision.
                let exact = |item: u32| {
                    let rows = model.user_factors(*user).iter().zip(model.item_factors(ItemIdx(item)));
                    let product: f64 = rows.map(|(p, q)| f64::from(*p) * f64::from(*q)).sum();
                    let biases = model.user_bias(*user).unwrap_or(0.0) + model.item_bias(ItemIdx(item)).unwrap_or(0.0);
                    let sum = product + f64::from(model.parts().mu) + f64::from(biases);
                    model
                        .parts()
                        .range
                        .map_or(sum, |(lo, hi)| f64::from(lo) + f64::from(hi - lo) / (1.0 + (-sum).exp()))
                };
                let unseen = (0..n_items as u32).filter(|item| seen[user.index()].binary_search(item).is_err());
                let mut ratings: Vec<f64> = unseen.map(exact).collect();
                ratings.sort_by(|a, b| b.total_cmp(a));
                assert_eq!(best.len(), k.min(ratings.len()));
                for (scored, rating) in best.iter().zip(ratings) {
                    assert!((f64::from(scored.score) - rating).abs() < 1e-5);
                    assert!((f64::from(scored.score) - exact(scored.index)).abs() < 1e-5);
                }
            }
        }
    }
}

#[test]
fn neighbours_are_those_of_the_cosine_in_double_precision() {
    let mut rng = Rng::new(10);
    let model = random_model(&mut rng, 5, 100, 50);
    let cosine = |a: &[f32], b: &[f32]| {
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    };
    for item in (0..100).map(ItemIdx) {
        let similar = model.similar_items(&[item], 1_000).remove(0);
        assert_eq!(similar.len(), 99);
        assert!(similar.is_sorted_by(|a, b| a.score >= b.score));
        for other in similar {
            assert_ne!(other.index, item.0);
            let exact = cosine(model.item_factors(item), model.item_factors(ItemIdx(other.index)));
            assert!((f64::from(other.score) - exact).abs() < 1e-6, "{item:?} and {}", other.index);
        }
    }
}

fn random_rows(seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed).fork("rows");
    (0..400)
        .map(|_| {
            let user = ["", "'", "Zoë ", "🎬", "user"][rng.below(5) as usize].to_owned() + &rng.below(12).to_string();
            (user, i64::from(rng.below(40)) * 1_000_000_007 - 9_000_000_000, f64::from(rng.below(9)) / 2.0 + 0.5)
        })
        .collect()
}

fn build(split: Split, rows: &[Row]) -> Dataset {
    let mut builder = DatasetBuilder::new(IdKind::Text, IdKind::Integer, split);
    for (user, item, rating) in rows {
        builder.push_row(Some(Id::Text(user)), Some(Id::Integer(*item)), Some(*rating)).unwrap();
    }
    builder.finish().unwrap()
}

/// The same rows as they come from the database, with weights and sides.
fn build_from_columns(
    split: Split,
    rows: &[Row],
    weights: Option<&[Option<f64>]>,
    sides: Option<&[Option<bool>]>,
) -> Dataset {
    let mut builder = DatasetBuilder::new(IdKind::Text, IdKind::Integer, split).in_parts(3);
    let is_complete = |row: &usize| {
        weights.is_none_or(|weights| weights[*row].is_some()) && sides.is_none_or(|sides| sides[*row].is_some())
    };
    let bring = |intake: &Arc<Intake>| {
        (0..rows.len()).collect::<Vec<_>>().chunks(7).enumerate().try_for_each(|(thread, all)| {
            let complete: Vec<usize> = all.iter().copied().filter(is_complete).collect();
            let users: Vec<&[u8]> = complete.iter().map(|&row| rows[row].0.as_bytes()).collect();
            let items: Vec<i64> = complete.iter().map(|&row| rows[row].1).collect();
            let ratings: Vec<f64> = complete.iter().map(|&row| rows[row].2).collect();
            let weights: Option<Vec<f64>> =
                weights.map(|weights| complete.iter().filter_map(|&row| weights[row]).collect());
            let held_out: Option<Vec<bool>> =
                sides.map(|sides| complete.iter().filter_map(|&row| sides[row]).collect());
            let columns = Columns {
                users: Ids::Texts(&users),
                items: Ids::Integers(&items),
                ratings: &ratings,
                weights: weights.as_deref(),
                held_out: held_out.as_deref(),
            };
            intake.take(thread, &columns, all.len() - complete.len())
        })
    };
    builder.read(|_| Ok(()), bring).unwrap();
    builder.finish().unwrap()
}

fn name(vocabulary: &Vocabulary, index: u32) -> Id<'_> {
    vocabulary.id(index).unwrap()
}

fn random_model(rng: &mut Rng, n_users: usize, n_items: usize, n_factors: usize) -> Embeddings {
    let mut draw = |n: usize| (0..n).map(|_| rng.truncated_normal(0.5) as f32).collect::<Vec<_>>();
    let mut table = |n_rows: usize| {
        let factors = draw(n_rows * n_factors);
        Table { width: n_factors, factors, biases: Some(draw(n_rows)) }
    };
    Embeddings::new(Parts {
        users: table(n_users),
        items: table(n_items),
        interaction: Interaction::Dot,
        mu: 0.25,
        range: None,
        classes: None,
        baseline: Baseline::OwnBiases,
    })
    .unwrap()
}
