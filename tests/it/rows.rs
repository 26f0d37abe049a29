//! The updates of the rows of a batch on every engine: against a reference that walks through what a row missed, against the updates
//! of every row, and what they leave alone.

use std::fs;

use cofi::graph::optimiser::{Clock, Lookup, Optimiser, Reach, RowMemory, RowTable, RowUpdates, Rule};
use cofi::graph::{Dim, Element, Engine, Feed, Graph, Program, Shape, Step};
use cofi::model::{
    Architecture, Biases, CLASS, ITEM, Init, Mlp, Model, Objective, RATING, StepOptions, USER, training_step,
};
use cofi::rng::Rng;
use cofi::train::Schedule;
use serde_json::Value;

use crate::support::{assert_close, engines, floats, indices, numbers, repository_file, scalars, singles, tensors};

const ADAMW: Rule = Rule::AdamW { beta2: 0.99, eps: 1e-5 };
const ADAM: Rule = Rule::Adam { beta2: 0.99, eps: 1e-5 };

#[test]
fn fifty_steps_give_the_tensors_of_the_reference() {
    let text = fs::read_to_string(repository_file("models/rows/reference.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let number = |key: &str| case[key].as_f64().unwrap();
        let optimiser = optimiser_of(&case);
        let model = model_of(&case);
        let schedule = match case["schedule"].as_str().unwrap() {
            "one_cycle" => Schedule::OneCycle,
            _ => Schedule::Constant,
        };
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, {}", case["name"]);
            let mut clock = Clock::default();
            let mut program = begun(engine.as_ref(), &model, &optimiser, tensors(&case["initial"]));
            let mut losses = Vec::new();
            for step in 0..50 {
                let settings = schedule.at(step as u64, 50, number("learning_rate"), (number("beta1"), 0.0));
                let ids = |key: &str| numbers(&case[key][step]).into_iter().map(|id| id as i32).collect::<Vec<i32>>();
                let (users, items, ratings) = (ids("user"), ids("item"), singles(&case["rating"][step]));
                let values = optimiser.advance(&mut clock, settings.learning_rate, settings.beta1);
                let batch = [indices(USER, &users), indices(ITEM, &items), floats(RATING, &ratings)];
                losses.push(program.step(&[&batch[..], &scalars(&values).collect::<Vec<_>>()].concat()).unwrap());
            }
            let tolerance = 1e-4;
            assert_close(&format!("{label}: losses"), &losses, &singles(&case["losses"]), tolerance, 0.0);
            for (name, expected) in tensors(&case["final"]) {
                assert_close(&format!("{label}: {name}"), &program.state(&name).unwrap(), &expected, tolerance, 0.0);
            }
            for (name, expected) in tensors(&case["settled"]) {
                let table = model.tables().into_iter().find(|table| table.name == name).unwrap();
                let found = optimiser.settled(&clock, &table, |name| program.state(name)).unwrap();
                assert_close(&format!("{label}: settled {name}"), &found, &expected, tolerance, 0.0);
            }
        }
    }
}

/// Then no row ever misses a step.
#[test]
fn with_every_row_in_every_batch_they_are_the_updates_of_every_row() {
    for (what, model) in models() {
        for (rule, weight_decay) in [(ADAMW, 0.2), (ADAMW, 0.0), (ADAM, 0.0), (Rule::Sgd, 0.0)] {
            let dense = Optimiser { rule, weight_decay, reach: Reach::EveryRow };
            let sparse = Optimiser { reach: Reach::BatchRows, ..dense };
            for (engine_name, engine) in engines() {
                let initial = model.initial(&Rng::new(7), Init::Normal(0.3));
                let names: Vec<String> =
                    dense.initial(&initial).into_iter().chain(initial.clone()).map(|n| n.0).collect();
                let [mut expected, mut found] =
                    [dense, sparse].map(|optimiser| begun(engine.as_ref(), &model, &optimiser, initial.clone()));
                let (mut dense_clock, mut clock) = (Clock::default(), Clock::default());
                let mut rng = Rng::new(8);
                for step in 0..20 {
                    // All of the 6 users and the 5 items, each several times.
                    let batch = Batch::new(&model, &mut rng, 30, |n, row| row % n);
                    let settings = Schedule::OneCycle.at(step, 20, 0.05, (0.9, 0.99));
                    let both = [(&mut expected, &dense, &mut dense_clock), (&mut found, &sparse, &mut clock)];
                    let [expected, found] = both.map(|(program, optimiser, clock)| {
                        let values = optimiser.advance(clock, settings.learning_rate, settings.beta1);
                        batch.run(program.as_mut(), &values)
                    });
                    let label = format!("{engine_name}, {what}, {rule:?} {weight_decay}, step {step}");
                    assert_close(&label, &[found], &[expected], 1e-5, 0.0);
                }
                for name in names {
                    let label = format!("{engine_name}, {what}, {rule:?} {weight_decay}: {name}");
                    assert_close(&label, &found.state(&name).unwrap(), &expected.state(&name).unwrap(), 1e-5, 1e-3);
                }
            }
        }
    }
}

