//! Every optimiser on every engine: against PyTorch's numbers, in steps that do nothing, and with gradients that accumulate.

use std::fs;

use cofi::graph::loss::squared_errors;
use cofi::graph::optimiser::{KEEP, Optimiser, Reach, Rule, accumulate, accumulators};
use cofi::graph::{Dim, Element, Feed, Graph, NodeId, Program, Shape, Step, gradients};
use cofi::rng::Rng;
use serde_json::Value;

use crate::support::{
    assert_close, draws, engines, floats, indices, numbers, repository_file, scalars, singles, tensors,
};

/// Relative to the largest magnitude of a tensor.
const TOLERANCE: f32 = 1e-5;

#[test]
fn a_few_steps_give_the_tensors_of_pytorch() {
    for case in cases() {
        let optimiser = optimiser(&case);
        let step = fed_step(&optimiser);
        let mut initial = tensors(&case["initial"]);
        initial.extend(optimiser.initial(&initial));
        let expected = tensors(&case["final"]);
        assert_eq!(expected.len(), initial.len());
        for (engine_name, engine) in engines() {
            let mut program = engine.compile(&step, &initial, 1).unwrap();
            for (number, rate) in (1..).zip(numbers(&case["learning_rates"])) {
                let values = optimiser.scalars(number, rate, case["beta1"].as_f64().unwrap());
                run(program.as_mut(), &gradients_of(&case, number as usize - 1), &values);
            }
            for (name, values) in &expected {
                let label = format!("{engine_name}, {}: {name}", case["name"]);
                assert_close(&label, &program.state(name).unwrap(), values, TOLERANCE, 0.0);
            }
        }
    }
}

#[test]
fn an_idle_step_changes_no_bit_and_the_next_goes_on_as_if_it_had_not_been() {
    for case in cases() {
        let optimiser = optimiser(&case);
        let step = fed_step(&optimiser);
        let mut initial = tensors(&case["initial"]);
        initial.extend(optimiser.initial(&initial));
        for (engine_name, engine) in engines() {
            let mut programs = [(); 2].map(|()| engine.compile(&step, &initial, 1).unwrap());
            let states = |program: &dyn Program| -> Vec<Vec<u32>> {
                let bits = |name: &str| program.state(name).unwrap().into_iter().map(f32::to_bits).collect();
                initial.iter().map(|(name, _)| bits(name)).collect()
            };
            for number in 0..4 {
                let values = optimiser.scalars(number as u64 + 1, 0.02, 0.9);
                for program in &mut programs {
                    run(program.as_mut(), &gradients_of(&case, number), &values);
                }
                let before = states(programs[0].as_ref());
                run(programs[0].as_mut(), &gradients_of(&case, number + 1), &optimiser.idle_scalars());
                let label = format!("{engine_name}, {}, step {number}", case["name"]);
                assert!(states(programs[0].as_ref()) == before, "{label}: changed while idle");
                assert!(states(programs[1].as_ref()) == before, "{label}: remembers that it was idle");
            }
        }
    }
}

