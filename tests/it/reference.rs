//! Every engine against `models/*/reference.json`, which an independent NumPy script computes.

use std::fs;

use cofi::graph::optimiser::{Optimiser, Rule};
use cofi::graph::{Dim, Element, Feed, Graph, Shape, Step, gradients, loss};
use cofi::model::{Dot, ITEM, RATING, USER, training_step};
use cofi::train::Schedule;
use serde_json::Value;

use crate::support::{assert_close, engines, floats, indices, numbers, repository_file, scalars, singles, tensors};

/// Relative to the largest magnitude of a tensor.
const TOLERANCE: f32 = 1e-4;

#[test]
fn fifty_steps_of_dot_give_the_tensors_of_the_reference() {
    for case in cases() {
        let optimiser = optimiser(&case);
        let step = training_step(&model(&case), &optimiser).unwrap();
        let mut initial = tensors(&case["initial"]);
        initial.extend(optimiser.initial(&initial));
        let batches = batches(&case);
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, {}", case["name"]);
            let mut program = engine.compile(&step, &initial, 16).unwrap();
            let mut losses = Vec::new();
            for (number, batch) in (0..).zip(&batches) {
                let settings = schedule(&case).at(number, batches.len() as u64, rate(&case), (beta1(&case), 0.0));
                let scalar_values = optimiser.scalars(number + 1, settings.learning_rate, settings.beta1);
                let feeds: Vec<Feed<'_>> = batch.feeds().into_iter().chain(scalars(&scalar_values)).collect();
                losses.push(program.step(&feeds).unwrap());
            }
            assert_close(&format!("{label}: losses"), &losses, &singles(&case["losses"]), TOLERANCE, 0.0);
            let expected = tensors(&case["final"]);
            assert_eq!(expected.len(), initial.len(), "{label}: number of tensors");
            for (name, values) in expected {
                let found = program.state(&name).unwrap();
                assert_close(&format!("{label}: {name}"), &found, &values, TOLERANCE, 0.0);
            }
        }
    }
}

#[test]
fn the_first_gradients_of_dot_are_those_of_the_reference() {
    for case in cases() {
        let (step, names) = gradient_step(&model(&case));
        let mut initial = tensors(&case["initial"]);
        let zeros: Vec<_> =
            initial.iter().map(|(name, values)| (gradient_name(name), vec![0.0; values.len()])).collect();
        initial.extend(zeros);
        let expected = tensors(&case["first_gradients"]);
        assert_eq!(expected.len(), names.len());
        for (engine_name, engine) in engines() {
            let mut program = engine.compile(&step, &initial, 16).unwrap();
            program.step(&batches(&case)[0].feeds()).unwrap();
            for (name, values) in &expected {
                let found = program.state(&gradient_name(name)).unwrap();
                let label = format!("{engine_name}, {}: gradient of {name}", case["name"]);
                assert_close(&label, &found, values, TOLERANCE, 0.0);
            }
        }
    }
}

#[test]
fn schedules_give_the_settings_of_the_reference() {
    for case in cases() {
        let (rates, beta1s) = (numbers(&case["learning_rates"]), numbers(&case["beta1s"]));
        for (number, (expected_rate, expected_beta1)) in (0..).zip(rates.iter().zip(&beta1s)) {
            let found = schedule(&case).at(number, rates.len() as u64, rate(&case), (beta1(&case), 0.0));
            assert!((found.learning_rate / expected_rate - 1.0).abs() < 1e-8, "step {number}: {found:?}");
            assert!((found.beta1 / expected_beta1 - 1.0).abs() < 1e-8, "step {number}: {found:?}");
        }
    }
}

#[test]
fn an_id_fills_half_of_every_reference_batch() {
    for case in cases() {
        for batch in batches(&case) {
            let repeated = if case["repeated"] == "user" { &batch.users } else { &batch.items };
            assert!(repeated.iter().filter(|id| **id == 3).count() >= repeated.len() / 2);
        }
    }
}

/// A step that computes the gradients of the loss and keeps each in a state of its own, the parameters unchanged.
fn gradient_step(model: &Dot) -> (Step, Vec<String>) {
    let mut graph = Graph::new();
    let forward = model.forward(&mut graph).unwrap();
    let rating = graph.input(RATING, Shape::vector(Dim::Batch), Element::Float).unwrap();
    let errors = loss::squared_errors(&mut graph, forward.prediction, rating).unwrap();
    let loss = graph.mean(errors).unwrap();
    let parameters = [forward.factors, forward.biases].concat();
    let slopes = gradients(&mut graph, loss, &parameters).unwrap();
    let one = graph.constant(1.0);
    // Every reader of a parameter leads to the loss: what depends on the loss may be written over it.
    let nothing = graph.sub(loss, loss).unwrap();
    let mut updates = Vec::new();
    let mut names = Vec::new();
    for (parameter, slope) in parameters.iter().zip(slopes) {
        let name = graph.label(*parameter);
        let shape = graph.shape(*parameter).clone();
        let keeper = graph.state(&gradient_name(&name), shape).unwrap();
        let unchanged = graph.add(*parameter, nothing).unwrap();
        updates.extend([(*parameter, unchanged), (keeper, graph.mul(slope, one).unwrap())]);
        names.push(name);
    }
    (Step { graph, loss, updates }, names)
}

fn gradient_name(parameter: &str) -> String {
    format!("gradient of {parameter}")
}

/// The ratings of one step.
struct Batch {
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
}

impl Batch {
    fn feeds(&self) -> Vec<Feed<'_>> {
        vec![indices(USER, &self.users), indices(ITEM, &self.items), floats(RATING, &self.ratings)]
    }
}

fn cases() -> Vec<Value> {
    let text = fs::read_to_string(repository_file("models/dot/reference.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 3);
    cases
}

fn batches(case: &Value) -> Vec<Batch> {
    let ids = |key: &str, number: usize| numbers(&case[key][number]).into_iter().map(|id| id as i32).collect();
    let n_batches = case["rating"].as_array().unwrap().len();
    assert_eq!(n_batches, 50);
    (0..n_batches)
        .map(|number| Batch {
            users: ids("user", number),
            items: ids("item", number),
            ratings: singles(&case["rating"][number]),
        })
        .collect()
}

fn model(case: &Value) -> Dot {
    let size = |key: &str| case[key].as_u64().unwrap() as usize;
    Dot {
        n_users: size("n_users"),
        n_items: size("n_items"),
        n_factors: size("n_factors"),
        bias: case["bias"].as_bool().unwrap(),
        mu: case["mu"].as_f64().unwrap() as f32,
        range: case["range"].as_array().map(|_| {
            let bounds = singles(&case["range"]);
            (bounds[0], bounds[1])
        }),
    }
}

fn optimiser(case: &Value) -> Optimiser {
    let number = |key: &str| case[key].as_f64().unwrap();
    let rule = Rule::AdamW { beta2: number("beta2"), eps: number("eps") };
    Optimiser { rule, weight_decay: number("weight_decay") }
}

fn schedule(case: &Value) -> Schedule {
    match case["schedule"].as_str().unwrap() {
        "one_cycle" => Schedule::OneCycle,
        "constant" => Schedule::Constant,
        other => panic!("schedule {other}"),
    }
}

fn rate(case: &Value) -> f64 {
    case["learning_rate"].as_f64().unwrap()
}

fn beta1(case: &Value) -> f64 {
    case["beta1"].as_f64().unwrap()
}
