//! What a trained model must be able to do, whatever engine trained it.
//!
//! The world is a checkerboard, as in implicit's `recommender_base_test`: even users like even items, odd users odd ones.

use std::sync::Arc;

use cofi::graph::Engine;
use cofi::ids::{Id, IdKind};
use cofi::model::predictor;
use cofi::ratings::{Dataset, DatasetBuilder, Split};
use cofi::score::{Embeddings, Prediction};
use cofi::train::{EpochReport, OptionValue, Options, TrainConfig, Training, WarmStart, preset};

use crate::support::engines;

const N_USERS: i64 = 20;
const N_ITEMS: i64 = 15;

/// An option and its value.
type Given = (&'static str, OptionValue);

#[test]
fn held_out_items_of_the_same_parity_score_higher() {
    for (name, engine) in engines() {
        for (model, given) in models() {
            let trained = train(&engine, &given);
            let (mut lowest_liked, mut highest_disliked) = (f32::INFINITY, f32::NEG_INFINITY);
            let valid = &trained.dataset.valid;
            assert!(valid.len() > 30);
            for (row, prediction) in valid.iter().zip(trained.predictions(&engine)) {
                match row.value > 3.0 {
                    true => lowest_liked = lowest_liked.min(prediction.rating),
                    false => highest_disliked = highest_disliked.max(prediction.rating),
                }
            }
            assert!(lowest_liked > highest_disliked, "{name}, {model}: {lowest_liked} against {highest_disliked}");
        }
    }
}

#[test]
fn the_loss_falls_to_a_fraction() {
    for (name, engine) in engines() {
        for (model, given) in models() {
            let history = train(&engine, &given).history;
            let (first, last) = (history[0].train_loss, history[history.len() - 1].train_loss);
            assert!(last < 0.1 * first, "{name}, {model}: from {first} to {last}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    for (name, engine) in engines() {
        for (model, given) in models() {
            let bits =
                |seed| numbers(&train(&engine, &with(&given, &[("seed", OptionValue::Integer(seed))])).embeddings);
            assert!(bits(3) == bits(3), "{name}, {model}: the same seed gave different bits");
            assert!(bits(3) != bits(4), "{name}, {model}: two seeds gave the same bits");
        }
    }
}

#[test]
fn a_batch_in_parts_teaches_what_the_whole_batch_does() {
    for (name, engine) in engines() {
        for (model, given) in models() {
            // With dropout, parts would draw their masks in another order; what accumulates moves every row.
            let given = with(&given, &[("l2", OptionValue::Real(0.01)), ("epochs", OptionValue::Integer(3))]);
            let given: Vec<Given> =
                given.into_iter().filter(|(name, _)| !["dropout", "updates"].contains(name)).collect();
            let whole = numbers(&train(&engine, &given).embeddings);
            for n_parts in [2, 3, 32] {
                let parts = train(&engine, &with(&given, &[("accumulate", OptionValue::Integer(n_parts))]));
                for (found, expected) in numbers(&parts.embeddings).into_iter().zip(&whole) {
                    let (found, expected) = (f32::from_bits(found), f32::from_bits(*expected));
                    assert!((found - expected).abs() < 2e-3, "{name}, {model}, {n_parts} parts: {found}, {expected}");
                }
            }
        }
    }
}

#[test]
fn a_warm_start_goes_on_where_the_training_ended() {
    for (name, engine) in engines() {
        for (model, given) in models() {
            let first = train(&engine, &given);
            let dataset = &first.dataset;
            let warm_start = WarmStart {
                users: &dataset.users,
                items: &dataset.items,
                embeddings: &first.embeddings,
                observed: (dataset.lowest, dataset.highest),
            };
            let slow = with(&given, &[("learning_rate", OptionValue::Real(1e-9))]);
            // A user and an item more, and one item less.
            let more = world(|user, item| user <= N_USERS && item <= N_ITEMS && item != 4);
            let second = train_on(&engine, &slow, more, Some(&warm_start));
            let (start, end) = (second.history[0].train_loss, first.history[first.history.len() - 1].train_loss);
            let unstarted = train_on(&engine, &slow, world(|_, _| true), None).history[0].train_loss;
            // The new user and item are rated with rows that have learned nothing.
            assert!(start < 0.5 * unstarted && end < start, "{name}, {model}: {end}, then {start}, not {unstarted}");
            let factors = |trained: &Trained, item: i64| {
                let index = trained.dataset.items.get(Id::Integer(item)).unwrap();
                trained.embeddings.item_factors(cofi::ids::ItemIdx(index)).to_vec()
            };
            for (before, after) in factors(&first, 5).into_iter().zip(factors(&second, 5)) {
                assert!((before - after).abs() < 1e-4, "{name}, {model}: {before} became {after}");
            }
        }
    }
}

#[test]
fn patience_keeps_the_best_epoch() {
    for (name, engine) in engines() {
        // Far too fast to get better for long.
        let given = vec![
            ("epochs", OptionValue::Integer(200)),
            ("patience", OptionValue::Integer(3)),
            ("learning_rate", OptionValue::Real(0.3)),
            ("schedule", OptionValue::Text("constant".to_owned())),
        ];
        let trained = train(&engine, &given);
        let losses: Vec<f64> = trained.history.iter().map(|report| report.valid.unwrap().loss.unwrap()).collect();
        let best = (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap();
        assert!(losses.len() < 200 && losses.len() == best + 4, "{name}: {losses:?}");
        assert_eq!(trained.stored_epoch as usize, best + 1, "{name}");
        let errors = trained.dataset.valid.iter().zip(trained.predictions(&engine));
        let errors = errors.map(|(row, prediction)| f64::from(row.value - prediction.rating).powi(2));
        let mse = errors.sum::<f64>() / trained.dataset.valid.len() as f64;
        assert!((mse / losses[best] - 1.0).abs() < 1e-5, "{name}: {mse}, not {}", losses[best]);
    }
}

/// One of each form that a model can have.
fn models() -> Vec<(&'static str, Vec<Given>)> {
    let text = |word: &str| OptionValue::Text(word.to_owned());
    let bare = [("y_range", OptionValue::Null), ("bias", OptionValue::Boolean(false))];
    let mlp = [
        ("architecture", text("mlp")),
        ("layers", OptionValue::List(vec![OptionValue::Integer(16), OptionValue::Integer(8)])),
        ("bias", OptionValue::Boolean(false)),
        ("n_factors", OptionValue::Null),
        ("epochs", OptionValue::Integer(100)),
        ("init_std", OptionValue::Real(0.3)),
    ];
    let dropout = [("dropout", OptionValue::Real(0.05)), ("y_range", OptionValue::Null)];
    let half_sse = [
        ("loss", text("half_sse")),
        ("optimizer", text("adam")),
        ("bias", text("user")),
        ("y_range", OptionValue::Null),
        ("init", text("kaiming_uniform")),
    ];
    let sgd = [("optimizer", text("sgd")), ("learning_rate", OptionValue::Real(0.5)), ("init", text("normal"))];
    vec![
        ("dot, every row", with(&[], &[("updates", text("dense"))])),
        ("dot, rows of the batch", with(&[], &[("updates", text("sparse"))])),
        ("dot without anything", with(&[], &bare)),
        ("mlp", with(&[], &mlp)),
        ("mlp with dropout", with(&with(&[], &mlp), &dropout)),
        ("cross entropy", with(&[], &[("loss", text("cross_entropy"))])),
        ("cross entropy without range", with(&bare, &[("loss", text("cross_entropy"))])),
        ("half_sse", with(&[], &half_sse)),
        ("sgd", with(&[], &sgd)),
    ]
}

/// The options of every model here, then `given`, then `more`: the last of a name counts.
fn with(given: &[Given], more: &[Given]) -> Vec<Given> {
    let common = [
        ("n_factors", OptionValue::Integer(4)),
        ("epochs", OptionValue::Integer(40)),
        ("learning_rate", OptionValue::Real(0.05)),
        ("weight_decay", OptionValue::Real(0.01)),
        ("batch_size", OptionValue::Integer(32)),
        ("init_std", OptionValue::Real(0.1)),
    ];
    let mut all: Vec<Given> = Vec::new();
    for (name, value) in common.iter().chain(given).chain(more) {
        all.retain(|(other, _)| other != name);
        all.push((name, value.clone()));
    }
    all
}

struct Trained {
    dataset: Arc<Dataset>,
    history: Vec<EpochReport>,
    embeddings: Arc<Embeddings>,
    stored_epoch: u32,
}

impl Trained {
    /// Of the validation rows.
    fn predictions(&self, engine: &Arc<dyn Engine>) -> Vec<Prediction> {
        let mut predictor = predictor(Arc::clone(&self.embeddings), || Ok(Arc::clone(engine))).unwrap();
        let mut predictions = Vec::new();
        let rows = &self.dataset.valid;
        predictor.judge(rows, |row| (row.user, row.item), |_, prediction| predictions.push(prediction)).unwrap();
        predictions
    }
}

fn train(engine: &Arc<dyn Engine>, given: &[Given]) -> Trained {
    train_on(engine, given, world(|user, item| user < N_USERS && item < N_ITEMS), None)
}

fn train_on(
    engine: &Arc<dyn Engine>,
    given: &[Given],
    dataset: Arc<Dataset>,
    warm_start: Option<&WarmStart<'_>>,
) -> Trained {
    let mut options = Options::new(given.iter().cloned().collect());
    options.fall_back_on_preset(preset("fastai").unwrap());
    let config = TrainConfig::take(&mut options).unwrap();
    let mut training = Training::new(config, Arc::clone(&dataset), Arc::clone(engine), warm_start).unwrap();
    let mut history = Vec::new();
    while !training.is_done() {
        history.push(training.epoch().unwrap());
    }
    let (embeddings, stored_epoch) = (training.embeddings().unwrap(), training.stored_epoch());
    Trained { dataset, history, embeddings, stored_epoch }
}

/// Ratings of the pairs that `has`, of users up to `N_USERS` and items up to `N_ITEMS`: 5 where both are even or both odd, else 1.
fn world(has: impl Fn(i64, i64) -> bool) -> Arc<Dataset> {
    let split = Split::Pairs { fraction: 0.15, seed: 5 };
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
    for user in 0..=N_USERS {
        for item in (0..=N_ITEMS).filter(|item| has(user, *item)) {
            let rating = if user % 2 == item % 2 { 5.0 } else { 1.0 };
            builder.push_row(Some(Id::Integer(user)), Some(Id::Integer(item)), Some(rating)).unwrap();
        }
    }
    Arc::new(builder.finish().unwrap())
}

/// All factors and biases, bit by bit.
fn numbers(embeddings: &Embeddings) -> Vec<u32> {
    let tables = [&embeddings.parts().users, &embeddings.parts().items];
    let all = tables.into_iter().flat_map(|table| table.factors.iter().chain(table.biases.iter().flatten()));
    all.map(|number| number.to_bits()).collect()
}