#[test]
fn no_weight_decay_costs_no_pass() {
    for rule in rules() {
        let nodes =
            |weight_decay| fed_step(&Optimiser { rule, weight_decay, reach: Reach::EveryRow }).graph.nodes().len();
        assert!(nodes(0.1) > nodes(0.0), "{rule:?}");
        let names = |weight_decay| {
            let scalars = Optimiser { rule, weight_decay, reach: Reach::EveryRow }.scalars(1, 0.1, 0.9);
            scalars.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(0.1), names(0.0));
        let idle = Optimiser { rule, weight_decay: 0.1, reach: Reach::EveryRow }.idle_scalars();
        assert_eq!(names(0.1), idle.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

#[test]
fn an_optimiser_wants_states_and_gradients_of_their_shapes() {
    for rule in rules() {
        let mut graph = Graph::new();
        let optimiser = Optimiser { rule, weight_decay: 0.1, reach: Reach::EveryRow };
        let state = graph.state("p", Shape::vector(Dim::Fixed(2))).unwrap();
        let root = graph.sqrt(state).unwrap();
        let scalar = graph.constant(1.0);
        let error = optimiser.attach(&mut graph, &[(root, root)], &[]).unwrap_err().to_string();
        assert_eq!(error, "graph: an optimiser updates states, not %1 (sqrt)");
        let error = optimiser.attach(&mut graph, &[], &[(state, scalar)]).unwrap_err().to_string();
        assert_eq!(error, "graph: the gradient of p has shape [], not [2]");
        assert!(accumulate(&mut graph.clone(), &[(state, scalar)]).is_err());
        optimiser.attach(&mut graph, &[(state, root)], &[]).unwrap();
        assert!(optimiser.attach(&mut graph, &[(state, root)], &[]).is_err());
    }
}

/// Three large batches of 32 ratings, and the same in four parts of eight.
#[test]
fn four_parts_move_as_one_large_batch() {
    const LARGE: usize = 32;
    for rule in rules() {
        let optimiser = Optimiser { rule, weight_decay: 0.1, reach: Reach::EveryRow };
        let (whole, parts) = (regression(&optimiser, false), regression(&optimiser, true));
        for (engine_name, engine) in engines() {
            let mut rng = Rng::new(3);
            let parameters = vec![("table".to_owned(), draws(&mut rng, 20)), ("bias".to_owned(), draws(&mut rng, 5))];
            let initial = [parameters.clone(), optimiser.initial(&parameters)].concat();
            let with_sums = [initial.clone(), accumulators(&parameters)].concat();
            let mut whole = engine.compile(&whole, &initial, LARGE).unwrap();
            let mut parts = engine.compile(&parts, &with_sums, LARGE / 4).unwrap();
            for number in 1..=3 {
                let rows: Vec<i32> = (0..LARGE).map(|_| rng.below(5) as i32).collect();
                let targets = draws(&mut rng, LARGE);
                let share = [1.0 / LARGE as f32];
                let values = optimiser.scalars(number, 0.05, 0.9);
                let feeds = |range: std::ops::Range<usize>| {
                    [indices("rows", &rows[range.clone()]), floats("target", &targets[range]), floats("share", &share)]
                };
                let moving: Vec<Feed<'_>> = scalars(&values).collect();
                let loss = whole.step(&[&feeds(0..LARGE)[..], &moving].concat()).unwrap();
                let idle = optimiser.idle_scalars();
                let mut sum = 0.0;
                for part in 0..4 {
                    let (keep, values) = if part == 3 { ([0.0], &values) } else { ([1.0], &idle) };
                    let mut feeds = feeds(part * LARGE / 4..(part + 1) * LARGE / 4).to_vec();
                    feeds.extend(scalars(values).chain([floats(KEEP, &keep)]));
                    sum += parts.step(&feeds).unwrap();
                }
                let label = format!("{engine_name}, {rule:?}, batch {number}");
                assert_close(&format!("{label}: loss"), &[sum], &[loss], TOLERANCE, 0.0);
                for (name, _) in &initial {
                    let (found, expected) = (parts.state(name).unwrap(), whole.state(name).unwrap());
                    assert_close(&format!("{label}: {name}"), &found, &expected, TOLERANCE, 0.0);
                }
                for (name, zeros) in accumulators(&parameters) {
                    assert_eq!(parts.state(&name).unwrap(), zeros, "{label}: {name}");
                }
            }
        }
    }
}

/// `sum over rows r of (sum_k table[r, k] + bias[r] - target)^2 share`, learned; in parts or at once.
fn regression(optimiser: &Optimiser, in_parts: bool) -> Step {
    let mut graph = Graph::new();
    let g = &mut graph;
    let rows = g.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let target = g.input("target", Shape::vector(Dim::Batch), Element::Float).unwrap();
    let share = g.input("share", Shape::scalar(), Element::Float).unwrap();
    let table = g.state("table", Shape::matrix(Dim::Fixed(5), 4)).unwrap();
    let bias = g.state("bias", Shape::vector(Dim::Fixed(5))).unwrap();
    let factors = g.gather(table, rows).unwrap();
    let squashed = g.sigmoid(factors).unwrap();
    let sums = g.sum_columns(squashed).unwrap();
    let biases = g.gather(bias, rows).unwrap();
    let prediction = g.add(sums, biases).unwrap();
    let errors = squared_errors(g, prediction, target).unwrap();
    let sum = g.sum_all(errors).unwrap();
    let loss = g.mul(sum, share).unwrap();
    let slopes = gradients(g, loss, &[table, bias]).unwrap();
    let mut pairs: Vec<_> = [table, bias].into_iter().zip(slopes).collect();
    let mut updates = Vec::new();
    if in_parts {
        let accumulated = accumulate(g, &pairs).unwrap();
        (pairs, updates) = (accumulated.slopes, accumulated.updates);
    }
    updates.extend(optimiser.attach(g, &pairs[..1], &pairs[1..]).unwrap());
    let step = Step { graph, loss, updates };
    step.check_in_place().unwrap();
    step
}

/// A step whose gradients are fed.
fn fed_step(optimiser: &Optimiser) -> Step {
    let mut graph = Graph::new();
    let mut parameter = |name: &str, shape: Shape| -> (NodeId, NodeId) {
        let gradient = graph.input(&gradient_name(name), shape.clone(), Element::Float).unwrap();
        (graph.state(name, shape).unwrap(), gradient)
    };
    let decayed = parameter("decayed", Shape::matrix(Dim::Fixed(3), 2));
    let undecayed = parameter("undecayed", Shape::vector(Dim::Fixed(4)));
    let loss = graph.sum_all(decayed.1).unwrap();
    let updates = optimiser.attach(&mut graph, &[decayed], &[undecayed]).unwrap();
    Step { graph, loss, updates }
}

fn run(program: &mut dyn Program, gradients: &[(String, Vec<f32>)], values: &[(&'static str, f32)]) {
    let feeds: Vec<Feed<'_>> =
        gradients.iter().map(|(name, values)| floats(name, values)).chain(scalars(values)).collect();
    program.step(&feeds).unwrap();
}

fn gradients_of(case: &Value, step: usize) -> Vec<(String, Vec<f32>)> {
    let by_name = case["gradients"][step].as_object().unwrap();
    by_name.iter().map(|(name, list)| (gradient_name(name), singles(list))).collect()
}

fn gradient_name(parameter: &str) -> String {
    format!("gradient of {parameter}")
}

fn cases() -> Vec<Value> {
    let text = fs::read_to_string(repository_file("models/optimisers/reference.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 6);
    cases
}

fn rules() -> [Rule; 3] {
    [Rule::AdamW { beta2: 0.99, eps: 1e-5 }, Rule::Adam { beta2: 0.99, eps: 1e-5 }, Rule::Sgd]
}

fn optimiser(case: &Value) -> Optimiser {
    let number = |key: &str| case[key].as_f64().unwrap();
    let (beta2, eps) = (number("beta2"), number("eps"));
    let rule = match case["rule"].as_str().unwrap() {
        "adamw" => Rule::AdamW { beta2, eps },
        "adam" => Rule::Adam { beta2, eps },
        "sgd" => Rule::Sgd,
        other => panic!("rule {other}"),
    };
    Optimiser { rule, weight_decay: number("weight_decay"), reach: Reach::EveryRow }
}
