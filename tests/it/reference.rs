//! Every engine against `models/*/reference.json`, which independent scripts compute.

use std::fs;

use cofi::graph::optimiser::{Optimiser, Reach, Rule};
use cofi::graph::{Engine, Feed};
use cofi::model::{Architecture, Biases, CLASS, ITEM, Mlp, Model, Objective, RATING, StepOptions, USER, training_step};
use cofi::train::Schedule;
use serde_json::Value;

use crate::support::{assert_close, engines, floats, indices, numbers, repository_file, scalars, singles, tensors};

/// Relative to the largest magnitude of a tensor.
const TOLERANCE: f32 = 1e-4;

/// The folders of `models/` whose cases are trained in batches by AdamW.
const FOLDERS: [(&str, usize); 3] = [("dot", 3), ("mlp", 3), ("cross_entropy", 2)];

#[test]
fn fifty_steps_give_the_tensors_of_the_references() {
    for (folder, case) in batch_cases() {
        let optimiser = adamw(&case);
        let step = training_step(&model(folder, &case), &optimiser, StepOptions::default()).unwrap();
        let mut initial = tensors(&case["initial"]);
        initial.extend(optimiser.initial(&initial));
        let batches = batches(folder, &case);
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, {folder}, {}", case["name"]);
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
fn the_first_gradients_are_those_of_the_references() {
    for (folder, case) in batch_cases() {
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, {folder}, {}", case["name"]);
            let batch = &batches(folder, &case)[0];
            check_gradients(&label, engine.as_ref(), &model(folder, &case), 0.0, &batch.feeds(), &case);
        }
    }
}

/// The cost function over all ratings at once, from the same tensors as a run of PyTorch over dense matrices.
#[test]
fn a_thousand_full_batches_of_half_sse_cost_what_the_reference_says() {
    let cases = cases("half_sse");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let number = |key: &str| case[key].as_f64().unwrap();
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        let model = Model {
            n_users: size("n_users"),
            n_items: size("n_items"),
            user_width: size("n_factors"),
            item_width: size("n_factors"),
            architecture: Architecture::Dot,
            biases: Biases::Users,
            mu: 0.0,
            range: None,
            objective: Objective::HalfSquaredSum,
        };
        let rule = Rule::Adam { beta2: number("beta2"), eps: number("eps") };
        let optimiser = Optimiser { rule, weight_decay: 0.0, reach: Reach::EveryRow };
        let l2 = number("l2");
        let step = training_step(&model, &optimiser, StepOptions { l2, ..StepOptions::default() }).unwrap();
        let mut initial = tensors(&case["initial"]);
        initial.extend(optimiser.initial(&initial));
        let ids = |key: &str| numbers(&case[key]).into_iter().map(|id| id as i32).collect::<Vec<i32>>();
        let (users, items, ratings) = (ids("user"), ids("item"), singles(&case["rating"]));
        let batch = [indices(USER, &users), indices(ITEM, &items), floats(RATING, &ratings)];
        for (engine_name, engine) in engines() {
            let label = format!("{engine_name}, half_sse, {}", case["name"]);
            check_gradients(&label, engine.as_ref(), &model, l2, &batch, &case);
            let mut program = engine.compile(&step, &initial, ratings.len()).unwrap();
            for number_of_step in 1..=1000 {
                let values = optimiser.scalars(number_of_step, rate(&case), beta1(&case));
                let feeds: Vec<Feed<'_>> = batch.iter().copied().chain(scalars(&values)).collect();
                let cost = program.step(&feeds).unwrap();
                if let Some(expected) = case["costs"][number_of_step.to_string()].as_f64() {
                    let relative = (f64::from(cost) / expected - 1.0).abs();
                    assert!(relative <= 1e-4, "{label}: step {number_of_step} costs {cost}, not {expected}");
                }
            }
            for (name, values) in tensors(&case["final"]) {
                assert_close(&format!("{label}: {name}"), &program.state(&name).unwrap(), &values, TOLERANCE, 0.0);
            }
        }
    }
}

