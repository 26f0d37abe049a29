//! The text of emitted graphs equals the files in `models/`; `UPDATE_EXPECT=1` rewrites them.

use std::fs;

use cofi::graph::optimiser::{Optimiser, Rule};
use cofi::model::{Dot, training_step};

use crate::support::repository_file;

#[test]
fn the_training_step_of_dot_is_the_golden_one() {
    let model = Dot { n_users: 13, n_items: 11, n_factors: 5, bias: true, mu: 0.25, range: Some((0.5, 5.5)) };
    let optimiser = Optimiser { rule: Rule::AdamW { beta2: 0.99, eps: 1e-5 }, weight_decay: 0.1 };
    expect_file("models/dot/step.graph", &training_step(&model, &optimiser).unwrap().to_string());
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
