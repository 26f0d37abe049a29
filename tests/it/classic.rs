//! One rating at a time on every engine: against a reference of plain loops, rounds against single steps, and what a round must be.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use cofi::graph::optimiser::{Clock, Optimiser, Reach, Rule};
use cofi::graph::{Blocks, Engine, Program};
use cofi::model::{
    Architecture, Biases, ITEM, Init, Model, Objective, RATING, StepOptions, USER, WEIGHT, training_step,
};
use cofi::rng::Rng;
use serde_json::Value;

use crate::onnx::{engine, fusing_engine, library};
use crate::support::{assert_close, engines, floats, indices, numbers, repository_file, scalars, singles, tensors};

/// A model with its rule.
struct Case {
    model: Model,
    weight_decay: f64,
    is_weighted: bool,
}

/// Ratings in blocks.
#[derive(Clone)]
struct Round {
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    weights: Vec<f32>,
    borders: Vec<usize>,
    user_rows: Vec<Range<u32>>,
    item_rows: Vec<Range<u32>>,
}

impl Case {
    fn optimiser(&self) -> Optimiser {
        Optimiser { rule: Rule::Classic, weight_decay: self.weight_decay, reach: Reach::BatchRows }
    }

    fn program(&self, engine: &dyn Engine, initial: &[(String, Vec<f32>)]) -> Box<dyn Program> {
        let options = StepOptions { is_weighted: self.is_weighted, ..StepOptions::default() };
        let step = training_step(&self.model, &self.optimiser(), options).unwrap();
        assert!(
            self.optimiser().initial(initial).is_empty() && self.optimiser().clocks(&self.model.tables()).is_empty()
        );
        engine.compile(&step, initial, 1).unwrap()
    }

    fn learn(&self, program: &mut dyn Program, round: &Round, rate: f64) -> cofi::error::Result<f32> {
        // beta1 does not count.
        let numbers = self.optimiser().advance(&mut Clock::default(), rate, 0.9);
        let mut feeds = vec![indices(USER, &round.users), indices(ITEM, &round.items), floats(RATING, &round.ratings)];
        if self.is_weighted {
            feeds.push(floats(WEIGHT, &round.weights));
        }
        feeds.extend(scalars(&numbers));
        let rows: [(&str, &[Range<u32>]); 2] = [(USER, &round.user_rows), (ITEM, &round.item_rows)];
        let mut n_others = 0;
        let sum = program.each_beside(&feeds, &Blocks { borders: &round.borders, rows: &rows }, &mut || n_others += 1);
        assert_eq!(n_others, 1);
        sum
    }
}

#[test]
fn rounds_give_the_tensors_of_the_reference() {
    let text = fs::read_to_string(repository_file("models/classic/reference.json")).unwrap();
    let references: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(references.len(), 4);
    for reference in references {
        let case = case_of(&reference);
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, {}", reference["name"]);
            let mut program = case.program(engine.as_ref(), &tensors(&reference["initial"]));
            assert_eq!(program.operators() == "fused", engine_name.contains("fused"), "{label}");
            for round in reference["rounds"].as_array().unwrap() {
                let rate = round["learning_rate"].as_f64().unwrap();
                let loss = case.learn(program.as_mut(), &round_of(round), rate).unwrap();
                assert_close(&format!("{label}: loss"), &[loss], &[round["loss"].as_f64().unwrap() as f32], 1e-4, 0.0);
            }
            for (name, expected) in tensors(&reference["final"]) {
                assert_close(&format!("{label}: {name}"), &program.state(&name).unwrap(), &expected, 1e-4, 0.0);
            }
        }
    }
}

