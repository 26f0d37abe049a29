//! ONNX Runtime against the interpreter and against itself, and the devices it offers.
//!
//! The library is the one that `ORT_DYLIB_PATH` names. Without it each test says by name that it was skipped, and fails
//! where `COFI_REQUIRE_ONNXRUNTIME` is 1.

mod loading;
mod threads;

use std::io::Write;
use std::{env, io};

use cofi::graph::optimiser::{Clock, Optimiser, Reach, Rule};
use cofi::graph::{Dim, Element, Engine, Feed, Graph, Interpreter, NodeId, Program, Shape, Step};
use cofi::model::{Architecture, Biases, ITEM, Init, Model, Objective, RATING, StepOptions, USER, training_step};
use cofi::rng::Rng;
use cofi::runtime::{
    Device, DeviceRequest, Driver, Library, OnnxEngine, Operators, Wanted, check_placement, usable_devices,
};

use crate::support::{assert_close, draws, floats, indices, scalars};

/// The library of the tests; none, said on stderr, where there is none.
pub fn library(test: &str) -> Option<&'static Library> {
    if env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty()) {
        return Some(Library::load(&Wanted::default()).unwrap());
    }
    let required = env::var_os("COFI_REQUIRE_ONNXRUNTIME").is_some_and(|value| value == "1");
    assert!(!required, "{test} needs ORT_DYLIB_PATH, the path of an ONNX Runtime library");
    // Past the harness, which shows what a passing test prints to nobody, and in one piece.
    let line = format!("skipped {test}: ORT_DYLIB_PATH names no ONNX Runtime library\n");
    let _ = io::stderr().write_all(line.as_bytes());
    None
}

/// An engine of stock operators on the CPU.
pub fn engine(library: &'static Library, threads: usize) -> OnnxEngine {
    OnnxEngine::new(library, Device::Cpu, threads, Operators::Stock).unwrap()
}