#[test]
fn schedules_give_the_settings_of_the_references() {
    for (_, case) in batch_cases() {
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
    for (folder, case) in batch_cases() {
        for batch in batches(folder, &case) {
            let repeated = if case["repeated"] == "user" { &batch.users } else { &batch.items };
            assert!(repeated.iter().filter(|id| **id == 3).count() >= repeated.len() / 2);
        }
    }
}

/// Gradients of the first batch: the momentum that SGD without any has after a step.
fn check_gradients(label: &str, engine: &dyn Engine, model: &Model, l2: f64, batch: &[Feed<'_>], case: &Value) {
    let sgd = Optimiser { rule: Rule::Sgd, weight_decay: 0.0, reach: Reach::EveryRow };
    let step = training_step(model, &sgd, StepOptions { l2, ..StepOptions::default() }).unwrap();
    let mut initial = tensors(&case["initial"]);
    let expected = tensors(&case["first_gradients"]);
    assert_eq!(expected.len(), initial.len(), "{label}: number of gradients");
    initial.extend(sgd.initial(&initial));
    let values = sgd.scalars(1, 1.0, 0.0);
    let feeds: Vec<Feed<'_>> = batch.iter().copied().chain(scalars(&values)).collect();
    let mut program = engine.compile(&step, &initial, 16).unwrap();
    program.step(&feeds).unwrap();
    for (name, values) in expected {
        let found = program.state(&format!("{name}.m")).unwrap();
        assert_close(&format!("{label}: gradient of {name}"), &found, &values, TOLERANCE, 0.0);
    }
}

/// What one step is fed, without the optimiser's scalars.
struct Batch {
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    classes: Vec<i32>,
    masks: Vec<(String, Vec<f32>)>,
}

impl Batch {
    fn feeds(&self) -> Vec<Feed<'_>> {
        let mut feeds = vec![indices(USER, &self.users), indices(ITEM, &self.items)];
        feeds.push(match self.classes.is_empty() {
            true => floats(RATING, &self.ratings),
            false => indices(CLASS, &self.classes),
        });
        feeds.extend(self.masks.iter().map(|(name, values)| floats(name, values)));
        feeds
    }
}

fn cases(folder: &str) -> Vec<Value> {
    let text = fs::read_to_string(repository_file(&format!("models/{folder}/reference.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn batch_cases() -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for (folder, n_cases) in FOLDERS {
        let cases = cases(folder);
        assert_eq!(cases.len(), n_cases, "{folder}");
        all.extend(cases.into_iter().map(|case| (folder, case)));
    }
    all
}

fn batches(folder: &str, case: &Value) -> Vec<Batch> {
    let whole = |key: &str, number: usize| -> Vec<i32> {
        case[key].as_array().map_or(Vec::new(), |all| numbers(&all[number]).into_iter().map(|id| id as i32).collect())
    };
    let real = |key: &str, number: usize| case[key].as_array().map_or(Vec::new(), |all| singles(&all[number]));
    let masks = match &model(folder, case).architecture {
        Architecture::Dot => Vec::new(),
        Architecture::Mlp(mlp) => mlp.mask_inputs(),
    };
    assert_eq!(case["user"].as_array().unwrap().len(), 50);
    (0..50)
        .map(|number| Batch {
            users: whole("user", number),
            items: whole("item", number),
            ratings: real("rating", number),
            classes: whole("class", number),
            masks: masks.iter().map(|(name, _)| (name.clone(), real(name, number))).collect(),
        })
        .collect()
}

fn model(folder: &str, case: &Value) -> Model {
    let size = |key: &str| case[key].as_u64().unwrap() as usize;
    let width = |key: &str| case[key].as_u64().unwrap_or_else(|| case["n_factors"].as_u64().unwrap()) as usize;
    let architecture = match folder {
        "mlp" => Architecture::Mlp(Mlp {
            hidden: numbers(&case["layers"]).into_iter().map(|width| width as usize).collect(),
            dropout: case["dropout"].as_f64().unwrap(),
        }),
        _ => Architecture::Dot,
    };
    Model {
        n_users: size("n_users"),
        n_items: size("n_items"),
        user_width: width("user_width"),
        item_width: width("item_width"),
        architecture,
        biases: if case["bias"].as_bool() == Some(true) { Biases::Both } else { Biases::Neither },
        mu: case["mu"].as_f64().unwrap() as f32,
        range: case["range"].as_array().map(|_| {
            let bounds = singles(&case["range"]);
            (bounds[0], bounds[1])
        }),
        objective: match case["n_classes"].as_u64() {
            Some(n_classes) => Objective::CrossEntropy { n_classes: n_classes as usize },
            None => Objective::MeanSquaredError,
        },
    }
}

fn adamw(case: &Value) -> Optimiser {
    let number = |key: &str| case[key].as_f64().unwrap();
    let rule = Rule::AdamW { beta2: number("beta2"), eps: number("eps") };
    Optimiser { rule, weight_decay: number("weight_decay"), reach: Reach::EveryRow }
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