/// Every combination of what a fused pass can be, with widths on both sides of a block's border.
#[test]
fn a_fused_pass_learns_what_stock_steps_of_one_rating_learn() {
    let Some(library) = library("a_fused_pass_learns_what_stock_steps_of_one_rating_learn") else { return };
    let mut n_cases = 0;
    for objective in [Objective::MeanSquaredError, Objective::HalfSquaredSum] {
        for range in [None, Some((0.5, 5.5))] {
            for biases in [Biases::Neither, Biases::Users, Biases::Both] {
                for (mu, weight_decay) in [(0.0, 0.1), (0.3, 0.0)] {
                    n_cases += 1;
                    let model = model([5, 14, 15, 32][n_cases % 4], biases, mu, range, objective);
                    let case = Case { model, weight_decay, is_weighted: n_cases % 3 == 0 };
                    let initial = case.model.initial(&Rng::new(3), Init::Normal(0.3));
                    let mut expected = case.program(&engine(library, 1), &initial);
                    let mut found = case.program(&fusing_engine(library, 2), &initial);
                    let mut rng = Rng::new(9);
                    for rate in [0.01, 0.03, 0.02] {
                        let round = drawn(&mut rng, &case.model, 100);
                        let losses =
                            [&mut found, &mut expected].map(|program| case.learn(program.as_mut(), &round, rate));
                        let [found, expected] = losses.map(Result::unwrap);
                        assert_close("loss", &[found], &[expected], 1e-4, 0.0);
                    }
                    for (name, _) in initial {
                        let label = format!("{:?} {weight_decay}: {name}", case.model);
                        assert_close(&label, &found.state(&name).unwrap(), &expected.state(&name).unwrap(), 1e-4, 1e-6);
                    }
                }
            }
        }
    }
}