/// An engine on the CPU that runs what it can on a fused operator.
pub fn fusing_engine(library: &'static Library, threads: usize) -> OnnxEngine {
    OnnxEngine::new(library, Device::Cpu, threads, Operators::Auto).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A step over every operation, with random sizes and operands. `total` depends on all that reads a state, and every
/// state's next value on `total`, so the states may be overwritten.
fn random_step(rng: &mut Rng) -> (Step, Vec<(String, Vec<f32>)>, usize, usize) {
    let (n_rows, n_columns) = (2 + rng.below(9) as usize, 1 + rng.below(6) as usize);
    let mut graph = Graph::new();
    let g = &mut graph;
    let rows = g.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let x = g.input("x", Shape::vector(Dim::Batch), Element::Float).unwrap();
    let rate = g.input("rate", Shape::scalar(), Element::Float).unwrap();
    let table = g.state("table", Shape::matrix(Dim::Fixed(n_rows), n_columns)).unwrap();
    let bias = g.state("bias", Shape::vector(Dim::Fixed(n_rows))).unwrap();
    let one = g.constant(1.0);

    let gathered = g.gather(table, rows).unwrap();
    let repeated = g.repeat_columns(x, n_columns).unwrap();
    let gathered_bias = g.gather(bias, rows).unwrap();
    let (mut matrices, mut vectors) = (vec![gathered, repeated], vec![x, gathered_bias]);
    for _ in 0..12 {
        let pool = if rng.below(2) == 0 { &mut matrices } else { &mut vectors };
        let mut pick = || pool[rng.below(pool.len() as u32) as usize];
        let (a, b) = (pick(), pick());
        let squashed = g.sigmoid(b).unwrap();
        let positive = g.add(one, squashed).unwrap();
        let is_matrix = g.shape(a).rank() == 2;
        let next = match rng.below(12) {
            0 => g.add(a, b),
            1 => g.sub(a, rate),
            2 => g.mul(a, positive),
            3 => g.div(a, positive),
            4 => g.sqrt(positive),
            5 => g.relu(a),
            6 => g.exp(squashed),
            7 if is_matrix => g.log_softmax(a),
            8 if is_matrix => {
                // Of `B` and of `K` terms; the middle is `[K, K]`.
                let gram = g.matmul(squashed, squashed, true, false).unwrap();
                let whole = g.matmul(a, gram, false, rng.below(2) == 0).unwrap();
                g.sigmoid(whole)
            }
            9 if is_matrix => {
                let sums = g.sum_rows(squashed).unwrap();
                g.repeat_rows(sums, a)
            }
            10 if is_matrix => {
                let chosen = g.one_hot(rows, n_rows).unwrap();
                g.matmul(chosen, table, false, false)
            }
            _ => g.sub(a, b),
        };
        pool.push(next.unwrap());
    }
    let last = *matrices.last().unwrap();
    let sums = g.sum_columns(last).unwrap();
    let scattered = g.scatter_add(rows, last, n_rows).unwrap();
    let scattered_bias = g.scatter_add(rows, sums, n_rows).unwrap();
    let mut total = g.count(scattered);
    for node in matrices.into_iter().chain(vectors).chain([sums, scattered, scattered_bias]) {
        let squashed = g.sigmoid(node).unwrap();
        let mean = g.mean(squashed).unwrap();
        total = g.add(total, mean).unwrap();
    }
    let mut next = |state: NodeId, change: NodeId| {
        let share = g.sigmoid(change).unwrap();
        let spread = g.broadcast(total, state).unwrap();
        let step = g.div(share, spread).unwrap();
        let step = g.mul(step, rate).unwrap();
        g.sub(state, step).unwrap()
    };
    let updates = vec![(table, next(table, scattered)), (bias, next(bias, scattered_bias))];
    let initial = vec![("table".to_owned(), draws(rng, n_rows * n_columns)), ("bias".to_owned(), draws(rng, n_rows))];
    (Step { graph, loss: total, updates }, initial, n_rows, n_columns)
}

#[test]
fn random_steps_agree_with_the_interpreter() {
    let Some(library) = library("random_steps_agree_with_the_interpreter") else { return };
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let (step, initial, n_rows, _) = random_step(&mut rng);
        let mut expected = Interpreter.compile(&step, &initial, 7).unwrap();
        let mut found = engine(library, 1 + seed as usize % 3).compile(&step, &initial, 7).unwrap();
        for batch in [1 + rng.below(9) as usize, 7, 7, 1] {
            let rows: Vec<i32> = (0..batch).map(|_| rng.below(n_rows as u32) as i32).collect();
            let (x, rate) = (draws(&mut rng, batch), [0.1]);
            let feeds = [floats("x", &x), indices("rows", &rows), floats("rate", &rate)];
            let losses = [found.step(&feeds).unwrap(), expected.step(&feeds).unwrap()];
            assert_close(&format!("seed {seed}: loss"), &losses[..1], &losses[1..], 1e-5, 1.0);
        }
        for name in ["table", "bias"] {
            let (found, expected) = (found.state(name).unwrap(), expected.state(name).unwrap());
            assert_close(&format!("seed {seed}: {name}"), &found, &expected, 1e-5, 1.0);
        }
    }
}

fn dot(n_users: usize, n_items: usize, n_factors: usize) -> Model {
    Model {
        n_users,
        n_items,
        user_width: n_factors,
        item_width: n_factors,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.3,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    }
}

/// A training of 50 steps: half of every batch is one user, and the last batch of each ten is shorter.
fn train(engine: &dyn Engine, dot: &Model, batch: usize, reach: Reach) -> (Vec<f32>, Box<dyn Program>, Vec<String>) {
    let adamw = Optimiser { rule: Rule::AdamW { beta2: 0.99, eps: 1e-5 }, weight_decay: 0.1, reach };
    let step = training_step(dot, &adamw, StepOptions::default()).unwrap();
    let mut initial = dot.initial(&Rng::new(5), Init::TruncatedNormal(0.01));
    initial.extend(adamw.initial(&initial));
    initial.extend(adamw.clocks(&dot.tables()));
    let mut clock = Clock::default();
    let mut program = engine.compile(&step, &initial, batch).unwrap();
    let mut rng = Rng::new(6);
    let losses = (1..=50).map(|number| {
        let batch = if number % 10 == 0 { batch / 3 + 1 } else { batch };
        let mut ids = |n: usize| (0..batch).map(|_| rng.below(n as u32) as i32).collect::<Vec<_>>();
        let (mut users, items, ratings) = (ids(dot.n_users), ids(dot.n_items), ids(5));
        users.iter_mut().step_by(2).for_each(|user| *user = 1);
        let ratings: Vec<f32> = ratings.into_iter().map(|rating| rating as f32 + 1.0).collect();
        let numbers = adamw.advance(&mut clock, 5e-3, 0.9);
        let batch = [indices(USER, &users), indices(ITEM, &items), floats(RATING, &ratings)];
        let feeds: Vec<Feed<'_>> = scalars(&numbers).chain(batch).collect();
        program.step(&feeds).unwrap()
    });
    let losses = losses.collect();
    (losses, program, initial.into_iter().map(|(name, _)| name).collect())
}