#[test]
fn rows_outside_the_batch_keep_every_bit() {
    for (what, model) in models() {
        let optimiser = Optimiser { rule: ADAMW, weight_decay: 0.2, reach: Reach::BatchRows };
        for (engine_name, engine) in engines() {
            let initial = model.initial(&Rng::new(7), Init::Normal(0.3));
            let mut program = begun(engine.as_ref(), &model, &optimiser, initial);
            let (mut clock, mut rng) = (Clock::default(), Rng::new(8));
            for step in 0..20_usize {
                let bits = |program: &dyn Program| -> Vec<(String, Vec<Vec<u32>>)> {
                    model.tables().iter().flat_map(|table| row_bits(program, table)).collect()
                };
                let before = bits(program.as_ref());
                // Rows 0 and 2, then 1 and 3; never row 4 and user 5.
                let batch = Batch::new(&model, &mut rng, 4, |_, row| step % 2 + 2 * (row % 2));
                let values = optimiser.advance(&mut clock, 0.02, 0.9);
                batch.run(program.as_mut(), &values);
                for ((name, rows), (_, before)) in bits(program.as_ref()).into_iter().zip(before) {
                    let there = if name.starts_with("user") { &batch.users } else { &batch.items };
                    for (row, (now, before)) in rows.iter().zip(&before).enumerate() {
                        let label = format!("{engine_name}, {what}, step {step}: row {row} of {name}");
                        assert_eq!(now != before, there.contains(&(row as i32)), "{label}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_has_no_closed_form_is_refused() {
    let model = &models()[0].1;
    let rows = |rule, weight_decay| Optimiser { rule, weight_decay, reach: Reach::BatchRows };
    let message =
        |optimiser: Optimiser, options: StepOptions| training_step(model, &optimiser, options).unwrap_err().to_string();
    let plain = StepOptions::default();
    for rule in [ADAM, Rule::Sgd] {
        assert_eq!(
            message(rows(rule, 0.1), plain),
            "graph: a weight decay inside the gradient has no closed form for rows that missed steps; move every row"
        );
    }
    let l2 = message(rows(ADAMW, 0.1), StepOptions { l2: 0.1, ..plain });
    assert!(l2.contains("a penalty reaches every row; move every row"), "{l2}");
    let parts = message(rows(ADAMW, 0.1), StepOptions { accumulates: true, ..plain });
    assert!(parts.contains("gradients that are accumulated"), "{parts}");

    for (rule, weight_decay, highest_beta1, is_closed) in [
        (ADAMW, 0.2, 0.95, true),
        (ADAMW, 0.2, 0.99, true),
        // 0.999 sqrt(0.99) is 0.99399.
        (ADAMW, 0.2, 0.995, false),
        (Rule::AdamW { beta2: 0.0, eps: 1e-5 }, 0.0, 0.0, true),
        (Rule::AdamW { beta2: 0.9, eps: 1e-5 }, 0.0, 0.95, false),
        (ADAM, 0.0, 0.95, true),
        (ADAM, 0.1, 0.95, false),
        (Rule::Sgd, 0.0, 0.999, true),
        (Rule::Sgd, 0.0, 0.9999, false),
        (Rule::Sgd, 0.1, 0.9, false),
    ] {
        let found = rows(rule, weight_decay).has_closed_form(highest_beta1);
        assert_eq!(found, is_closed, "{rule:?} {weight_decay} {highest_beta1}");
    }
}

#[test]
fn a_table_is_looked_up_once_and_decays_as_it_was_looked_up() {
    let mut graph = Graph::new();
    let optimiser = Optimiser { rule: ADAMW, weight_decay: 0.1, reach: Reach::BatchRows };
    let table = graph.state("table", Shape::matrix(Dim::Fixed(3), 2)).unwrap();
    let rows = graph.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let mut updates = RowUpdates::begin(&optimiser, &mut graph).unwrap();
    assert!(RowUpdates::begin(&optimiser, &mut graph).is_err());
    let lookup = Lookup { table, rows, decays: true };
    let caught_up = updates.catch_up(&mut graph, lookup).unwrap();
    assert!(updates.catch_up(&mut graph, lookup).is_err());
    assert_eq!((updates.read(table), updates.read(rows)), (caught_up, rows));
    let error = updates.attach(&mut graph, &[], &[(table, caught_up)]).unwrap_err().to_string();
    assert_eq!(error, "graph: table decays in its look-up or its update, not in both");
    assert_eq!(updates.attach(&mut graph, &[(table, caught_up)], &[]).unwrap().len(), 5);
}

/// Numbers that no schedule has: the closed form stays a number where its terms would not be.
#[test]
fn extreme_settings_give_numbers() {
    let (m, v, clock, log_decay) = ([0.5, -0.5], [0.25, 0.0], [1.0], [0.0]);
    for rule in [Rule::AdamW { beta2: 0.81, eps: 1e-5 }, Rule::AdamW { beta2: 0.0, eps: 1e-5 }, Rule::Sgd] {
        for beta1 in [0.0, 0.9, 0.95, 0.99999999] {
            let weight_decay = if rule == Rule::Sgd { 0.0 } else { 0.5 };
            let optimiser = Optimiser { rule, weight_decay, reach: Reach::BatchRows };
            let mut now = Clock::default();
            // A rate with which a parameter would turn its sign, and one with which it would be nothing.
            for rate in [1e-3, 2.0, 3.0] {
                for (name, value) in optimiser.advance(&mut now, rate, beta1) {
                    assert!(value.is_finite(), "{rule:?}, {beta1}, {rate}: {name} is {value}");
                }
            }
            let mut values = [1.0, 2.0];
            let v = (rule != Rule::Sgd).then_some(&v[..]);
            let memory = RowMemory { m: &m, v, clock: &clock, log_decay: Some(&log_decay) };
            optimiser.settle(&now, &mut values, memory);
            assert!(values.iter().all(|value| value.is_finite()), "{rule:?}, {beta1}: {values:?}");
        }
    }
}

/// By hand: two steps missed at `q = 1/2`, so momentum carries for `1/2 + 1/4`.
#[test]
fn settling_does_what_the_formula_says() {
    let optimiser = Optimiser { rule: Rule::Sgd, weight_decay: 0.0, reach: Reach::BatchRows };
    let mut clock = Clock::default();
    for _ in 0..3 {
        optimiser.advance(&mut clock, 0.1, 0.5);
    }
    let mut values = [1.0, 2.0, 3.0, 4.0];
    let memory = RowMemory { m: &[1.0, -2.0, 1.0, 1.0], v: None, clock: &[1.0, 3.0], log_decay: None };
    optimiser.settle(&clock, &mut values, memory);
    // The second row took part in the last step.
    assert_close("settled", &values, &[1.0 - 0.1 * 0.75, 2.0 + 0.2 * 0.75, 3.0, 4.0], 1e-7, 0.0);
    assert_eq!(&values[2..], &[3.0, 4.0]);
    let dense = Optimiser { reach: Reach::EveryRow, ..optimiser };
    let mut same = [1.0, 2.0, 3.0, 4.0];
    dense.settle(&clock, &mut same, memory);
    assert_eq!(same, [1.0, 2.0, 3.0, 4.0]);
    let table = RowTable { name: "table", n_rows: 2, decays: true };
    assert!(dense.clocks(&[table]).is_empty());
    let names: Vec<String> = optimiser.clocks(&[table]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["table.clock"]);
}

/// One of each form that looks up rows, 6 users and 5 items.
fn models() -> Vec<(&'static str, Model)> {
    let dot = Model {
        n_users: 6,
        n_items: 5,
        user_width: 4,
        item_width: 4,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.3,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    };
    let classes = Model { objective: Objective::CrossEntropy { n_classes: 5 }, mu: 0.0, ..dot.clone() };
    let half_sse = Model { objective: Objective::HalfSquaredSum, biases: Biases::Users, range: None, ..dot.clone() };
    let mlp =
        Model { architecture: Architecture::Mlp(Mlp { hidden: vec![7], dropout: 0.0 }), item_width: 3, ..dot.clone() };
    let bare = Model { biases: Biases::Neither, range: None, mu: 3.0, ..dot.clone() };
    vec![("dot", dot), ("cross entropy", classes), ("half_sse", half_sse), ("mlp", mlp), ("bare", bare)]
}

/// What one step is fed, without the optimiser's scalars.
struct Batch {
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    classes: Vec<i32>,
    is_classified: bool,
}

impl Batch {
    /// `length` ratings; `row` gives the user or item, of so many, of each.
    fn new(model: &Model, rng: &mut Rng, length: usize, row: impl Fn(usize, usize) -> usize) -> Self {
        let classes: Vec<i32> = (0..length).map(|_| rng.below(5) as i32).collect();
        Self {
            users: (0..length).map(|number| row(model.n_users, number) as i32).collect(),
            items: (0..length).map(|number| row(model.n_items, number) as i32).collect(),
            ratings: classes.iter().map(|class| *class as f32 + 1.0).collect(),
            classes,
            is_classified: matches!(model.objective, Objective::CrossEntropy { .. }),
        }
    }

    fn run(&self, program: &mut dyn Program, values: &[(&'static str, f32)]) -> f32 {
        let target = match self.is_classified {
            true => indices(CLASS, &self.classes),
            false => floats(RATING, &self.ratings),
        };
        let batch = [indices(USER, &self.users), indices(ITEM, &self.items), target];
        let feeds: Vec<Feed<'_>> = batch.into_iter().chain(scalars(values)).collect();
        program.step(&feeds).unwrap()
    }
}

/// The training step of a model, compiled.
fn begun(
    engine: &dyn Engine,
    model: &Model,
    optimiser: &Optimiser,
    mut initial: Vec<(String, Vec<f32>)>,
) -> Box<dyn Program> {
    let step: Step = training_step(model, optimiser, StepOptions::default()).unwrap();
    initial.extend(optimiser.initial(&initial));
    initial.extend(optimiser.clocks(&model.tables()));
    engine.compile(&step, &initial, 8).unwrap()
}

/// Every state of a table, row by row.
fn row_bits(program: &dyn Program, table: &RowTable) -> Vec<(String, Vec<Vec<u32>>)> {
    let of = |name: String| {
        let values = program.state(&name).unwrap();
        let rows = values.chunks(values.len() / table.n_rows);
        let bits = rows.map(|row| row.iter().map(|value| value.to_bits()).collect()).collect();
        (name, bits)
    };
    let suffixes = ["", ".m", ".v", ".clock", ".log_decay"];
    let suffixes = suffixes.into_iter().filter(|suffix| table.decays || *suffix != ".log_decay");
    suffixes.map(|suffix| of(format!("{}{suffix}", table.name))).collect()
}

fn model_of(case: &Value) -> Model {
    let size = |key: &str| case[key].as_u64().unwrap() as usize;
    let has_bias = case["bias"].as_bool() == Some(true);
    Model {
        n_users: size("n_users"),
        n_items: size("n_items"),
        user_width: size("n_factors"),
        item_width: size("n_factors"),
        architecture: Architecture::Dot,
        biases: if has_bias { Biases::Both } else { Biases::Neither },
        mu: case["mu"].as_f64().unwrap() as f32,
        range: case["range"].as_array().map(|_| (singles(&case["range"])[0], singles(&case["range"])[1])),
        objective: Objective::MeanSquaredError,
    }
}

fn optimiser_of(case: &Value) -> Optimiser {
    let number = |key: &str| case[key].as_f64().unwrap();
    let (beta2, eps) = (number("beta2"), number("eps"));
    let rule = match case["rule"].as_str().unwrap() {
        "adamw" => Rule::AdamW { beta2, eps },
        "adam" => Rule::Adam { beta2, eps },
        _ => Rule::Sgd,
    };
    Optimiser { rule, weight_decay: number("weight_decay"), reach: Reach::BatchRows }
}
