//! What a trained model must be able to do, whatever engine trained it.
//!
//! The world is a checkerboard, as in implicit's `recommender_base_test`: even users like even items, odd users odd ones.

use std::collections::BTreeMap;

use cofi::graph::optimiser::{Optimiser, Rule};
use cofi::graph::{Engine, Feed};
use cofi::model::dot::{ITEM_BIAS, ITEM_FACTORS, USER_BIAS, USER_FACTORS};
use cofi::model::{Dot, ITEM, RATING, USER, initial_states, training_step};
use cofi::rng::Rng;
use cofi::train::Schedule;

use crate::support::{engines, floats, indices, scalars};

const N_USERS: usize = 20;
const N_ITEMS: usize = 15;
const N_FACTORS: usize = 4;
const BATCH: usize = 32;
const EPOCHS: u64 = 40;

#[test]
fn held_out_items_of_the_same_parity_score_higher() {
    for (name, engine) in engines() {
        for model in models() {
            let trained = train(engine.as_ref(), &model, 1);
            let (mut lowest_liked, mut highest_disliked) = (f32::INFINITY, f32::NEG_INFINITY);
            for (user, item) in pairs().filter(|(user, item)| is_held_out(*user, *item)) {
                let score = trained.predict(&model, user, item);
                if likes(user, item) {
                    lowest_liked = lowest_liked.min(score);
                } else {
                    highest_disliked = highest_disliked.max(score);
                }
            }
            assert!(lowest_liked > highest_disliked, "{name}, {model:?}: {lowest_liked} against {highest_disliked}");
        }
    }
}

#[test]
fn the_loss_falls_to_a_fraction() {
    for (name, engine) in engines() {
        for model in models() {
            let losses = train(engine.as_ref(), &model, 2).losses;
            let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
            let (first, last) = (mean(&losses[..5]), mean(&losses[losses.len() - 5..]));
            assert!(last < 0.1 * first, "{name}, {model:?}: from {first} to {last}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    for (name, engine) in engines() {
        let model = &models()[0];
        let bits = |seed| {
            let states = train(engine.as_ref(), model, seed).states;
            states.into_values().flatten().map(f32::to_bits).collect::<Vec<u32>>()
        };
        assert!(bits(3) == bits(3), "{name}: the same seed gave different bits");
        assert!(bits(3) != bits(4), "{name}: two seeds gave the same bits");
    }
}

/// With everything, and with nothing but factors.
fn models() -> [Dot; 2] {
    let whole =
        Dot { n_users: N_USERS, n_items: N_ITEMS, n_factors: N_FACTORS, bias: true, mu: 0.0, range: Some((0.5, 5.5)) };
    [whole.clone(), Dot { bias: false, mu: 3.0, range: None, ..whole }]
}

fn likes(user: usize, item: usize) -> bool {
    user % 2 == item % 2
}

fn is_held_out(user: usize, item: usize) -> bool {
    (3 * user + 2 * item).is_multiple_of(7)
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..N_USERS).flat_map(|user| (0..N_ITEMS).map(move |item| (user, item)))
}

/// The states by name and the loss of every batch.
struct Trained {
    states: BTreeMap<String, Vec<f32>>,
    losses: Vec<f32>,
}

impl Trained {
    /// The formula of `models/dot/README.md`, from the trained tables.
    fn predict(&self, model: &Dot, user: usize, item: usize) -> f32 {
        let row = |table: &str, number: usize| {
            self.states[table][number * N_FACTORS..(number + 1) * N_FACTORS].iter().copied()
        };
        let mut sum = model.mu + row(USER_FACTORS, user).zip(row(ITEM_FACTORS, item)).map(|(p, q)| p * q).sum::<f32>();
        if model.bias {
            sum += self.states[USER_BIAS][user] + self.states[ITEM_BIAS][item];
        }
        match model.range {
            Some((lo, hi)) => lo + (hi - lo) / (1.0 + (-sum).exp()),
            None => sum,
        }
    }
}

fn train(engine: &dyn Engine, model: &Dot, seed: u64) -> Trained {
    let rng = Rng::new(seed);
    let optimiser = Optimiser { rule: Rule::AdamW { beta2: 0.99, eps: 1e-5 }, weight_decay: 0.01 };
    let step = training_step(model, &optimiser).unwrap();
    let initial = initial_states(model, &optimiser, &rng, 0.1);
    let mut program = engine.compile(&step, &initial, BATCH).unwrap();

    let rated: Vec<(usize, usize)> = pairs().filter(|(user, item)| !is_held_out(*user, *item)).collect();
    let n_steps = EPOCHS * rated.len().div_ceil(BATCH) as u64;
    let mut order: Vec<u32> = (0..rated.len() as u32).collect();
    let mut shuffling = rng.fork("order");
    let mut losses = Vec::new();
    for _ in 0..EPOCHS {
        shuffling.shuffle(&mut order);
        for chosen in order.chunks(BATCH) {
            let batch: Vec<(usize, usize)> = chosen.iter().map(|place| rated[*place as usize]).collect();
            let users: Vec<i32> = batch.iter().map(|(user, _)| *user as i32).collect();
            let items: Vec<i32> = batch.iter().map(|(_, item)| *item as i32).collect();
            let ratings: Vec<f32> = batch.iter().map(|(u, i)| if likes(*u, *i) { 5.0 } else { 1.0 }).collect();
            let done = losses.len() as u64;
            let settings = Schedule::OneCycle.at(done, n_steps, 0.05, (0.9, 0.99));
            let scalar_values = optimiser.scalars(done + 1, settings.learning_rate, settings.beta1);
            let mut feeds: Vec<Feed<'_>> = scalars(&scalar_values).collect();
            feeds.extend([indices(USER, &users), indices(ITEM, &items), floats(RATING, &ratings)]);
            losses.push(program.step(&feeds).unwrap());
        }
    }
    let states = initial.iter().map(|(name, _)| (name.clone(), program.state(name).unwrap())).collect();
    Trained { states, losses }
}