#[test]
fn a_fused_pass_has_the_same_bits_on_any_number_of_threads() {
    let Some(library) = library("a_fused_pass_has_the_same_bits_on_any_number_of_threads") else { return };
    let model = model(50, Biases::Both, 0.3, Some((0.5, 5.5)), Objective::MeanSquaredError);
    let case = Case { model: Model { n_users: 3_000, n_items: 700, ..model }, weight_decay: 0.1, is_weighted: false };
    let initial = case.model.initial(&Rng::new(3), Init::Normal(0.3));
    let learned = |threads| {
        let mut program = case.program(&fusing_engine(library, threads), &initial);
        let mut rng = Rng::new(9);
        let losses = (0..5).map(|_| case.learn(program.as_mut(), &drawn(&mut rng, &case.model, 9_000), 0.02).unwrap());
        let losses: Vec<f32> = losses.collect();
        let states = initial.iter().flat_map(|(name, _)| program.state(name).unwrap());
        losses.iter().copied().chain(states).map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = learned(1);
    for threads in [2, 3, 4] {
        assert!(learned(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_round_whose_blocks_are_not_apart_is_refused() {
    let Some(library) = library("a_round_whose_blocks_are_not_apart_is_refused") else { return };
    let case = Case {
        model: model(5, Biases::Both, 0.0, None, Objective::MeanSquaredError),
        weight_decay: 0.1,
        is_weighted: false,
    };
    let initial = case.model.initial(&Rng::new(3), Init::Normal(0.3));
    let round = drawn(&mut Rng::new(9), &case.model, 100);
    let mut shared = round.clone();
    shared.user_rows[1] = shared.user_rows[0].clone();
    let mut outside = round.clone();
    outside.items[0] = round.item_rows[1].start as i32;
    let mut missing = round.clone();
    missing.users[0] = 60;
    for (wrong, message) in [
        (&shared, "the fused operator was given a round that does not fit its tables"),
        (&outside, "the fused operator was given a round that does not fit its tables"),
        (&missing, "feed user: row 60 is not below 60"),
    ] {
        let mut program = case.program(&fusing_engine(library, 2), &initial);
        let error = case.learn(program.as_mut(), wrong, 0.1).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn penalties_and_accumulation_have_no_single_ratings() {
    let case = Case {
        model: model(5, Biases::Both, 0.0, None, Objective::MeanSquaredError),
        weight_decay: 0.1,
        is_weighted: false,
    };
    for options in
        [StepOptions { l2: 1.0, ..StepOptions::default() }, StepOptions { accumulates: true, ..StepOptions::default() }]
    {
        assert!(training_step(&case.model, &case.optimiser(), options).is_err());
    }
    // A feed that is neither one value nor one a rating.
    let engine: Arc<dyn Engine> = Arc::new(cofi::graph::Interpreter);
    let mut program = case.program(engine.as_ref(), &case.model.initial(&Rng::new(3), Init::Normal(0.3)));
    let mut round = drawn(&mut Rng::new(9), &case.model, 10);
    round.ratings.truncate(7);
    let error = case.learn(program.as_mut(), &round, 0.1).unwrap_err().to_string();
    assert_eq!(error, "feed rating: expected one value for all of 10 ratings or one for each");
}

fn model(width: usize, biases: Biases, mu: f32, range: Option<(f32, f32)>, objective: Objective) -> Model {
    let architecture = Architecture::Dot;
    Model { n_users: 60, n_items: 41, user_width: width, item_width: width, architecture, biases, mu, range, objective }
}

/// A round of three blocks.
fn drawn(rng: &mut Rng, model: &Model, n: usize) -> Round {
    let stripes = |n_rows: usize| -> Vec<Range<u32>> {
        (0..3).map(|stripe| (n_rows * stripe / 3) as u32..(n_rows * (stripe + 1) / 3) as u32).collect()
    };
    let (user_rows, mut item_rows) = (stripes(model.n_users), stripes(model.n_items));
    item_rows.rotate_left(rng.below(3) as usize);
    let mut round = Round {
        users: vec![],
        items: vec![],
        ratings: vec![],
        weights: vec![],
        borders: vec![0],
        user_rows: user_rows.clone(),
        item_rows: item_rows.clone(),
    };
    for (block, (users, items)) in user_rows.into_iter().zip(item_rows).enumerate() {
        while round.users.len() < n * (block + 1) / 3 {
            round.users.push((users.start + rng.below(users.len() as u32)) as i32);
            round.items.push((items.start + rng.below(items.len() as u32)) as i32);
            round.ratings.push(1.0 + rng.below(5) as f32);
            round.weights.push(0.5 + rng.uniform() as f32);
        }
        round.borders.push(round.users.len());
    }
    round
}

fn case_of(reference: &Value) -> Case {
    let number = |key: &str| reference[key].as_f64().unwrap();
    let count = |key: &str| number(key) as usize;
    let biases = match reference["bias"].as_str().unwrap() {
        "both" => Biases::Both,
        "user" => Biases::Users,
        _ => Biases::Neither,
    };
    let range = reference["range"].as_array().map(|_| numbers(&reference["range"]));
    let range = range.map(|range| (range[0] as f32, range[1] as f32));
    let objective = match reference["half"].as_bool().unwrap() {
        true => Objective::HalfSquaredSum,
        false => Objective::MeanSquaredError,
    };
    let model = model(count("n_factors"), biases, number("mu") as f32, range, objective);
    let model = Model { n_users: count("n_users"), n_items: count("n_items"), ..model };
    Case { model, weight_decay: number("weight_decay"), is_weighted: reference["weighted"].as_bool().unwrap() }
}

fn round_of(round: &Value) -> Round {
    let rows = |key: &str| numbers(&round[key]).into_iter().map(|row| row as i32).collect();
    let ranges = |key: &str| {
        let pairs = round[key].as_array().unwrap().iter().map(numbers);
        pairs.map(|pair| pair[0] as u32..pair[1] as u32).collect()
    };
    Round {
        users: rows("user"),
        items: rows("item"),
        ratings: singles(&round["rating"]),
        weights: singles(&round["weight"]),
        borders: numbers(&round["borders"]).into_iter().map(|border| border as usize).collect(),
        user_rows: ranges("user_rows"),
        item_rows: ranges("item_rows"),
    }
}
