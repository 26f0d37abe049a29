//! The text of emitted graphs equals the files in `models/`; `UPDATE_EXPECT=1` rewrites them.

use std::fs;

use cofi::graph::optimiser::{Optimiser, Reach, Rule};
use cofi::model::{Architecture, Biases, Mlp, Model, Objective, StepOptions, training_step};

use crate::support::repository_file;

#[test]
fn the_training_steps_are_the_golden_ones() {
    let dot = Model {
        n_users: 13,
        n_items: 11,
        user_width: 5,
        item_width: 5,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.25,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    };
    let mlp = Model {
        item_width: 3,
        architecture: Architecture::Mlp(Mlp { hidden: vec![7, 4], dropout: 0.2 }),
        biases: Biases::Neither,
        ..dot.clone()
    };
    let cross_entropy = Model { objective: Objective::CrossEntropy { n_classes: 5 }, ..dot.clone() };
    let half_sse =
        Model { biases: Biases::Users, mu: 0.0, range: None, objective: Objective::HalfSquaredSum, ..dot.clone() };
    let adamw = Optimiser { rule: Rule::AdamW { beta2: 0.99, eps: 1e-5 }, weight_decay: 0.1, reach: Reach::EveryRow };
    let adam = Optimiser { rule: Rule::Adam { beta2: 0.999, eps: 1e-8 }, weight_decay: 0.0, reach: Reach::EveryRow };
    let rows = Optimiser { reach: Reach::BatchRows, ..adamw };
    let plain = StepOptions::default();
    let penalised = StepOptions { l2: 1.0, ..plain };
    for (folder, model, optimiser, options) in [
        ("rows", dot.clone(), &rows, plain),
        ("dot", dot, &adamw, plain),
        ("mlp", mlp, &adamw, plain),
        ("cross_entropy", cross_entropy, &adamw, plain),
        ("half_sse", half_sse, &adam, penalised),
    ] {
        let step = training_step(&model, optimiser, options).unwrap();
        expect_file(&format!("models/{folder}/step.graph"), &step.to_string());
    }
}

fn expect_file(path: &str, text: &str) {
    let file = repository_file(path);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(&file, text).unwrap();
    }
    let expected =
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}; UPDATE_EXPECT=1 writes it"));
    for (number, (found, expected)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{path}, line {}; UPDATE_EXPECT=1 rewrites it", number + 1);
    }
    assert_eq!(text, expected, "{path}: one goes on where the other ends; UPDATE_EXPECT=1 rewrites it");
}