#[test]
fn fifty_steps_agree_with_the_interpreter() {
    let Some(library) = library("fifty_steps_agree_with_the_interpreter") else { return };
    let (both, neither) = (Biases::Both, Biases::Neither);
    for (biases, range) in
        [(both, Some((0.5, 5.5))), (Biases::Users, None), (neither, Some((0.0, 5.5))), (neither, None)]
    {
        let dot = Model { biases, range, ..dot(30, 40, 7) };
        for (reach, batch) in [(Reach::EveryRow, 64), (Reach::BatchRows, 16)] {
            let (losses, expected, names) = train(&Interpreter, &dot, batch, reach);
            for threads in [1, 4] {
                let (found_losses, found, _) = train(&engine(library, threads), &dot, batch, reach);
                assert_close("loss", &found_losses, &losses, 1e-4, 1e-6);
                for name in &names {
                    assert_close(name, &found.state(name).unwrap(), &expected.state(name).unwrap(), 1e-4, 1e-6);
                }
            }
        }
    }
}

/// Big enough that an engine uses four threads.
#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let Some(library) = library("every_number_of_threads_gives_the_same_bits") else { return };
    let dot = dot(300, 40_000, 50);
    for reach in [Reach::EveryRow, Reach::BatchRows] {
        let (losses, expected, names) = train(&engine(library, 1), &dot, 600, reach);
        for threads in [2, 4] {
            let (found_losses, found, _) = train(&engine(library, threads), &dot, 600, reach);
            assert_eq!(bits(&found_losses), bits(&losses), "losses with {threads} threads, {reach:?}");
            for name in &names {
                let same = bits(&found.state(name).unwrap()) == bits(&expected.state(name).unwrap());
                assert!(same, "{name} differs with {threads} threads, {reach:?}");
            }
        }
    }
}

/// Whole numbers add up exactly, so every lost or doubled addition shows.
#[test]
fn a_frequent_id_adds_up_at_four_threads() {
    let Some(library) = library("a_frequent_id_adds_up_at_four_threads") else { return };
    let (n_rows, n_columns, batch) = (40_000, 50, 2_000);
    let mut graph = Graph::new();
    let rows = graph.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let values = graph.input("values", Shape::matrix(Dim::Batch, n_columns), Element::Float).unwrap();
    let table = graph.state("table", Shape::matrix(Dim::Fixed(n_rows), n_columns)).unwrap();
    let added = graph.scatter_add(rows, values, n_rows).unwrap();
    let next = graph.add(table, added).unwrap();
    let loss = graph.sum_all(values).unwrap();
    let step = Step { graph, loss, updates: vec![(table, next)] };
    let mut expected = vec![0.0; n_rows * n_columns];
    let mut program = engine(library, 4).compile(&step, &[("table".to_owned(), expected.clone())], batch).unwrap();
    let mut rng = Rng::new(7);
    for _ in 0..30 {
        let frequent = |id| if id % 2 == 0 { 7 } else { id as i32 };
        let ids: Vec<i32> = (0..batch).map(|_| frequent(rng.below(n_rows as u32))).collect();
        let numbers: Vec<f32> = (0..batch * n_columns).map(|_| rng.below(9) as f32).collect();
        for (id, row) in ids.iter().zip(numbers.chunks(n_columns)) {
            let start = *id as usize * n_columns;
            expected[start..start + n_columns].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        program.step(&[indices("rows", &ids), floats("values", &numbers)]).unwrap();
    }
    assert_eq!(program.state("table").unwrap(), expected);
}

/// On the calling thread and on those of the session; the calling thread has its own mode back afterwards.
#[test]
fn subnormals_become_zero_inside_a_step_only() {
    let Some(library) = library("subnormals_become_zero_inside_a_step_only") else { return };
    let n_rows = 2_000_000;
    let mut graph = Graph::new();
    let state = graph.state("x", Shape::vector(Dim::Fixed(n_rows))).unwrap();
    let half = graph.constant(0.5);
    let next = graph.mul(state, half).unwrap();
    let loss = graph.sum_all(next).unwrap();
    let step = Step { graph, loss, updates: vec![(state, next)] };
    let mut program = engine(library, 4).compile(&step, &[("x".to_owned(), vec![2e-38; n_rows])], 1).unwrap();
    program.step(&[]).unwrap();
    assert!(program.state("x").unwrap().iter().all(|value| *value == 0.0));
    let subnormal = std::hint::black_box(2e-38f32) * std::hint::black_box(0.5);
    assert!(subnormal > 0.0, "the calling thread flushes subnormals");
}

#[test]
fn devices_are_read_by_name() {
    let read = |text: &str| text.parse::<DeviceRequest>();
    assert_eq!(read("auto").unwrap(), DeviceRequest::Auto);
    assert_eq!(read("CPU").unwrap(), DeviceRequest::Cpu);
    assert_eq!(read("cuda").unwrap(), DeviceRequest::Cuda(None));
    assert_eq!(read("cuda:12").unwrap(), DeviceRequest::Cuda(Some(12)));
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:one", "cuda:99999999999", "cpu:0"] {
        let error = read(text).unwrap_err().to_string();
        let expected = format!("device = '{text}': expected 'auto', 'cpu', 'cuda' or a numbered GPU ('cuda:1')");
        assert_eq!(error, expected);
    }
}

#[test]
fn a_device_asked_for_by_name_works_or_fails_with_the_reason() {
    let Some(library) = library("a_device_asked_for_by_name_works_or_fails_with_the_reason") else { return };
    assert_eq!(DeviceRequest::Cpu.resolve(library).unwrap(), Device::Cpu);
    let devices = usable_devices(library, &Driver::ask());
    assert_eq!(devices.iter().map(|(device, _)| device.to_string()).collect::<Vec<_>>(), ["cpu", "cuda:0"]);
    check_placement(library, Device::Cpu).unwrap();
    assert!(devices[0].1.is_ok());
    if devices[1].1.is_ok() {
        assert_eq!(DeviceRequest::Auto.resolve(library).unwrap(), Device::Cuda { index: 0 });
        return;
    }
    assert_eq!(DeviceRequest::Auto.resolve(library).unwrap(), Device::Cpu);
    let error = DeviceRequest::Cuda(Some(1)).resolve(library).unwrap_err().to_string();
    assert!(error.starts_with("device = 'cuda:1': missing: "), "{error}");
    let path = library.path().display().to_string();
    for part in
        [&path, "is for the CPU", "onnxruntime-gpu", "SET cofi_onnxruntime = '", "ORT_DYLIB_PATH", "device := 'cpu'"]
    {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn bad_feeds_and_states_are_errors() {
    let Some(library) = library("bad_feeds_and_states_are_errors") else { return };
    let (step, initial, ..) = random_step(&mut Rng::new(1));
    assert!(OnnxEngine::new(library, Device::Cpu, 0, Operators::Stock).is_err());
    assert!(engine(library, 1).compile(&step, &initial[..1], 1).is_err());
    let mut program = engine(library, 1).compile(&step, &initial, 1).unwrap();
    assert!(program.state("nothing").is_err());
    assert!(program.step(&[]).is_err());
    let (x, rate) = ([0.5], [0.1]);
    assert!(program.step(&[floats("x", &x), indices("rows", &[0, 1]), floats("rate", &rate)]).is_err());
    // Who calls must not do this, but if it happens it has to come back as an error.
    let error = program.step(&[floats("x", &x), indices("rows", &[1000]), floats("rate", &rate)]).unwrap_err();
    assert!(error.to_string().starts_with("onnx runtime could not run on cpu: "), "{error}");
}
